// Node's own modules without an ESM facade for each (as in `config/builtins`): a gateway has a start-up budget, and most
// starts never run a tool.
export const fs = process.getBuiltinModule('node:fs');
export const path = process.getBuiltinModule('node:path');
export const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');
