// Node's own modules without an ESM facade for each (as in `config/builtins`): every command has a start-up budget.
export const fs = process.getBuiltinModule('node:fs');
export const path = process.getBuiltinModule('node:path');
export const crypto = (): typeof import('node:crypto') => process.getBuiltinModule('node:crypto');
