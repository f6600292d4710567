import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { ensureGeneratedToken, newToken, readGeneratedToken } from './generated-token.ts';

test('ST-33 the token has 256 random bits, is made once, 0600, and stays', () => {
  using dir = tempDir();
  const file = path.join(dir.path, 'token');
  expect(readGeneratedToken(file)).toBeUndefined();
  const first = ensureGeneratedToken(file);
  expect(first.created).toBe(true);
  expect(Buffer.from(first.token.replace(/^ocg_/, ''), 'base64url').length).toBe(32);
  expect(ensureGeneratedToken(file)).toEqual({ token: first.token, created: false });
  expect(readGeneratedToken(file)).toBe(first.token);
  if (process.platform !== 'win32') expect(fs.statSync(file).mode & 0o777).toBe(0o600);
  expect(new Set(Array.from({ length: 100 }, newToken)).size).toBe(100);
});

test('ST-33 a file that others can read, or that holds something else, guards nothing: refused, and left', () => {
  using dir = tempDir();
  const file = path.join(dir.path, 'token');
  fs.writeFileSync(file, newToken(), { mode: 0o644 });
  if (process.platform !== 'win32') expect(() => ensureGeneratedToken(file)).toThrow(expect.objectContaining({ code: 'FILE_NOT_PRIVATE' }));
  fs.chmodSync(file, 0o600);
  for (const text of ['', 'changeme', `${newToken()}x`, `${newToken()}\n${newToken()}`]) {
    fs.writeFileSync(file, text);
    expect(() => ensureGeneratedToken(file)).toThrow(expect.objectContaining({ code: 'TOKEN_FILE_INVALID' }));
    expect(fs.readFileSync(file, 'utf8')).toBe(text);
  }
});
