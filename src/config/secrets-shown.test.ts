import fc from 'fast-check';
import JSON5 from 'json5';
import { expect, test } from 'vitest';
import { hideInUrl, hideInUrls, shownUrl } from '../lib/shown-url.ts';
import { configView, redactorFor } from './config-view.ts';
import { getPath } from './get-path.ts';
import { issuesText } from './load.ts';
import { allOptions } from './lookup.ts';
import { redactRaw, restoreRedacted } from './redact.ts';
import { REDACTED } from './redactor.ts';
import { stateDir } from './testing.ts';

/** Secrets as vendors and people make them, made anew by each seed. */
const hex = fc.uint8Array({ minLength: 20, maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('hex'));
const base62 = (length: number) =>
  fc
    .array(fc.constantFrom(...'ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789'), { minLength: length, maxLength: length })
    .map((chars) => `a7Q${chars.join('')}`);
const secret = fc.oneof(
  base62(30).map((text) => `sk-${text}`),
  base62(33).map((text) => `ghp_${text}`),
  base62(30).map((text) => `xoxb-${text}`),
  base62(40),
  hex.filter((text) => /[a-f]/.test(text) && /\d/.test(text)),
  fc.tuple(base62(20), base62(20), base62(20)).map((parts) => `eyJ${parts.join('.')}`),
  base62(16).map((text) => `AKIA${text.toUpperCase()}`),
);

/** Where the table knows a place: the paths of all its options, with names of our own for its wildcards. */
const KNOWN_PLACES = allOptions()
  .filter(({ path, spec }) => !path.includes('tlsFingerprint') && path !== '$schema' && spec.kind !== 'map')
  .map(({ path }) => path.replaceAll('.*', '.mine').split('.'));

/** Puts a value at a way through objects and lists. */
function put(root: Record<string, unknown>, way: readonly string[], value: unknown): Record<string, unknown> {
  let here = root;
  for (const [i, name] of way.entries()) {
    const isList = name.endsWith('[]');
    const key = isList ? name.slice(0, -2) : name;
    if (i === way.length - 1) here[key] = isList ? [value] : value;
    else {
      const next: Record<string, unknown> = {};
      here[key] = isList ? [next] : next;
      here = next;
    }
  }
  return root;
}

/** `getPath` hands the value itself over as well; what is shown of it is what counts. */
const shownAt = (found: ReturnType<typeof getPath> | undefined): string => (found?.ok ? JSON.stringify(found.value?.shown ?? '') : '');

const name = fc.constantFrom('plugins', 'servers', 'github', 'env', 'args', 'headers', 'creds', 'value', 'pat', 'note', 'options', 'a');
const unknownWay = fc
  .tuple(fc.constantFrom('plugins', 'mcp', 'channels', 'mystery'), fc.array(name, { minLength: 1, maxLength: 4 }))
  .map(([top, rest]) => [top, ...rest]);
const way = fc.oneof(fc.constantFrom(...KNOWN_PLACES), unknownWay);
/** How people wrap what they paste. */
const wrap = fc.constantFrom<(text: string) => unknown>(
  (text) => text,
  (text) => [text],
  (text) => ['--token', text],
  (text) => [`--api-key=${text}`, 'x'],
  (text) => ['-H', `Authorization: Bearer ${text}`],
  (text) => `Bearer ${text}`,
  (text) => `X-Api-Key: ${text}`,
  (text) => `https://user:${text}@host.example/path`,
  (text) => `https://${text}@host.example/path`,
  (text) => `wss://host.example/ws?token=${text}`,
  (text) => `wss://host.example/ws?t=${text}&v=1`,
  (text) => `wss://host.example/ws#${text}`,
  (text) => ({ value: text }),
  (text) => ({ deep: [{ token: text }] }),
);

test('CF-43 law: no secret that is planted anywhere in a config is in anything that is said of it', async () => {
  await fc.assert(
    fc.asyncProperty(way, secret, wrap, fc.boolean(), fc.option(secret), async (place, planted, wrapped, pretty, commented) => {
      const tree = put({}, place, wrapped(planted));
      const text = `${commented === null ? '' : `// the old one: ${commented}\n`}${pretty ? JSON5.stringify(tree, null, 2) : JSON.stringify(tree)}`;
      using state = stateDir(text);
      const loaded = await state.load();
      const from = loaded.ok ? loaded.value : loaded.error;
      const redactor = await redactorFor(loaded);
      const snapshot = loaded.ok ? loaded.value : loaded.error.usable;
      const said = [
        JSON.stringify(await configView(loaded)),
        issuesText(from.issues),
        issuesText(from.warnings.map((warning) => ({ ...warning }))),
        loaded.ok ? '' : `${loaded.error.message} ${loaded.error.fix}`,
        shownAt(snapshot === undefined ? undefined : getPath(snapshot, place.map((part) => part.replace('[]', '[0]')).join('.'), redactor)),
      ];
      const shown = said.join('\n');
      expect(shown).not.toContain(planted);
      if (commented !== null) expect(shown).not.toContain(commented);
      // What a form sends back is the old text.
      const raw = await redactRaw(text, redactor);
      const restored = await restoreRedacted(raw, text, redactor);
      // An entry of a list that is known by its name cannot be found by one that is hidden: refused, never guessed.
      const isHiddenName = place.some((part) => part.endsWith('[]')) && ['id', 'name'].includes(place.at(-1) ?? '');
      if (restored.ok || !isHiddenName) expect(restored).toEqual({ ok: true, value: text });
    }),
    { numRuns: 600 },
  );
});

test.each([
  ['wss://gw.example:1/x?token=abc#def', 'wss://gw.example:1/x'],
  ['wss://me:pa/ss#wo?rd@gw.example/x', 'wss://gw.example/x'],
  ['https://tok@gw.example', 'https://gw.example'],
  ['not a url with s3cret', '(not a URL)'],
  ['token-only', '(not a URL)'],
  ['ssh://me@host', 'ssh://me@host'],
  ['ssh://me:pw@host', 'ssh://me@host'],
])('NET-40 %s is shown as %s', (url, shown) => {
  expect(shownUrl(url)).toBe(shown);
});

test('NET-40 a URL inside of a text, or without its scheme, shows no more', () => {
  expect(hideInUrls('see https://a:b@c/d?e=f#g, or http://h', REDACTED)).toBe(
    `see https://${REDACTED}@c/d?${REDACTED}#${REDACTED} or http://h`,
  );
  expect(hideInUrl('me:pw@gw.example:1?t=x', '')).toBe('gw.example:1');
});

test('CF-44 a wrong value is named by its type, unless it is nearly right', async () => {
  for (const [config, says] of [
    ['{gateway:"s3cret-in-the-wrong-place"}', 'must be an object; it is a text'],
    ['{gateway:{bind:"s3cret-in-the-wrong-place"}}', 'it is a text'],
    ['{gateway:{port:"s3cret-in-the-wrong-place"}}', 'it is a text'],
    ['{gateway:{trustedProxies:"s3cret-in-the-wrong-place"}}', 'it is a text'],
    ['{gateway:{bind:"loopbak"}}', 'it is "loopbak"'],
    ['{gateway:{remote:{url:"https://me:s3cret@gw.example/x?y#z"}}}', 'it is the URL https://gw.example/x'],
  ] as const) {
    using state = stateDir(config);
    const { issues, message, fix } = await state.problem();
    expect(issues[0]?.message).toContain(says);
    expect(`${issuesText(issues)} ${message} ${fix}`).not.toContain('s3cret');
  }
});

test('CF-43 a short secret is hidden where it stands alone, and what is none stays', async () => {
  using state = stateDir(
    '{ gateway: { auth: { token: "hunter2" } }, mystery: { a: "hunter2", b: "not hunter2 here", c: "gpt-4o-mini", d: "/home/user1/x", e: "claude-sonnet-4-5", f: "@scope/server-github", g: "1.2.3" } }',
  );
  const { config } = await configView(await state.load());
  expect(config).toMatchObject({
    mystery: { a: REDACTED, c: 'gpt-4o-mini', d: '/home/user1/x', e: 'claude-sonnet-4-5', f: '@scope/server-github', g: '1.2.3' },
  });
});
