import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { openWorkspace, segmentsOf, type Workspace } from './confine.ts';
import { textOf } from './file-text.ts';
import { fileTools } from './files.ts';
import { search } from './search.ts';
import { parseArgs, type Tool } from './tool.ts';

interface House extends AsyncDisposable {
  readonly root: string;
  readonly outside: string;
  readonly workspace: Workspace;
}
/** A workspace with a secret beside it. */
async function house(protect: readonly string[] = []): Promise<House> {
  const dir = tempDir();
  const root = path.join(dir.path, 'work');
  const outside = path.join(dir.path, 'outside');
  fs.mkdirSync(root);
  fs.mkdirSync(outside);
  fs.writeFileSync(path.join(outside, 'secret.txt'), 'the secret');
  const opened = await openWorkspace(
    root,
    protect.map((each) => path.join(dir.path, each)),
  );
  if (!opened.ok) throw new Error(opened.error);
  return {
    root,
    outside,
    workspace: opened.value,
    async [Symbol.asyncDispose]() {
      await opened.value.close();
      dir[Symbol.dispose]();
    },
  };
}
const read = async (w: Workspace, name: string): Promise<string> => {
  const result = await w.read(name, (file) => textOf(file, 10_000));
  if (!result.ok) return `refused: ${result.error}`;
  return result.value.ok ? result.value.value.text : `refused: ${result.value.error}`;
};
const tool = (name: string): Tool => {
  const found = [...fileTools, search].find(({ spec }) => spec.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};
const call = async (w: Workspace, name: string, args: object): Promise<{ text: string; isError: boolean }> => {
  const parsed = parseArgs(JSON.stringify(args));
  if (!parsed.ok) throw new Error(parsed.error);
  return await tool(name).run(parsed.value, { workspace: w, signal: new AbortController().signal });
};

describe('paths', () => {
  test.each(['../outside/secret.txt', 'a/../../outside/secret.txt', '/etc/passwd', '..', '/', '/..', './../x', 'a/b/../../../x'])(
    'AG-25 %j is outside',
    async (name) => {
      await using h = await house();
      expect(await read(h.workspace, name)).toMatch(/outside of the workspace/);
      expect(await h.workspace.write(name, 'x')).toMatchObject({ ok: false });
      expect(fs.readdirSync(h.root)).toEqual([]);
    },
  );

  test('AG-25 an absolute path inside is taken, one with the same beginning is not', async () => {
    await using h = await house();
    fs.writeFileSync(path.join(h.root, 'a.txt'), 'a');
    fs.mkdirSync(`${h.root}-evil`);
    fs.writeFileSync(`${h.root}-evil/a.txt`, 'evil');
    expect(await read(h.workspace, path.join(h.root, 'a.txt'))).toBe('a');
    expect(await read(h.workspace, `${h.root}-evil/a.txt`)).toMatch(/outside/);
  });

  test.each(['a\0b', `${'x'.repeat(256)}`, Array(40).fill('d').join('/')])('AG-25 odd path %# is refused', async (name) => {
    await using h = await house();
    expect(await read(h.workspace, name)).toMatch(/^refused/);
  });

  test('AG-25 the names of any path stay below the root, or the path is refused', () => {
    const part = fc.oneof(fc.constantFrom('..', '.', '', 'a', 'b', '...', ' ', '..a', 'a..', '\\', 'C:'), fc.string({ maxLength: 8 }));
    fc.assert(
      fc.property(fc.array(part, { maxLength: 12 }), fc.boolean(), (parts, absolute) => {
        const given = (absolute ? '/home/space/' : '') + parts.join('/');
        const result = segmentsOf(given, '/home/space');
        if (!result.ok) return true;
        const names = result.value;
        return names.every((name) => name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0'));
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('links and special files', () => {
  test('AG-26 a symbolic link is followed nowhere: as the file, on the way, out or in', async () => {
    await using h = await house();
    fs.symlinkSync(path.join(h.outside, 'secret.txt'), path.join(h.root, 'link.txt'));
    fs.symlinkSync(h.outside, path.join(h.root, 'dir'));
    fs.writeFileSync(path.join(h.root, 'own.txt'), 'own');
    fs.symlinkSync('own.txt', path.join(h.root, 'inner.txt'));
    for (const name of ['link.txt', 'dir/secret.txt', 'inner.txt']) {
      expect(await read(h.workspace, name)).toMatch(/^refused.*(link|directory)/);
      expect(await h.workspace.write(name, 'pwned')).toMatchObject({ ok: false });
    }
    expect((await h.workspace.list('dir', 10)).ok).toBe(false);
    expect(fs.readFileSync(path.join(h.outside, 'secret.txt'), 'utf8')).toBe('the secret');
    expect(fs.readdirSync(h.outside)).toEqual(['secret.txt']);
    expect((await call(h.workspace, 'search', { text: 'secret' })).text).toBe('Nothing found.');
    expect((await call(h.workspace, 'list', {})).text).toContain('link.txt (link, not followed)');
  });

  test('AG-26 a dangling link is not written through', async () => {
    await using h = await house();
    fs.symlinkSync(path.join(h.outside, 'new.txt'), path.join(h.root, 'new.txt'));
    expect(await h.workspace.write('new.txt', 'x')).toMatchObject({ ok: false, error: expect.stringContaining('symbolic link') });
    expect(fs.existsSync(path.join(h.outside, 'new.txt'))).toBe(false);
  });

  test('AG-26 a second name of a file outside is neither read nor replaced', async () => {
    await using h = await house();
    fs.linkSync(path.join(h.outside, 'secret.txt'), path.join(h.root, 'hard.txt'));
    expect(await read(h.workspace, 'hard.txt')).toMatch(/hard link/);
    expect(await h.workspace.write('hard.txt', 'x')).toMatchObject({ ok: false });
    expect(await call(h.workspace, 'edit', { path: 'hard.txt', oldText: 'the', newText: 'no' })).toMatchObject({ isError: true });
    expect(fs.readFileSync(path.join(h.outside, 'secret.txt'), 'utf8')).toBe('the secret');
  });

  test.skipIf(process.platform === 'win32')('AG-26 a pipe or a socket does not hang the run', async () => {
    await using h = await house();
    execFileSync('mkfifo', [path.join(h.root, 'pipe')]);
    const server = net.createServer().listen(path.join(h.root, 'sock'));
    await new Promise((resolve) => server.once('listening', resolve));
    expect(await read(h.workspace, 'pipe')).toMatch(/not a regular file/);
    expect(await read(h.workspace, 'sock')).toMatch(/^refused/);
    expect(await h.workspace.write('pipe', 'x')).toMatchObject({ ok: false });
    server.close();
  });

  test('AG-26 a directory that becomes a link while it is used leads nowhere else', async () => {
    await using h = await house();
    const dir = path.join(h.root, 'dir');
    const aside = path.join(h.root, 'aside');
    const stop = new AbortController();
    let swaps = 0;
    const swapping = (async () => {
      while (!stop.signal.aborted) {
        try {
          fs.rmSync(dir, { recursive: true, force: true });
          fs.mkdirSync(dir);
          fs.writeFileSync(path.join(dir, 'secret.txt'), 'mine');
          await new Promise((resolve) => setImmediate(resolve));
          fs.rmSync(aside, { recursive: true, force: true });
          fs.renameSync(dir, aside);
          fs.symlinkSync(h.outside, dir);
          swaps++;
          await new Promise((resolve) => setImmediate(resolve));
        } catch {
          // The tool made the directory again in between: the next round takes it away.
        }
      }
    })();
    try {
      for (let i = 0; i < 300; i++) {
        expect(await read(h.workspace, 'dir/secret.txt')).not.toBe('the secret');
        await h.workspace.write('dir/made.txt', 'x');
      }
    } finally {
      stop.abort();
      await swapping;
    }
    expect(swaps).toBeGreaterThan(10);
    expect(fs.readdirSync(h.outside)).toEqual(['secret.txt']);
  });

  test('AG-27 what belongs to OpenClaw itself is refused, whatever it is called', async () => {
    await using h = await house(['work/state', 'work/openclaw.json']);
    fs.mkdirSync(path.join(h.root, 'state'));
    fs.writeFileSync(path.join(h.root, 'state/token'), 'token');
    fs.writeFileSync(path.join(h.root, 'openclaw.json'), '{}');
    const again = await openWorkspace(h.root, [path.join(h.root, 'state'), path.join(h.root, 'openclaw.json')]);
    if (!again.ok) throw new Error(again.error);
    expect(await read(again.value, 'state/token')).toMatch(/^refused/);
    expect(await read(again.value, 'openclaw.json')).toMatch(/^refused/);
    expect(await again.value.write('openclaw.json', '{"gateway":{}}')).toMatchObject({ ok: false });
    expect((await call(again.value, 'search', { text: 'token' })).text).toBe('Nothing found.');
    fs.renameSync(path.join(h.root, 'state'), path.join(h.root, 'renamed'));
    expect(await read(again.value, 'renamed/token')).toMatch(/^refused/);
    await again.value.close();
    expect(await openWorkspace(h.root, [h.root])).toMatchObject({ ok: false });
  });
});

describe('the tools', () => {
  test('AG-28 write makes directories, replaces in one step, keeps the mode and leaves nothing behind', async () => {
    await using h = await house();
    expect(await call(h.workspace, 'write', { path: 'a/b/c.txt', content: 'one' })).toEqual({
      text: 'Created a/b/c.txt (3 bytes).',
      isError: false,
    });
    const file = path.join(h.root, 'a/b/c.txt');
    expect(fs.statSync(file).mode & 0o777).toBe(0o600);
    expect(fs.statSync(path.join(h.root, 'a')).mode & 0o777).toBe(0o700);
    fs.chmodSync(file, 0o640);
    const before = fs.statSync(file).ino;
    expect((await call(h.workspace, 'write', { path: 'a/b/c.txt', content: 'two' })).text).toContain('Replaced');
    expect(fs.readFileSync(file, 'utf8')).toBe('two');
    expect(fs.statSync(file).mode & 0o777).toBe(0o640);
    expect(fs.statSync(file).ino).not.toBe(before);
    expect(fs.readdirSync(path.dirname(file))).toEqual(['c.txt']);
  });

  test('AG-28 read gives long files in pieces and says how to go on', async () => {
    await using h = await house();
    fs.writeFileSync(path.join(h.root, 'long.txt'), Array.from({ length: 5_000 }, (_, i) => `line ${i + 1}`).join('\n'));
    const first = await call(h.workspace, 'read', { path: 'long.txt' });
    expect(first.text).toContain('line 2000\n[lines 1-2000 of 5000; read on with offset 2001]');
    expect((await call(h.workspace, 'read', { path: 'long.txt', offset: 4_999 })).text).toBe('line 4999\nline 5000');
    expect((await call(h.workspace, 'read', { path: 'long.txt', offset: 3, limit: 2 })).text).toContain('line 3\nline 4\n[');
    expect((await call(h.workspace, 'read', { path: 'long.txt', offset: 9_999 })).isError).toBe(true);
  });

  test('AG-28 no binary, no other encoding', async () => {
    await using h = await house();
    fs.writeFileSync(path.join(h.root, 'b'), Buffer.from([1, 0, 2]));
    fs.writeFileSync(path.join(h.root, 'l'), Buffer.from([0x66, 0xfc, 0x72]));
    expect((await call(h.workspace, 'read', { path: 'b' })).text).toContain('binary');
    expect((await call(h.workspace, 'read', { path: 'l' })).text).toContain('UTF-8');
  });

  test('AG-28 edit changes exactly one place', async () => {
    await using h = await house();
    fs.writeFileSync(path.join(h.root, 'e.txt'), 'a b a');
    expect(await call(h.workspace, 'edit', { path: 'e.txt', oldText: 'b', newText: '$& c' })).toMatchObject({ isError: false });
    expect(fs.readFileSync(path.join(h.root, 'e.txt'), 'utf8')).toBe('a $& c a');
    expect((await call(h.workspace, 'edit', { path: 'e.txt', oldText: 'a', newText: 'x' })).text).toContain('occurs 2 times');
    expect((await call(h.workspace, 'edit', { path: 'e.txt', oldText: 'zzz', newText: 'x' })).text).toContain('does not occur');
    await call(h.workspace, 'edit', { path: 'e.txt', oldText: 'a', newText: 'x', all: true });
    expect(fs.readFileSync(path.join(h.root, 'e.txt'), 'utf8')).toBe('x $& c x');
  });

  test('AG-28 search finds text with its place, and a name cannot fake a line', async () => {
    await using h = await house();
    fs.mkdirSync(path.join(h.root, 'sub/node_modules'), { recursive: true });
    fs.writeFileSync(path.join(h.root, 'sub/node_modules/x.txt'), 'Lobster');
    fs.writeFileSync(path.join(h.root, 'sub/x.txt'), 'one\na Lobster here\n');
    expect((await call(h.workspace, 'search', { text: 'lobster' })).text).toBe('sub/x.txt:2: a Lobster here');
    fs.writeFileSync(path.join(h.root, 'bad\nname (9 bytes)'), '');
    const listed = (await call(h.workspace, 'list', {})).text.split('\n');
    expect(listed).toEqual(['bad?name (9 bytes) (0 bytes)', 'sub/']);
  });

  test('AG-28 arguments of the wrong type or from a prototype do not count', async () => {
    await using h = await house();
    expect(await call(h.workspace, 'read', { path: 7 })).toMatchObject({ isError: true });
    expect(await call(h.workspace, 'read', JSON.parse('{"__proto__":{"path":"x"},"constructor":{}}'))).toMatchObject({
      text: '"path" is missing.',
    });
    expect(parseArgs('['.repeat(100_000))).toMatchObject({ ok: false });
    expect(parseArgs(`{"a":"${'x'.repeat(1_100_000)}"}`)).toMatchObject({ ok: false });
    expect(parseArgs('null')).toMatchObject({ ok: false });
    expect(parseArgs('')).toMatchObject({ ok: true });
  });

  test('AG-28 no argument makes a tool throw or leave the workspace', async () => {
    await using h = await house();
    const value = fc.oneof(
      fc.string({ maxLength: 20 }),
      fc.constantFrom('..', '../outside/secret.txt', '.', '/', '/etc'),
      fc.integer(),
      fc.boolean(),
      fc.constant(null),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('read', 'list', 'search', 'write', 'edit'),
        fc.dictionary(fc.constantFrom('path', 'text', 'content', 'oldText', 'newText', 'offset'), value),
        async (name, args) => {
          const { text } = await call(h.workspace, name, args);
          expect(text).not.toContain('the secret');
          expect(fs.readdirSync(h.outside)).toEqual(['secret.txt']);
        },
      ),
      { numRuns: 300 },
    );
  });
});
