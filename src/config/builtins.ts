// Node's own modules, without `import`: `getBuiltinModule` hands out the module object that already exists, while an ESM
// import of three of them first builds their facades, which costs 2 ms of a process that lives for 30. The CLI pays that
// on every call. `node:crypto` (3.5 ms) and `node:sqlite` are asked for only where they are used.
export const fs = process.getBuiltinModule('node:fs');
export const path = process.getBuiltinModule('node:path');
export const os = process.getBuiltinModule('node:os');
export const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');
