import fs from 'node:fs';
import path from 'node:path';
import { expect, test } from 'vitest';
import { tempDir } from '../../test/support/temp-dir.ts';
import { createFileAtomic, ensurePrivateDir, readPrivateFile, writeFileAtomic } from './private-files.ts';

const mode = (file: string): string => (fs.statSync(file).mode & 0o777).toString(8);
const posix = test.skipIf(process.platform === 'win32');

posix('ST-30 a file is replaced whole, 0600 whatever the umask, and leaves no temp file', () => {
  using dir = tempDir();
  const umask = process.umask(0);
  try {
    const file = path.join(dir.path, 'f');
    writeFileAtomic(file, 'one');
    fs.chmodSync(file, 0o644);
    writeFileAtomic(file, 'two');
    expect([fs.readFileSync(file, 'utf8'), mode(file), fs.readdirSync(dir.path)]).toEqual(['two', '600', ['f']]);
  } finally {
    process.umask(umask);
  }
});

posix('ST-30 a symlink in its place is replaced, its target untouched; a failed write leaves the old file and no temp file', () => {
  using dir = tempDir();
  const target = path.join(dir.path, 'target');
  const file = path.join(dir.path, 'f');
  fs.writeFileSync(target, 'mine');
  fs.symlinkSync(target, file);
  writeFileAtomic(file, 'new');
  expect([fs.readFileSync(target, 'utf8'), fs.lstatSync(file).isFile()]).toEqual(['mine', true]);
  const occupied = path.join(dir.path, 'd');
  fs.mkdirSync(path.join(occupied, 'x'), { recursive: true });
  expect(() => writeFileAtomic(occupied, 'new')).toThrow();
  expect(fs.readdirSync(dir.path).sort()).toEqual(['d', 'f', 'target']);
});

posix('ST-30 of creations only the first succeeds', () => {
  using dir = tempDir();
  const file = path.join(dir.path, 'f');
  expect([createFileAtomic(file, 'one'), createFileAtomic(file, 'two'), fs.readFileSync(file, 'utf8'), fs.readdirSync(dir.path)]).toEqual([
    true,
    false,
    'one',
    ['f'],
  ]);
});

posix('ST-31 private directories are made 0700 with their parents, and tightened', () => {
  using dir = tempDir();
  const umask = process.umask(0);
  try {
    const deep = path.join(dir.path, 'state', 'gateway');
    ensurePrivateDir(deep);
    expect([mode(path.dirname(deep)), mode(deep)]).toEqual(['700', '700']);
    fs.chmodSync(deep, 0o755);
    ensurePrivateDir(deep);
    expect(mode(deep)).toBe('700');
  } finally {
    process.umask(umask);
  }
});

posix('ST-31 a symlink or a file in place of a private directory is refused', () => {
  using dir = tempDir();
  const elsewhere = path.join(dir.path, 'elsewhere');
  fs.mkdirSync(elsewhere, { mode: 0o755 });
  fs.symlinkSync(elsewhere, path.join(dir.path, 'gateway'));
  fs.writeFileSync(path.join(dir.path, 'file'), '');
  for (const name of ['gateway', 'file']) {
    expect(() => ensurePrivateDir(path.join(dir.path, name))).toThrow(expect.objectContaining({ code: 'DIR_NOT_OURS' }));
  }
  expect(mode(elsewhere)).toBe('755');
});

posix('ST-32 a private file is read only when it is one: no symlink, no FIFO, nobody else, bounded', () => {
  using dir = tempDir();
  const at = (name: string): string => path.join(dir.path, name);
  fs.writeFileSync(at('good'), 'text', { mode: 0o600 });
  fs.writeFileSync(at('lax'), 'text', { mode: 0o644 });
  fs.symlinkSync(at('good'), at('link'));
  fs.mkdirSync(at('dir'), { mode: 0o700 });
  const read = (name: string): string | undefined => {
    try {
      return readPrivateFile(at(name), { maxBytes: 4 });
    } catch (thrown) {
      return (thrown as { code: string }).code;
    }
  };
  expect(['good', 'absent', 'lax', 'link', 'dir'].map(read)).toEqual([
    'text',
    undefined,
    'FILE_NOT_PRIVATE',
    'FILE_NOT_PRIVATE',
    'FILE_NOT_PRIVATE',
  ]);
  fs.writeFileSync(at('good'), 'text!');
  expect(read('good')).toBe('FILE_TOO_LARGE');
});
