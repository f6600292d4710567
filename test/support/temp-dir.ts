import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

/** A fresh directory that is gone at the end of the block: `using dir = tempDir()`. */
export function tempDir(): { readonly path: string; [Symbol.dispose](): void } {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'oc-'));
  return { path: dir, [Symbol.dispose]: () => fs.rmSync(dir, { recursive: true, force: true }) };
}
