// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the placeholders of the config file
import { chmodSync, mkdirSync, rmSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { agentList } from './agent-list.ts';
import { parseJson5 } from './json5-text.ts';
import { issuesText, loadConfig, MAX_CONFIG_BYTES, problemError } from './load.ts';
import { readConfig } from './read.ts';
import { readTextFile } from './read-file.ts';
import { stateDir } from './testing.ts';

describe('a config file', () => {
  test('CF-6 no file is a valid config with every default', async () => {
    using state = stateDir();
    const snapshot = await state.snapshot();
    expect(snapshot).toMatchObject({ exists: false, raw: '', generation: 1, issues: [], warnings: [] });
    expect(snapshot.config.gateway).toMatchObject({
      port: 18789,
      bind: 'loopback',
      mode: undefined,
      tailscale: { mode: 'off' },
      http: { endpoints: { chatCompletions: { enabled: false } } },
    });
    expect(snapshot.sourceOf('gateway.port')).toBe('default');
  });

  test('CF-7 the snippet of the guides works pasted verbatim', async () => {
    using state = stateDir(`{
  gateway: {
    mode: "remote",
    remote: {
      url: "ws://127.0.0.1:18789",
      token: "your-token",
    },
  },
}
`);
    const { config, warnings } = await state.snapshot();
    expect(config.gateway).toMatchObject({ mode: 'remote', remote: { url: 'ws://127.0.0.1:18789', token: 'your-token' } });
    expect(warnings).toEqual([]);
  });

  test('CF-8 unknown keys warn, name the nearest known one, and stay', async () => {
    using state = stateDir('{ gateway: { prot: 1, auth: { allowtailscale: true } }, somethingNew: { x: 1 } }');
    const snapshot = await state.snapshot();
    expect(snapshot.warnings).toEqual([
      expect.objectContaining({
        code: 'UNKNOWN_KEY',
        path: 'gateway.auth.allowtailscale',
        fix: 'Rename it to gateway.auth.allowTailscale',
        guard: true,
      }),
      expect.objectContaining({ code: 'UNKNOWN_KEY', path: 'gateway.prot', fix: 'Rename it to gateway.port', guard: false }),
      expect.objectContaining({ code: 'UNKNOWN_KEY', path: 'somethingNew' }),
    ]);
    expect(snapshot.parsed).toMatchObject({ somethingNew: { x: 1 } });
  });

  test.each<[string, string, string, string | RegExp, boolean]>([
    [
      '{gateway:{port:"18790"}}',
      'gateway.port',
      'a whole number from 1 to 65535; it is "18790"',
      'Without quotes: gateway.port: 18790',
      true,
    ],
    ['{gateway:{port:0}}', 'gateway.port', 'from 1 to 65535; it is 0', /unset gateway.port/, true],
    ['{gateway:{port:1.5}}', 'gateway.port', 'a whole number', /./, true],
    ['{gateway:{bind:"0.0.0.0"}}', 'gateway.bind', 'one of "auto", "lan", "loopback"', /gateway.bind: "lan"/, true],
    ['{gateway:{bind:"localhost"}}', 'gateway.bind', 'it is "localhost"', 'gateway.bind: "loopback"', true],
    ['{gateway:{bind:"192.168.1.4"}}', 'gateway.bind', 'it is "192.168.1.4"', /customBindHost: "192.168.1.4"/, true],
    ['{gateway:{bind:"${BIND}"}}', 'gateway.bind', 'it is "${BIND}"', /^Set BIND in the environment/, true],
    ['{gateway:{mode:"Remote"}}', 'gateway.mode', 'one of "local", "remote"', 'gateway.mode: "remote"', true],
    ['{gateway:{mode:null}}', 'gateway.mode', 'it is null', 'Remove it: openclaw config unset gateway.mode', true],
    ['{gateway:{customBindHost:"010.0.0.1"}}', 'gateway.customBindHost', 'not an IP address', /leading zeros/, true],
    ['{gateway:{auth:{mode:"pasword"}}}', 'gateway.auth.mode', 'it is "pasword"', 'gateway.auth.mode: "password"', true],
    ['{gateway:{auth:{token:12345678}}}', 'gateway.auth.token', 'it is a number (not shown)', /unset gateway.auth.token/, true],
    ['{gateway:{auth:{token:{source:"env",id:"lower"}}}}', 'gateway.auth.token', 'it is an object', /./, true],
    ['{gateway:{auth:{token:{source:"exec",id:"../x"}}}}', 'gateway.auth.token', 'it is an object', /./, true],
    ['{gateway:{auth:"token"}}', 'gateway.auth', 'must be an object', /./, true],
    [
      '{gateway:{trustedProxies:"10.0.0.1"}}',
      'gateway.trustedProxies',
      'must be a list',
      'In brackets: gateway.trustedProxies: ["10.0.0.1"]',
      true,
    ],
    ['{gateway:{trustedProxies:["proxy.local"]}}', 'gateway.trustedProxies[0]', 'not an IP address', /./, true],
    ['{gateway:{tailscale:{mode:true}}}', 'gateway.tailscale.mode', 'it is true', 'gateway.tailscale.mode: "serve"', true],
    ['{gateway:{tls:{enabled:"true"}}}', 'gateway.tls.enabled', 'true or false', 'Without quotes: gateway.tls.enabled: true', true],
    ['{gateway:{remote:{url:"http://gw:1"}}}', 'gateway.remote.url', 'wss:// or ws://', '"ws://gw:1"', true],
    ['{gateway:{remote:{tlsFingerprint:"abc"}}}', 'gateway.remote.tlsFingerprint', 'not a SHA-256 fingerprint', /64 hex/, true],
    [
      '{gateway:{controlUi:{allowedOrigins:["https://x.example/path"]}}}',
      'gateway.controlUi.allowedOrigins[0]',
      'more than scheme',
      '"https://x.example"',
      true,
    ],
    ['{models:{providers:{p:{baseUrl:"nope"}}}}', 'models.providers.p.baseUrl', 'is not a URL', /./, false],
    ['{agents:{defaults:{model:5}}}', 'agents.defaults.model', 'a text, or an object', /./, false],
    [
      '{agents:{defaults:{model:{primary:5}}}}',
      'agents.defaults.model.primary',
      'a text',
      'In quotes: agents.defaults.model.primary: "5"',
      false,
    ],
    ['{logging:{level:"verbose"}}', 'logging.level', 'one of', /./, false],
    ['{hooks:{path:"/"}}', 'hooks.path', 'may not be the root', 'hooks.path: "/hooks"', true],
    ['{channels:[]}', 'channels', 'must be an object', /./, false],
  ])('CF-9 %s names path, value and fix', async (raw, path, message, fix, guard) => {
    using state = stateDir(raw);
    const problem = await state.problem();
    expect(problem.code).toBe('CONFIG_INVALID');
    expect(problem.issues).toHaveLength(1);
    expect(problem.issues[0]).toMatchObject({ path, message: expect.stringContaining(message), guard });
    const text = problem.issues[0]?.fix ?? '';
    if (typeof fix === 'string') expect(text).toBe(fix);
    else expect(text).toMatch(fix);
    // A guess may stand in only where no door depends on it.
    expect(problem.usable !== undefined).toBe(!guard);
  });

  test('CF-10 no message carries a secret', async () => {
    using state = stateDir(
      '{ gateway: { auth: { token: ["s3cr3t-value"], password: {source: "env", id: "s3cr3t-value"} } }, models: { providers: { p: { apiKey: true, headers: { x: 5, y: ["s3cr3t-value"] } } } } }',
    );
    const problem = await state.problem();
    expect(problem.issues.length).toBeGreaterThan(3);
    expect(issuesText(problem.issues) + problem.message + problemError(problem).message).not.toContain('s3cr3t');
  });

  test('CF-11 keys of other versions count, and lose against today’s', async () => {
    using state = stateDir(
      '{ gateway: { publicOrigin: "https://old.example", nodes: { commands: { allow: ["a"], deny: ["b"] }, denyCommands: ["c"] } } }',
    );
    const snapshot = await state.snapshot();
    expect(snapshot.config.gateway).toMatchObject({
      publicUrl: 'https://old.example',
      nodes: { allowCommands: ['a'], denyCommands: ['c'] },
    });
    expect(snapshot.warnings).toEqual([expect.objectContaining({ code: 'ALIAS_CONFLICT', path: 'gateway.nodes.commands.deny' })]);
  });

  test('CF-12 a snapshot cannot be changed', async () => {
    using state = stateDir('{ gateway: { auth: { token: "x" } } }');
    const snapshot = await state.snapshot();
    expect(() => Object.assign(snapshot.config.gateway.auth, { mode: 'none' })).toThrow(TypeError);
    expect(() => Object.assign(snapshot, { raw: '' })).toThrow(TypeError);
    expect(Object.isFrozen(snapshot.resolved['gateway'])).toBe(true);
  });

  test('CF-12 a state dir of --dev has its own default port', async () => {
    using state = stateDir();
    const snapshot = await state.snapshot({ paths: { ...state.paths, defaultPort: 19001 } });
    expect(snapshot.config.gateway.port).toBe(19001);
  });
});

describe('agents', () => {
  test('CF-11 those of a list and those by id are one list', async () => {
    using state = stateDir('{ agents: { list: [{ id: "a", name: "A" }], entries: { b: { name: "B" }, a: { name: "twice" } } } }');
    expect(agentList((await state.snapshot()).config.agents).map(({ id, name }) => [id, name])).toEqual([
      ['a', 'A'],
      ['b', 'B'],
    ]);
  });
});

describe('where a value comes from', () => {
  test('CF-13 flag, then environment, then file, then default', async () => {
    using state = stateDir('{ gateway: { port: 1001 } }');
    const env = { ...state.env, OPENCLAW_GATEWAY_PORT: '1002' };
    const flags = { 'gateway.port': '1003', 'gateway.bind': 'lan' };
    const ports = [await state.snapshot(), await state.snapshot({ env }), await state.snapshot({ env, flags })].map((s) => [
      s.config.gateway.port,
      s.sourceOf('gateway.port'),
    ]);
    expect(ports).toEqual([
      [1001, 'file'],
      [1002, 'env'],
      [1003, 'flag'],
    ]);
    const snapshot = await state.snapshot({ flags });
    expect([snapshot.config.gateway.bind, snapshot.sourceOf('gateway.bind'), snapshot.sourceOf('gateway.mode')]).toEqual([
      'lan',
      'flag',
      'default',
    ]);
  });

  test.each<[Record<string, string>, Record<string, unknown>, string]>([
    [{ OPENCLAW_GATEWAY_PORT: 'abc' }, {}, 'OPENCLAW_GATEWAY_PORT'],
    [{ OPENCLAW_GATEWAY_PORT: '70000' }, {}, 'OPENCLAW_GATEWAY_PORT'],
    [{}, { 'gateway.port': 'x' }, '--port'],
    [{}, { 'gateway.bind': '0.0.0.0' }, '--bind'],
    [{}, { 'gateway.auth.mode': 'tokn' }, '--auth'],
  ])('CF-13 a wrong %j %j is named as it was written', async (env, flags, name) => {
    using state = stateDir();
    const problem = await state.problem({ env: { ...state.env, ...env }, flags });
    expect(problem.issues).toEqual([expect.objectContaining({ path: name, fix: expect.stringContaining(name) })]);
  });
});

describe('bad input', () => {
  const cases: [string, string | Uint8Array, string, RegExp][] = [
    ['truncated', '{ gateway: { port: 18789,', 'CONFIG_SYNTAX', /line 1, column 26.*ends too early/],
    ['a stray word', '{\n  gateway: {\n    port 18789\n  }\n}', 'CONFIG_SYNTAX', /line 3, column 10/],
    ['zeroed', new Uint8Array(4096), 'CONFIG_SYNTAX', /NUL bytes/],
    ['zeroed tail', Buffer.concat([Buffer.from('{ gateway: {'), Buffer.alloc(100)]), 'CONFIG_SYNTAX', /line 1, column 13.*NUL bytes/],
    ['empty', '', 'CONFIG_SYNTAX', /ends too early/],
    ['a list', '[]', 'CONFIG_INVALID', /must be an object/],
    ['null', 'null', 'CONFIG_INVALID', /must be an object/],
    ['a text', '"x"', 'CONFIG_INVALID', /must be an object/],
    ['depth 10,000 (objects)', `${'{a:'.repeat(10_000)}1${'}'.repeat(10_000)}`, 'CONFIG_INVALID', /deeper than 128/],
    ['depth 10,000 (lists)', `{a:${'['.repeat(10_000)}${']'.repeat(10_000)}}`, 'CONFIG_INVALID', /deeper than 128/],
    ['depth 10,000 (plain JSON)', `${'{"a":'.repeat(10_000)}1${'}'.repeat(10_000)}`, 'CONFIG_INVALID', /deeper than 128/],
    ['a __proto__ key', '{ gateway: { __proto__: { polluted: 1 } } }', 'CONFIG_INVALID', /"__proto__".*not allowed/],
    ['a "constructor" key', '{ "constructor": { "prototype": { "polluted": 1 } } }', 'CONFIG_INVALID', /"constructor".*not allowed/],
    ['50 MB', Buffer.alloc(50 * 1024 * 1024, 0x20), 'CONFIG_TOO_LARGE', /at most 5242880/],
    ['UTF-16', Buffer.from('\ufeff{}', 'utf16le'), 'CONFIG_UNREADABLE', /UTF-16/],
    ['not text', Buffer.from([0x7b, 0xc3, 0x28, 0x7d]), 'CONFIG_UNREADABLE', /not UTF-8/],
  ];
  test.each(cases)('CF-14 %s', async (_name, content, code, message) => {
    using state = stateDir();
    state.write('openclaw.json', content);
    const problem = await state.problem();
    expect(problem).toMatchObject({ code, message: expect.stringMatching(message), fix: expect.any(String) });
    expect(problem.usable).toBeUndefined();
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('CF-14 a sparse file of 1 TB is refused before it is read', async () => {
    using state = stateDir('{}');
    truncateSync(state.paths.configPath, 2 ** 40);
    expect((await state.problem()).code).toBe('CONFIG_TOO_LARGE');
  });

  test('CF-14 a byte order mark is fine', async () => {
    using state = stateDir('\ufeff{ "gateway": { "port": 1234 } }');
    expect((await state.snapshot()).config.gateway.port).toBe(1234);
  });

  test('CF-14 a directory in its place', async () => {
    using state = stateDir();
    mkdirSync(state.paths.configPath);
    expect(await state.problem()).toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining('is a directory') });
  });

  test.skipIf(process.platform === 'win32')('CF-14 a named pipe is refused, not waited for', async () => {
    using state = stateDir();
    const { execFileSync } = await import('node:child_process');
    execFileSync('mkfifo', [state.paths.configPath]);
    expect(await state.problem()).toMatchObject({ code: 'CONFIG_UNREADABLE', message: expect.stringContaining('not a regular file') });
  });

  test('CF-14 a dangling or circular symlink', async () => {
    using state = stateDir();
    symlinkSync(state.paths.configPath, state.paths.configPath);
    expect((await state.problem()).code).toBe('CONFIG_UNREADABLE');
    rmSync(state.paths.configPath);
    symlinkSync(join(state.dir, 'nowhere'), state.paths.configPath);
    expect((await state.snapshot()).exists).toBe(false);
  });

  test('CF-14 parsing any text gives an answer', async () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ':',
      ',',
      '"',
      "'",
      '\\',
      '//',
      '/*',
      '*/',
      '\n',
      '\0',
      'a',
      '1',
      '-',
      '.',
      '0x',
      'NaN',
      '\ufeff',
      '\u2028',
      '\ud800',
      '$include',
      '${A}',
      '__proto__',
    );
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.array(piece).map((parts) => parts.join('')),
          fc.string({ unit: 'binary' }),
        ),
        async (text) => typeof (await parseJson5(text)).ok === 'boolean',
      ),
      { numRuns: 1000 },
    );
  });

  test('CF-14 judging any tree gives an answer, and never a half-typed config', () => {
    const key = fc.constantFrom(
      'gateway',
      'auth',
      'token',
      'mode',
      'port',
      'remote',
      'models',
      'providers',
      'agents',
      'list',
      'defaults',
      'model',
      'env',
      'vars',
      'x',
      '$include',
    );
    const tree = fc.letrec<{ tree: unknown; object: unknown }>((tie) => ({
      tree: fc.oneof({ depthSize: 'medium' }, fc.jsonValue(), tie('object'), fc.constantFrom('remote', 'none', 18789, true, null)),
      object: fc.dictionary(key, tie('tree')),
    })).object;
    fc.assert(
      fc.property(tree, (value) => {
        const { config, issues } = readConfig(value);
        const port: unknown = config.gateway.port;
        return (
          Array.isArray(issues) &&
          typeof port === 'number' &&
          ['none', 'token', 'password', 'trusted-proxy', undefined].includes(config.gateway.auth.mode)
        );
      }),
      { numRuns: 500 },
    );
  });

  test('CF-14 a text of an edit is judged by the same limit', async () => {
    using state = stateDir();
    const result = await loadConfig({ paths: state.paths, env: state.env, text: ' '.repeat(MAX_CONFIG_BYTES + 1) });
    expect(result.ok ? '' : result.error.code).toBe('CONFIG_TOO_LARGE');
  });
});

describe('permissions', () => {
  test.skipIf(process.platform === 'win32')(
    'CF-15 a file that others can read or change is warned of, with the command that mends it',
    async () => {
      using state = stateDir('{}');
      chmodSync(state.paths.configPath, 0o644);
      expect((await state.snapshot()).warnings).toEqual([
        expect.objectContaining({
          code: 'FILE_MODE',
          message: expect.stringContaining('read'),
          fix: `chmod 600 ${state.paths.configPath}`,
        }),
      ]);
      chmodSync(state.paths.configPath, 0o666);
      expect((await state.snapshot()).warnings).toEqual([
        expect.objectContaining({ code: 'FILE_MODE', message: expect.stringContaining('changed') }),
      ]);
    },
  );
});

describe('$include', () => {
  test('CF-16 a name is replaced, lists of files are merged, and keys beside it win', async () => {
    using state = stateDir('{ gateway: { $include: "./gw.json5", port: 3 }, agents: { $include: ["a.json", "b.json"] } }');
    state.write('gw.json5', '{ port: 1, bind: "lan", auth: { mode: "token" }, trustedProxies: ["10.0.0.1"] }');
    state.write('a.json', '{"list":[{"id":"a"}],"defaults":{"timeoutSeconds":1,"maxConcurrent":9}}');
    state.write('b.json', '{"list":[{"id":"b"}],"defaults":{"timeoutSeconds":2}}');
    const { config, files, parsed } = await state.snapshot();
    expect(config.gateway).toMatchObject({ port: 3, bind: 'lan', auth: { mode: 'token' } });
    expect(config.agents.list.map((agent) => agent.id)).toEqual(['a', 'b']);
    expect(config.agents.defaults).toMatchObject({ timeoutSeconds: 2, maxConcurrent: 9 });
    expect(files).toHaveLength(4);
    expect(parsed).toMatchObject({ gateway: { $include: './gw.json5' } });
  });

  test('CF-16 included files include further ones, counted from where they lie', async () => {
    using state = stateDir('{ $include: "sub/one.json" }');
    mkdirSync(join(state.paths.stateDir, 'sub'));
    state.write('sub/one.json', '{ gateway: { $include: "two.json" } }');
    state.write('sub/two.json', '{ port: 7 }');
    expect((await state.snapshot()).config.gateway.port).toBe(7);
  });

  test('CF-17 what leaves the directory of the config is refused, symlinks followed', async () => {
    using state = stateDir('{ gateway: { $include: "../outside.json" } }');
    const outside = join(state.dir, 'outside.json');
    writeFileSync(outside, '{ port: 1 }');
    expect(await state.problem()).toMatchObject({
      code: 'CONFIG_INCLUDE',
      message: expect.stringContaining('leaves the directory'),
      issues: [{ path: 'gateway', guard: true }],
    });
    symlinkSync(outside, join(state.paths.stateDir, 'inside.json'));
    state.write('openclaw.json', '{ gateway: { $include: "inside.json" } }');
    expect((await state.problem()).message).toContain('leaves the directory');
    state.write('openclaw.json', `{ gateway: { $include: ${JSON.stringify(outside)} } }`);
    expect((await state.problem()).message).toContain('leaves the directory');
  });

  test('CF-17 circles, depth, size, absence, bad text and bad names are named', async () => {
    using state = stateDir('{ $include: "a.json" }');
    state.write('a.json', '{ x: { $include: "b.json" } }');
    state.write('b.json', '{ y: { $include: "a.json" } }');
    expect((await state.problem()).message).toContain('includes itself: openclaw.json → a.json → b.json → a.json');

    for (let i = 0; i < 12; i++) state.write(`d${i}.json`, `{ k: { $include: "d${i + 1}.json" } }`);
    state.write('d12.json', '{}');
    state.write('openclaw.json', '{ $include: "d0.json" }');
    expect((await state.problem()).message).toContain('deeper than 10 files');
    state.write('openclaw.json', '{ $include: "d3.json" }');
    expect((await state.load()).ok).toBe(true);

    state.write('big.json', Buffer.alloc(2 * 1024 * 1024 + 1, 0x20));
    state.write('bad.json', '{\n  x');
    const wide = Array.from({ length: 101 }, () => '"d12.json"').join(',');
    for (const [include, message] of [
      ['"big.json"', 'at most 2097152'],
      ['"nowhere.json"', 'does not exist'],
      ['"bad.json"', 'line 2, column 4'],
      ['5', 'takes a file name'],
      ['[""]', 'takes a file name'],
      ['"."', 'leaves the directory'],
      [`[${wide}]`, 'more than 100 files'],
    ]) {
      state.write('openclaw.json', `{ ui: { $include: ${include} } }`);
      const problem = await state.problem();
      expect([problem.code, problem.message]).toEqual(['CONFIG_INCLUDE', expect.stringContaining(message ?? '')]);
    }
  });

  test.skipIf(process.platform === 'win32')('CF-17 a link that is put in place after the check is refused', async () => {
    using state = stateDir();
    const outside = join(state.dir, 'outside.json');
    writeFileSync(outside, '{}');
    symlinkSync(outside, join(state.paths.stateDir, 'swapped.json'));
    // What `$include` does once it has the real path: open exactly that, never what a link now leads to.
    expect(readTextFile(join(state.paths.stateDir, 'swapped.json'), 100, { nofollow: true })).toMatchObject({
      ok: false,
      error: { kind: 'unreadable' },
    });
  });

  test('CF-17 keys beside an included list, and prototype keys, are refused', async () => {
    using state = stateDir('{ ui: { $include: "list.json", x: 1 } }');
    state.write('list.json', '[1]');
    expect((await state.problem()).message).toContain('need an included object');
    state.write('list.json', '{"__proto__":{"x":1}}');
    expect((await state.problem()).message).toContain('"__proto__"');
  });

  test('CF-17 a config that is a symlink may include from beside the link and from beside its target', async () => {
    using state = stateDir();
    const dotfiles = join(state.dir, 'dotfiles');
    mkdirSync(dotfiles);
    writeFileSync(join(dotfiles, 'oc.json5'), '{ $include: "beside.json" }', { mode: 0o600 });
    symlinkSync(join(dotfiles, 'oc.json5'), state.paths.configPath);
    symlinkSync(join(dotfiles, 'real.json'), join(state.paths.stateDir, 'beside.json'));
    writeFileSync(join(dotfiles, 'real.json'), '{ gateway: { port: 42 } }');
    expect((await state.snapshot()).config.gateway.port).toBe(42);
  });
});

describe('variables', () => {
  test('CF-18 are put in; unset ones warn and stay; $${NAME} is the text itself', async () => {
    using state = stateDir('{ ui: { assistant: { name: "${NAME}-${name}", avatar: "$${NAME}" }, seamColor: "a ${MISSING_ONE} b" } }');
    const snapshot = await state.snapshot({ env: { ...state.env, NAME: 'Ada ${HOME}' } });
    expect(snapshot.config.ui).toEqual({ assistant: { name: 'Ada ${HOME}-${name}', avatar: '${NAME}' }, seamColor: 'a ${MISSING_ONE} b' });
    expect(snapshot.unresolved).toEqual([{ path: 'ui.seamColor', name: 'MISSING_ONE' }]);
    expect(snapshot.warnings).toEqual([expect.objectContaining({ code: 'VARIABLE_UNSET', path: 'ui.seamColor' })]);
  });

  test('CF-19 process, then .env of the state dir, then the config; an empty one counts as unset', async () => {
    using state = stateDir(
      '{ env: { vars: { A: "config", B: "config", C: "config", D: "${A}!" }, E: "direct" }, ui: { seamColor: "${A} ${B} ${C} ${D} ${E}" } }',
    );
    state.write('.env', 'A=dotenv\nB="dot env" # remark\nexport F=x\n');
    const snapshot = await state.snapshot({ env: { ...state.env, A: 'process', B: '' } });
    expect(snapshot.config.ui.seamColor).toBe('process dot env config process! direct');
    expect(snapshot.env['F']).toBe('x');
  });

  test('CF-19 neither file may set what steers where programs and state are loaded from', async () => {
    using state = stateDir(
      '{ env: { vars: { NODE_OPTIONS: "--require /tmp/x.js", LD_PRELOAD: "/tmp/x.so" }, OPENCLAW_STATE_DIR: "/tmp" } }',
    );
    state.write('.env', 'PATH=/tmp\n');
    const snapshot = await state.snapshot();
    expect(['NODE_OPTIONS', 'LD_PRELOAD', 'PATH'].map((name) => snapshot.env[name])).toEqual([undefined, undefined, undefined]);
    expect(snapshot.env['OPENCLAW_STATE_DIR']).toBe(state.env['OPENCLAW_STATE_DIR']);
    expect(snapshot.warnings.filter((warning) => warning.code === 'ENV_IGNORED' || warning.code === 'DOTENV')).toHaveLength(4);
  });

  test('CF-19 .env of the working directory is not looked at', async () => {
    using state = stateDir();
    const before = process.cwd();
    writeFileSync(join(state.dir, '.env'), 'FROM_CWD=1\n');
    try {
      process.chdir(state.dir);
      expect((await state.snapshot()).env['FROM_CWD']).toBeUndefined();
    } finally {
      process.chdir(before);
    }
  });

  test('CF-18 law: without a $ nothing changes; escaped or not, one pass', async () => {
    const { substituteText } = await import('./substitute.ts');
    const env = { A: '${B}', B: 'b' };
    const replaced: Record<string, string> = { '${A}': '${B}', '$${A}': '${A}', '${B}': 'b' };
    fc.assert(
      fc.property(
        fc.string().filter((text) => !text.includes('$')),
        (text) => substituteText(text, env, () => {}) === text,
      ),
    );
    fc.assert(
      fc.property(fc.array(fc.constantFrom('${A}', '$${A}', '${B}', '${MISSING}', 'x', '$', '{', '}')), (parts) => {
        const missing: string[] = [];
        const result = substituteText(parts.join(' '), env, (name) => missing.push(name));
        const expected = parts.map((part) => replaced[part] ?? part).join(' ');
        return result === expected && missing.length === parts.filter((part) => part === '${MISSING}').length;
      }),
    );
  });
});
