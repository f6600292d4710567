import { spawn } from 'node:child_process';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { ok } from '../../lib/result.ts';
import { openWorkspace, type Workspace } from './confine.ts';
import { fileTools } from './files.ts';
import { findText } from './find-text.ts';
import { search } from './search.ts';
import { parseArgs } from './tool.ts';

async function open(root: string): Promise<Workspace> {
  const opened = await openWorkspace(root, []);
  if (!opened.ok) throw new Error(opened.error);
  return opened.value;
}
async function house(): Promise<{ root: string; workspace: Workspace } & AsyncDisposable> {
  const dir = tempDir();
  const workspace = await open(dir.path);
  return {
    root: dir.path,
    workspace,
    async [Symbol.asyncDispose]() {
      await workspace.close();
      dir[Symbol.dispose]();
    },
  };
}
async function call(workspace: Workspace, name: string, args: object): Promise<{ text: string; isError: boolean }> {
  const tool = [...fileTools, search].find(({ spec }) => spec.name === name);
  const parsed = parseArgs(JSON.stringify(args));
  if (tool === undefined || !parsed.ok) throw new Error(name);
  return await tool.run(parsed.value, { workspace, signal: new AbortController().signal });
}
/** The most CPU time that the main thread spent in one turn of the event loop while `task` ran, ms. What others do on the machine is not in it. */
async function longestTurn(task: () => Promise<void>): Promise<number> {
  let isOver = false;
  let longest = 0;
  const now = (): number => {
    const { user, system } = process.threadCpuUsage();
    return (user + system) / 1000;
  };
  let last = now();
  const probe = (): void => {
    const at = now();
    longest = Math.max(longest, at - last);
    last = at;
    if (!isOver) setImmediate(probe);
  };
  setImmediate(probe);
  await task();
  probe();
  isOver = true;
  return longest;
}

describe('changes of one file', () => {
  test('AG-135 sessions that edit one file at once: no edit is lost', async () => {
    await using one = await house();
    fs.writeFileSync(path.join(one.root, 'list.md'), Array.from({ length: 8 }, (_, i) => `<${i}>\n`).join(''));
    const sessions = await Promise.all(Array.from({ length: 8 }, () => open(one.root)));
    await Promise.all(
      sessions.map(async (workspace, i) => {
        for (let n = 0; n < 15; n++) {
          const done = await call(workspace, 'edit', {
            path: i % 2 ? 'list.md' : './list.md',
            oldText: `<${i}>`,
            newText: `<${i}> ${i}.${n}`,
          });
          expect(done).toEqual({ isError: false, text: expect.stringContaining('1 place') });
        }
      }),
    );
    const text = fs.readFileSync(path.join(one.root, 'list.md'), 'utf8');
    for (let i = 0; i < 8; i++) for (let n = 0; n < 15; n++) expect(text).toContain(` ${i}.${n}`);
    await Promise.all(sessions.map((each) => each.close()));
  });

  test('AG-135 an edit of a file that another program has changed in between is refused, and says so', async () => {
    await using one = await house();
    const file = path.join(one.root, 'a.txt');
    for (const meddle of [
      // In place, with the same length; another file under the name; gone; longer.
      () => fs.writeFileSync(file, 'two'),
      () => {
        fs.writeFileSync(`${file}.new`, 'two');
        fs.renameSync(`${file}.new`, file);
      },
      () => fs.rmSync(file),
      () => fs.appendFileSync(file, ' more'),
    ]) {
      fs.writeFileSync(file, 'one');
      const result = await one.workspace.change('a.txt', 100, async () => {
        meddle();
        return ok('mine');
      });
      expect(result).toMatchObject({ ok: false });
      expect(fs.existsSync(file) ? fs.readFileSync(file, 'utf8') : 'gone').not.toBe('mine');
    }
    fs.writeFileSync(file, 'one');
    const refused = await one.workspace.change('a.txt', 100, async () => {
      fs.writeFileSync(file, 'two');
      return ok('mine');
    });
    expect(refused).toEqual({ ok: false, error: '"a.txt" was changed by another program meanwhile; read it again.' });
    expect(fs.readdirSync(one.root)).toEqual(['a.txt']);
  });

  test('AG-135 edits beside another program that edits too: what both were told is done is in the file', async () => {
    await using one = await house();
    const file = path.join(one.root, 'log.txt');
    fs.writeFileSync(file, 'begin\n');
    // Appends in place, line by line, as fast as it can.
    const script = `const fs=require('node:fs');for(let i=0;i<300;i++)fs.appendFileSync(${JSON.stringify(file)},'other '+i+'\\n')`;
    const other = spawn(process.execPath, ['-e', script]);
    const gone = once(other, 'exit');
    let made = 0;
    while (other.exitCode === null && other.signalCode === null) {
      const { isError } = await call(one.workspace, 'edit', { path: 'log.txt', oldText: 'begin\n', newText: `begin\nmine ${made}\n` });
      if (!isError) made++;
    }
    await gone;
    const text = fs.readFileSync(file, 'utf8');
    for (let n = 0; n < made; n++) expect(text).toContain(`mine ${n}\n`);
  });

  test('AG-135 one new file that many write at once is made once; the others replace it whole', async () => {
    await using one = await house();
    const done = await Promise.all(
      Array.from({ length: 20 }, (_, i) => call(one.workspace, 'write', { path: 'dir/new.txt', content: `${i}`.repeat(1000) })),
    );
    expect(done.filter(({ text }) => text.startsWith('Created'))).toHaveLength(1);
    expect(done.filter(({ isError }) => isError)).toEqual([]);
    expect(fs.readFileSync(path.join(one.root, 'dir/new.txt'), 'utf8')).toMatch(/^(\d\d?)\1{999}$/);
    expect(fs.readdirSync(path.join(one.root, 'dir'))).toEqual(['new.txt']);
  });

  test('AG-135 a thousand edits of a file of one byte', async () => {
    await using one = await house();
    fs.writeFileSync(path.join(one.root, 'bit'), '0');
    for (let i = 0; i < 1_000; i++) {
      const done = await call(one.workspace, 'edit', { path: 'bit', oldText: String(i % 2), newText: String((i + 1) % 2) });
      expect(done.isError).toBe(false);
    }
    expect(fs.readFileSync(path.join(one.root, 'bit'), 'utf8')).toBe('0');
    expect(fs.readdirSync(one.root)).toEqual(['bit']);
  });

  test.each([0o755, 0o600, 0o444, 0o664, 0o666, 0o700])('AG-136 mode %o is kept by write and edit, whatever the umask', async (mode) => {
    await using one = await house();
    const file = path.join(one.root, 'tool.sh');
    fs.writeFileSync(file, 'echo 1');
    fs.chmodSync(file, mode);
    const umask = process.umask(0o077);
    try {
      if ((mode & 0o400) !== 0)
        expect(await call(one.workspace, 'edit', { path: 'tool.sh', oldText: '1', newText: '2' })).toMatchObject({ isError: false });
      expect(fs.statSync(file).mode & 0o7777).toBe(mode);
      expect(await call(one.workspace, 'write', { path: 'tool.sh', content: 'echo 3' })).toMatchObject({ isError: false });
      expect(fs.statSync(file).mode & 0o7777).toBe(mode);
      await call(one.workspace, 'write', { path: 'new.sh', content: 'echo 3' });
      expect(fs.statSync(path.join(one.root, 'new.sh')).mode & 0o7777).toBe(0o600);
    } finally {
      process.umask(umask);
    }
  });

  test('AG-136 setuid and setgid go with the contents they were given to', async () => {
    await using one = await house();
    const file = path.join(one.root, 'su');
    fs.writeFileSync(file, 'x');
    fs.chmodSync(file, 0o6755);
    await call(one.workspace, 'edit', { path: 'su', oldText: 'x', newText: 'y' });
    expect(fs.statSync(file).mode & 0o7777).toBe(0o755);
  });

  test.skipIf(process.getuid?.() !== 0)('AG-136 owner and group are kept where this user may give them', async () => {
    await using one = await house();
    const file = path.join(one.root, 'theirs');
    fs.writeFileSync(file, 'x');
    fs.chownSync(file, 1234, 2345);
    await call(one.workspace, 'edit', { path: 'theirs', oldText: 'x', newText: 'y' });
    expect(fs.statSync(file)).toMatchObject({ uid: 1234, gid: 2345 });
  });
});

describe('tools on hostile inputs', () => {
  test('AG-137 the search finds what the engine finds', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: fc.constantFrom('a', 'b', '\n'), maxLength: 60 }),
        fc.string({ unit: fc.constantFrom('a', 'b', '\n'), minLength: 1, maxLength: 5 }),
        async (text, wanted) => {
          const places: number[] = [];
          await findText(text, wanted, (at) => places.push(at) > 0);
          const expected: number[] = [];
          for (let at = text.indexOf(wanted); at !== -1; at = text.indexOf(wanted, at + wanted.length)) expected.push(at);
          expect(places).toEqual(expected);
        },
      ),
    );
  });

  test.each([
    ['a text that almost occurs everywhere', 'a'.repeat(1_900_000), { oldText: `b${'a'.repeat(480_000)}`, newText: 'x' }, 'does not occur'],
    ['the same from behind', 'a'.repeat(1_900_000), { oldText: `${'a'.repeat(480_000)}b`, newText: 'x' }, 'does not occur'],
    ['100,000 places', 'ab\n'.repeat(100_000), { oldText: 'ab', newText: 'cde', all: true }, '100000 places'],
    ['two million places', 'a'.repeat(2_000_000), { oldText: 'a', newText: 'b', all: true }, 'at most 200000'],
    ['a small text that becomes a large one', 'a'.repeat(190_000), { oldText: 'a', newText: 'x'.repeat(900_000), all: true }, 'too long'],
  ])('AG-137 edit: %s', async (_what, text, args, said) => {
    await using one = await house();
    fs.writeFileSync(path.join(one.root, 'big.txt'), text);
    let answer = '';
    const longest = await longestTurn(async () => {
      answer = (await call(one.workspace, 'edit', { path: 'big.txt', ...args })).text;
    });
    expect(answer).toContain(said);
    expect(longest, 'CPU of one turn, ms').toBeLessThan(50);
  });

  test('AG-137 read, search and list: lines without number, names and sizes meant to hurt', async () => {
    await using one = await house();
    fs.writeFileSync(path.join(one.root, 'lines.txt'), '\n'.repeat(2_000_000));
    fs.writeFileSync(path.join(one.root, 'one-line.txt'), 'ab'.repeat(1_000_000));
    fs.writeFileSync(path.join(one.root, 'dotted.txt'), `${'İ'.repeat(500_000)}\nneedle İ here`);
    fs.mkdirSync(path.join(one.root, 'many'));
    for (let i = 0; i < 3_000; i++) fs.writeFileSync(path.join(one.root, 'many', `${i}\n\u202e${'n'.repeat(200)}`), '');
    const answers: string[] = [];
    const longest = await longestTurn(async () => {
      for (const [tool, args] of [
        ['read', { path: 'lines.txt', offset: 1_999_990 }],
        ['read', { path: 'one-line.txt', offset: 1 }],
        ['search', { text: 'needle' }],
        ['search', { text: `b${'a'.repeat(900)}` }],
        ['search', { text: '\n' }],
        ['search', { text: 'a', path: 'many' }],
        ['search', { text: 'a'.repeat(500_000) }],
        ['list', { path: 'many' }],
      ] as const) {
        answers.push((await call(one.workspace, tool, args)).text);
      }
    });
    expect(answers[0]).toBe('\n'.repeat(11));
    expect(answers[2]).toContain('dotted.txt:2: needle');
    expect(answers[6]).toContain('too long');
    expect(answers[7]).toContain('only the first 500');
    for (const answer of answers) expect(answer.length).toBeLessThan(150_000);
    expect(longest, 'CPU of one turn, ms').toBeLessThan(50);
  });
});
