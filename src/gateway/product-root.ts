import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The directory that holds `docs/` and `assets/`: above `dist/` in the product, above `src/` in a checkout. */
export function productRoot(from: string = import.meta.dirname): string {
  for (let dir = from; ; dir = dirname(dir)) {
    if (existsSync(join(dir, 'assets', 'try-model', 'serve.py'))) return dir;
    if (dirname(dir) === dir) return from;
  }
}
