// biome-ignore-all lint/suspicious/noTemplateCurlyInString: these are the placeholders of the config file
import fc from 'fast-check';
import JSON5 from 'json5';
import { describe, expect, test } from 'vitest';
import { configView } from './config-view.ts';
import { redactRaw, restoreRedacted } from './redact.ts';
import { REDACTED, Redactor } from './redactor.ts';
import { isSensitive } from './secret-places.ts';
import { stateDir } from './testing.ts';

const SECRET = 's3cr3t-value';
const FILE = `// token: "${SECRET}"
{
  gateway: {
    auth: { mode: 'token', token: '${SECRET}', password: "\${PASS}" }, // keep
    /* remote.password = ${SECRET} */
    remote: { url: 'wss://me:${SECRET}@gw.example:1', token: { source: 'env', id: 'GW_TOKEN' } },
  },
  models: { providers: {
    a: { apiKey: '${SECRET}', baseUrl: 'https://x/?api_key=${SECRET}&v=1', headers: { 'X-Any': '${SECRET}' }, models: [{ id: 'm', maxTokens: 5 }] },
  } },
  env: { vars: { PLAIN: '${SECRET}' }, DIRECT: '${SECRET}' },
  channels: { chat: { botToken: '${SECRET}', signingSecret: '${SECRET}', name: 'n', credentials: { user: '${SECRET}' }, contextTokens: 'many' } },
  futureThing: { api_key: '${SECRET}', webhookUrl: '${SECRET}', port: 7, list: [{ id: 'one', password: '${SECRET}1' }, { id: 'two', password: '${SECRET}2' }] },
}
`;

describe('redaction', () => {
  test.each<[(string | number)[], boolean]>([
    [['gateway', 'auth', 'token'], true],
    [['gateway', 'remote', 'password'], true],
    [['gateway', 'auth', 'mode'], false],
    [['gateway', 'auth', 'allowTailscale'], false],
    [['gateway', 'auth', 'trustedProxy', 'userHeader'], false],
    [['models', 'providers', 'x', 'apiKey'], true],
    [['models', 'providers', 'x', 'headers', 'X-Any'], true],
    [['agents', 'defaults', 'maxTokens'], false],
    [['env', 'vars', 'ANY'], true],
    [['env', 'ANY'], true],
    [['channels', 'telegram', 'botToken'], true],
    [['channels', 'x', 'accounts', 'y', 'appSecret'], true],
    [['channels', 'x', 'maxTokens'], false],
    [['channels', 'x', 'historyLimit'], false],
    [['plugins', 'x', 'credentials', 'anything'], true],
    [['unknown', 'private_key'], true],
    [['unknown', 'key'], true],
    [['unknown', 'keyboard'], false],
    [['unknown', 'tokenizer'], false],
    [['skills', 'entries', 'x', 'apiKey'], true],
    [['hooks', 'token'], true],
    [['mcp', 'servers', 's', 'env', 'API_KEY'], true],
    [['mcp', 'servers', 's', 'headers', 'Authorization'], true],
  ])('CF-31 %j is secret: %s', (keys, expected) => {
    expect(isSensitive(keys)).toBe(expected);
  });

  test('CF-31 no secret is left in tree or text; all else, comments too, stays', async () => {
    const raw = await redactRaw(FILE);
    const tree = new Redactor().tree(JSON5.parse(FILE));
    expect(raw).not.toContain(SECRET);
    expect(JSON.stringify(tree)).not.toContain(SECRET);
    expect(JSON5.parse(raw)).toEqual(tree);
    expect(tree).toMatchObject({
      gateway: {
        auth: { mode: 'token', token: REDACTED, password: '${PASS}' },
        remote: { url: `wss://${REDACTED}@gw.example:1`, token: { source: 'env', id: 'GW_TOKEN' } },
      },
      models: { providers: { a: { baseUrl: `https://x/?${REDACTED}`, models: [{ id: 'm', maxTokens: 5 }] } } },
      channels: { chat: { name: 'n', contextTokens: 'many' } },
      futureThing: { port: 7 },
    });
    expect(raw).toContain('// keep\n');
    expect(raw.split('\n')).toHaveLength(FILE.split('\n').length);
  });

  test('CF-32 sent back unchanged, the text is the old one, byte for byte', async () => {
    expect(await restoreRedacted(await redactRaw(FILE), FILE)).toEqual({ ok: true, value: FILE });
  });

  test('CF-32 other values may change, lists of named entries be reordered, and the secrets stay with their owners', async () => {
    const submitted = JSON5.parse<Record<string, unknown>>(await redactRaw(FILE));
    const thing = submitted['futureThing'] as { list: unknown[] };
    thing.list = [{ id: 'new' }, thing.list[1], thing.list[0]];
    const restored = await restoreRedacted(JSON.stringify(submitted), FILE);
    expect(restored.ok).toBe(true);
    const { futureThing, gateway } = JSON5.parse(restored.ok ? restored.value : '');
    expect(futureThing.list).toEqual([{ id: 'new' }, { id: 'two', password: `${SECRET}2` }, { id: 'one', password: `${SECRET}1` }]);
    expect(gateway.remote.url).toBe(`wss://me:${SECRET}@gw.example:1`);
  });

  test.each([
    ['{ gateway: { auth: { password: "M" } } }', '{ gateway: { auth: { token: "x" } } }', 'gateway.auth.password'],
    ['{ x: [{ password: "M" }] }', '{ x: [{ password: "a" }, { password: "b" }] }', 'x[0].password'],
    ['{ x: [{ id: "c", password: "M" }] }', '{ x: [{ id: "a", password: "1" }] }', 'x[0].password'],
    ['{ x: [{ id: "a", password: "M" }] }', '{ x: [{ id: "a", password: "1" }, { id: "a", password: "2" }] }', 'x[0].password'],
    ['{ ui: { seamColor: "M" } }', '{ ui: { seamColor: "red" } }', 'ui.seamColor'],
    [
      '{ gateway: { remote: { url: "wss://M@evil.example" } } }',
      '{ gateway: { remote: { url: "wss://u:p@gw.example" } } }',
      'gateway.remote.url',
    ],
    ['{ gateway: { auth: { token: "M" } } }', '', 'gateway.auth.token'],
  ])('CF-32 %s is refused where it is not clear which secret is meant', async (submitted, current, path) => {
    const result = await restoreRedacted(submitted.replaceAll('M', REDACTED), current);
    expect(result.ok ? 'restored' : result.error.path).toBe(path);
  });

  test.each([
    ['a comment of one long word', `{} // ${'a'.repeat(2_000_000)}`],
    ['a comment of many dots', `{} // ${'a.'.repeat(1_000_000)}`],
    ['a text of many schemes', `{ x: "${'a+'.repeat(500_000)}" }`],
    ['a long name', `{ ${'maxtokenX'.repeat(100_000)}: "x" }`],
  ])('CF-31 %s takes no time to speak of', async (_name, raw) => {
    const start = performance.now();
    expect((await redactRaw(raw)).length).toBeGreaterThan(0);
    expect(performance.now() - start).toBeLessThan(5_000);
  });

  test('CF-32 a changed comment with the mark in it is refused', async () => {
    const result = await restoreRedacted(`{ /* token: ${REDACTED} or so */ }`, '{ /* token: abc */ }');
    expect(result.ok).toBe(false);
  });

  test('CF-33 the view of a right and of a wrong file has the same fields and no secret', async () => {
    using state = stateDir(FILE, { PASS: SECRET });
    const snapshot = await state.snapshot();
    const good = await configView(await state.load());
    expect(good).toMatchObject({ path: state.paths.configPath, exists: true, valid: true, hash: snapshot.hash, issues: [] });
    state.write('openclaw.json', FILE.replace("mode: 'token'", "mode: 'nonsense'"));
    const bad = await configView(await state.load());
    expect(bad).toMatchObject({ valid: false, issues: [expect.objectContaining({ path: 'gateway.auth.mode' })] });
    expect(Object.keys(bad).sort()).toEqual(Object.keys(good).sort());
    state.write('openclaw.json', `{ token: '${SECRET}`);
    const broken = await configView(await state.load());
    expect(broken).toMatchObject({ valid: false, raw: '' });
    expect(JSON.stringify([good, bad, broken])).not.toContain(SECRET);
    expect((good.resolved as { gateway: { auth: { password: unknown } } }).gateway.auth.password).toBe(REDACTED);
  });

  test('CF-31 a secret is taken out by value too: in comments, in places nobody knows, in lists of arguments', async () => {
    const token = 'a-token-that-guards-this-gateway';
    using state = stateDir(`{ // the laptop sends ${token}
      gateway: { auth: { token: "${token}" } },
      mystery: { note: "it is ${token}!", args: ["--api-key", "abcd-1234-efgh", "--port", "18789", "--token=abcd-5678", "--verbose=yes"] },
    }`);
    const view = await configView(await state.load(), ['from-elsewhere-but-known']);
    expect(JSON.stringify(view)).not.toMatch(/that-guards|abcd/);
    expect(view.raw).toContain(`// the laptop sends ${REDACTED}\n`);
    expect(view.config).toMatchObject({
      mystery: { note: `it is ${REDACTED}!`, args: ['--api-key', REDACTED, '--port', '18789', `--token=${REDACTED}`, '--verbose=yes'] },
    });
    state.write('openclaw.json', '{ note: "from-elsewhere-but-known" }');
    expect((await configView(await state.load(), ['from-elsewhere-but-known'])).raw).toBe(`{ note: "${REDACTED}" }`);
  });

  test('CF-32 law: redacted and restored is the same text', async () => {
    const name = fc.constantFrom('token', 'name', 'password', 'x', 'apiKey', 'id');
    const tree = fc.letrec<{ tree: unknown; object: unknown }>((tie) => ({
      tree: fc.oneof(
        { depthSize: 'small' },
        fc.string({ unit: 'grapheme' }),
        fc.integer(),
        fc.boolean(),
        tie('object'),
        fc.array(tie('tree'), { maxLength: 3 }),
      ),
      object: fc.dictionary(name, tie('tree')),
    })).object;
    await fc.assert(
      fc.asyncProperty(tree, fc.boolean(), async (value, pretty) => {
        const text = pretty ? JSON5.stringify(value, null, 2) : JSON.stringify(value);
        const shown = await redactRaw(text);
        const restored = await restoreRedacted(shown, text);
        // Entries of the same name in one list are not told apart, and then the answer is a refusal, never a mix-up.
        return restored.ok ? restored.value === text : shown.includes('"id"') || shown.includes('id:') || shown.includes('name');
      }),
      { numRuns: 1500 },
    );
  });
});
