import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { testAgent } from '../../../test/support/test-agent.ts';
import { createDocSearch } from './doc-search.ts';
import { type GuideFacts, guideAnswer } from './guide.ts';
import { languageOf } from './language.ts';

const FACTS: GuideFacts = {
  here: { port: 28789, user: 'ada', host: 'home.example', docsDir: '' },
  servers: [
    { spec: { kind: 'ollama', url: 'http://127.0.0.1:11434' }, state: 'nothing' },
    { spec: { kind: 'lmstudio', url: 'http://127.0.0.1:1234' }, state: 'foreign', uid: 1234 },
    { spec: { kind: 'llamacpp', url: 'http://127.0.0.1:8080' }, state: 'other' },
  ],
  keyNames: [],
  python: { found: true, text: '3.12.1' },
};

describe('the guide', () => {
  test('AG-70 says what it is, what it found, and three ways on', () => {
    const answer = guideAnswer('hello', FACTS, []);
    expect(answer).toContain('**not a language model**');
    expect(answer).toContain('No Ollama (port 11434).');
    expect(answer).toContain('belongs to another user (uid 1234)');
    expect(answer).toContain('Port 8080 answers, but not as llama.cpp.');
    expect(answer).toContain('Python 3.12.1');
    expect(answer).toContain('openclaw models try');
    expect(answer).toContain('ollama pull');
    expect(answer).toContain('ssh -N -L 28789:127.0.0.1:28789 ada@home.example');
    expect(answer).toContain('openclaw status');
  });

  test('AG-70 answers in the language of the question', () => {
    expect(languageOf('你好')).toBe('zh');
    expect(languageOf('怎么用 ssh 连接 OpenClaw？')).toBe('zh');
    expect(languageOf('What does 你好 mean in this long English question?')).toBe('en');
    expect(languageOf('')).toBe('en');
    const answer = guideAnswer('怎么从笔记本连接？', FACTS, []);
    expect(answer).toContain('不是语言模型');
    expect(answer.indexOf('ssh -N -L')).toBeLessThan(answer.indexOf('在这台机器上发现：'));
    expect(answer).not.toMatch(/\b(found|machine|nothing)\b/);
  });

  test('AG-70 names of keys, never a value', () => {
    expect(guideAnswer('key?', { ...FACTS, keyNames: ['OPENAI_API_KEY'] }, [])).toContain('Keys in the environment: OPENAI_API_KEY.');
  });

  test('AG-71 quotes the documents that fit the question, and only those', async () => {
    using dir = tempDir();
    fs.mkdirSync(path.join(dir.path, 'adr'));
    fs.writeFileSync(path.join(dir.path, 'adr', '0001-x.md'), '# Tunnels\n\nssh tunnel laptop ssh tunnel');
    fs.writeFileSync(
      path.join(dir.path, 'remote.md'),
      '# Remote access\n\n## From a laptop\n\nRun `ssh -N -L` on the laptop.\n\n```sh\n# not a heading\nssh x\n```\n',
    );
    fs.writeFileSync(path.join(dir.path, 'config.md'), '# Configuration\n\n## Comments\n\nEdits keep comments in the file.\n');
    fs.writeFileSync(path.join(dir.path, 'note.txt'), 'laptop laptop');
    const search = createDocSearch(() => dir.path);
    const hits = await search('how do I connect from my laptop?');
    expect(hits[0]).toMatchObject({ file: 'remote.md', heading: 'From a laptop' });
    expect(hits[0]?.text).toContain('# not a heading');
    expect((await search('do edits keep comments?'))[0]).toMatchObject({ file: 'config.md' });
    expect((await search('怎么从笔记本远程连接'))[0]).toMatchObject({ file: 'remote.md' });
    expect(await search('zebra')).toEqual([]);
    expect(await search('???')).toEqual([]);
    expect(guideAnswer('do edits keep comments?', FACTS, await search('do edits keep comments?'))).toContain('docs/config.md');
    expect(await createDocSearch(() => '/nowhere')('laptop')).toEqual([]);
  });

  test('AG-72 answers a turn when nothing is connected, streaming, and is kept like any answer', async () => {
    await using t = await testAgent();
    expect(t.agent.defaultModel()).toBeUndefined();
    expect(t.agent.models()).toEqual([]);
    const run = await t.ask('hello');
    expect(run).toMatchObject({ status: 'ok', provider: 'builtin', model: 'guide' });
    expect(t.runEvents.filter(({ type }) => type === 'text').length).toBeGreaterThan(5);
    const texts = t.runEvents.filter((event) => event.type === 'text');
    expect(texts.map(({ delta }) => delta).join('')).toBe(run?.text);
    expect(run?.text).toContain('Python 3.12.1');
    expect(t.agent.transcript('main', { limit: 10 }).entries).toHaveLength(2);
  });

  test('AG-72 never stands in for a model that failed', async () => {
    await using t = await testAgent({
      envKeys: { OPENAI_API_KEY: 'sk-test-0000000000000000' },
      ports: { fetch: async () => new Response('no', { status: 401 }) },
    });
    const run = await t.ask('hello');
    expect(run).toMatchObject({ status: 'error', provider: 'openai', text: '', error: { kind: 'auth' } });
    expect(run?.error?.fix).toContain('OPENAI_API_KEY');
  });
});

test('AG-70 a greeting asks for nothing, and gets no page of the documents', async () => {
  const docs = path.join(import.meta.dirname, '..', '..', '..', 'docs');
  const search = createDocSearch(() => docs);
  for (const greeting of ['hello', 'Hi!', 'hey there', 'thanks', 'ok', '你好']) expect(await search(greeting)).toEqual([]);
  expect((await search('how do I connect from my laptop over ssh?'))[0]?.file).toBe('guide/ssh.md');
});
