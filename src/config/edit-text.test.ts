import fc from 'fast-check';
import JSON5 from 'json5';
import { describe, expect, test } from 'vitest';
import { parseDocument } from './document.ts';
import { applyEdits, editsBetween } from './edit-text.ts';
import { sameJson, valueAt } from './tree.ts';

const FILE = `// top
{
  // about gateway
  gateway: { // inline
    port: 18789, // the port
    /* before bind */ bind: 'loopback', // why loopback
    // last words
  },
  // between
  agents: { list: [ /*a*/ {id:'main'}, // one
   {id:'b'} ] }, // tail
} // end
`;

async function edited(raw: string, ...edits: Parameters<typeof applyEdits>[1]): Promise<string> {
  const result = await applyEdits(raw, edits);
  if (!result.ok) throw new Error(`${result.error.path}: ${result.error.message}`);
  return result.value;
}

async function comments(text: string): Promise<string[]> {
  const document = await parseDocument(text);
  if (!document.ok) throw new Error(document.error);
  return document.value.tokens.filter((token) => token.type === 'comment').map((token) => token.text);
}

describe('applyEdits', () => {
  test('CF-20 replaces a value and nothing else', async () => {
    expect(await edited(FILE, { op: 'set', path: 'gateway.bind', value: 'lan' })).toBe(FILE.replace("'loopback'", "'lan'"));
  });

  test('CF-20 adds a key in the style of its neighbours, behind the remark of the last one', async () => {
    expect(await edited(FILE, { op: 'set', path: 'gateway.mode', value: 'local' })).toBe(
      FILE.replace('// why loopback\n', "// why loopback\n    mode: 'local',\n"),
    );
  });

  test('CF-20 takes a key out and leaves every comment that is not inside its value', async () => {
    expect(await edited(FILE, { op: 'unset', path: 'gateway.port' })).toBe(
      FILE.replace('    port: 18789, // the port\n', '    // the port\n'),
    );
    expect(await edited('{\n  a: 1,\n  b: 2\n}\n', { op: 'unset', path: 'b' })).toBe('{\n  a: 1\n}\n');
    expect(await edited('{ a: 1, b: 2 }', { op: 'unset', path: 'a' })).toBe('{ b: 2 }');
    expect(await edited('{"a":{"x":[1,2]},"b":2}', { op: 'unset', path: 'a' })).toBe('{"b":2}');
  });

  test('CF-20 lists: change, append, remove', async () => {
    expect(await edited(FILE, { op: 'set', path: 'agents.list[0].id', value: 'first' })).toBe(FILE.replace("'main'", "'first'"));
    expect(JSON5.parse(await edited(FILE, { op: 'set', path: 'agents.list[2]', value: { id: 'c' } })).agents.list).toEqual([
      { id: 'main' },
      { id: 'b' },
      { id: 'c' },
    ]);
    expect(JSON5.parse(await edited(FILE, { op: 'unset', path: 'agents.list[0]' })).agents.list).toEqual([{ id: 'b' }]);
  });

  test('CF-20 makes what is missing on the way', async () => {
    expect(await edited('', { op: 'set', path: 'gateway.remote.url', value: 'ws://127.0.0.1:18789' })).toBe(
      "{\n  gateway: {\n    remote: {\n      url: 'ws://127.0.0.1:18789',\n    },\n  },\n}\n".replaceAll("'", '"'),
    );
    expect(await edited('{}', { op: 'set', path: 'agents.list[0].id', value: 'x' })).toBe('{ agents: {list:[{id:"x"}]} }');
  });

  test('CF-20 keeps strict JSON strict', async () => {
    const raw = '{\n    "gateway": {\n        "port": 18789\n    }\n}\n';
    const text = await edited(
      raw,
      { op: 'set', path: 'gateway.auth.mode', value: 'token' },
      { op: 'set', path: 'ui.seamColor', value: "it's" },
    );
    expect(JSON.parse(text)).toEqual({ gateway: { port: 18789, auth: { mode: 'token' } }, ui: { seamColor: "it's" } });
    expect(text).toContain('\n        "auth": {\n            "mode": "token"\n        }\n');
  });

  test('CF-20 keeps CRLF, a byte order mark and tabs', async () => {
    const raw = '\uFEFF{\r\n\tgateway: {\r\n\t\tport: 1, // x\r\n\t},\r\n}\r\n';
    expect(await edited(raw, { op: 'set', path: 'gateway.auth', value: { mode: 'token' } })).toBe(
      '\uFEFF{\r\n\tgateway: {\r\n\t\tport: 1, // x\r\n\t\tauth: {\r\n\t\t\tmode: "token",\r\n\t\t},\r\n\t},\r\n}\r\n',
    );
  });

  test('CF-20 where a name stands twice, the one that counts is changed and both are removed', async () => {
    expect(await edited('{a: 1, a: 2}', { op: 'set', path: 'a', value: 3 })).toBe('{a: 1, a: 3}');
    expect(JSON5.parse(await edited('{a: 1, b: 0, a: 2}', { op: 'unset', path: 'a' }))).toEqual({ b: 0 });
  });

  test.each([
    ['gateway.port.x', 1, 'EDIT_PATH', 'needs an object'],
    ['gateway[0]', 1, 'EDIT_PATH', 'needs a list'],
    ['agents.list[7]', 1, 'EDIT_PATH', 'past the end'],
    ['agents.x[3]', 1, 'EDIT_PATH', 'begin with [0]'],
    ['__proto__.polluted', 1, 'EDIT_PATH', 'not allowed'],
    ['a["constructor"]', 1, 'EDIT_PATH', 'not allowed'],
    ['a', Number.NaN, 'EDIT_VALUE', 'no value'],
    ['a', { ['__proto__x']: 1, b: 'x\0' }, 'EDIT_VALUE', 'NUL'],
    ['a', '\ud800', 'EDIT_VALUE', 'half of a character'],
    ['a', JSON.parse('{"__proto__": 1}'), 'EDIT_VALUE', '__proto__'],
    ['', 1, 'EDIT_PATH', 'empty'],
  ])('CF-21 set %s to %j is refused', async (path, value, code, message) => {
    const result = await applyEdits(FILE, [{ op: 'set', path, value }]);
    expect(result.ok ? result : { code: result.error.code, message: result.error.message }).toEqual({
      code,
      message: expect.stringContaining(message),
    });
  });

  test('CF-21 unset of what is not there says so', async () => {
    const result = await applyEdits(FILE, [{ op: 'unset', path: 'gateway.auth.token' }]);
    expect(result.ok ? undefined : result.error.code).toBe('EDIT_ABSENT');
  });
});

// Files as people write them: comments everywhere, quotes of both kinds, commas or not, on one line or many.
const gap = fc.constantFrom('', ' ', '\n', '\n  ', ' /* c */ ', ' // d\n', '\t', '\r\n');
const keyName = fc.constantFrom('a', 'b', 'c', '"d e"', "'f'", '$g', 'null', 'Infinity');
const scalar = fc.constantFrom('1', '-0.5', '0x1F', 'true', 'null', "'x'", '"y // no comment"', "'}'", '+Infinity', "'multi\\\nline'");
const { value: tree } = fc.letrec<{ value: string; object: string; array: string }>((tie) => ({
  value: fc.oneof({ depthSize: 'small' }, scalar, tie('object'), tie('array')),
  object: fc
    .tuple(fc.array(fc.tuple(gap, keyName, gap, gap, tie('value'), gap), { maxLength: 4 }), fc.boolean(), gap)
    .map(
      ([entries, comma, end]) =>
        `{${entries.map(([g1, k, g2, g3, v, g4]) => `${g1}${k}${g2}:${g3}${v}${g4}`).join(',')}${comma && entries.length > 0 ? ',' : ''}${end}}`,
    ),
  array: fc
    .tuple(fc.array(fc.tuple(gap, tie('value'), gap), { maxLength: 3 }), fc.boolean(), gap)
    .map(([items, comma, end]) => `[${items.map(([g1, v, g2]) => g1 + v + g2).join(',')}${comma && items.length > 0 ? ',' : ''}${end}]`),
}));
const file = fc
  .tuple(
    gap,
    tree.filter((text) => text.startsWith('{')),
    gap,
  )
  .map((parts) => parts.join(''));
const path = fc.array(fc.constantFrom('a', 'b', 'c', 'd e', 'f', '$g', 'new'), { minLength: 1, maxLength: 3 });

describe('laws of editing', () => {
  test('CF-20 what was set is read back, and no comment outside a replaced value is lost', async () => {
    await fc.assert(
      fc.asyncProperty(file, path, fc.oneof(fc.jsonValue(), fc.constant({ x: { y: [1, { z: 'é' }] } })), async (raw, keys, value) => {
        const before: unknown = JSON5.parse(raw);
        const result = await applyEdits(raw, [{ op: 'set', path: keys, value }]);
        if (!result.ok) {
          // Only for a reason: something that is no object stands in the way, or the value is not sound.
          const blocked = keys.some(
            (_, i) =>
              i > 0 &&
              valueAt(before, keys.slice(0, i)) !== undefined &&
              (typeof valueAt(before, keys.slice(0, i)) !== 'object' ||
                valueAt(before, keys.slice(0, i)) === null ||
                Array.isArray(valueAt(before, keys.slice(0, i)))),
          );
          return blocked || result.error.code === 'EDIT_VALUE';
        }
        const wasSet: unknown = valueAt(JSON5.parse(result.value), keys);
        const replaced = valueAt(before, keys) !== undefined;
        const kept = await comments(result.value);
        const had = await comments(raw);
        return sameJson(wasSet, value) && (replaced ? kept.length <= had.length : sameJson(kept, had));
      }),
      { numRuns: 800 },
    );
  });

  test('CF-20 set and unset again gives the values of before, with every comment', async () => {
    await fc.assert(
      fc.asyncProperty(file, fc.constantFrom('new', 'other one'), fc.constantFrom(1, 'x', { y: [true] }), async (raw, key, value) => {
        const there = await edited(raw, { op: 'set', path: [key], value });
        const back = await edited(there, { op: 'unset', path: [key] });
        return sameJson(JSON5.parse(back), JSON5.parse(raw)) && sameJson(await comments(back), await comments(raw));
      }),
      { numRuns: 500 },
    );
  });

  test('CF-20 unset leaves all other values and every comment outside', async () => {
    await fc.assert(
      fc.asyncProperty(file, async (raw) => {
        const before = JSON5.parse(raw) as Record<string, unknown>;
        for (const key of Object.keys(before)) {
          const after = await edited(raw, { op: 'unset', path: [key] });
          const { [key]: _, ...rest } = before;
          if (!sameJson(JSON5.parse(after), rest)) return false;
          const document = await parseDocument(raw);
          const entries =
            document.ok && document.value.root.kind === 'object' ? document.value.root.entries.filter((entry) => entry.key === key) : [];
          const plain = entries.every((entry) => entry.value.kind === 'scalar');
          if (plain && !sameJson(await comments(after), await comments(raw))) return false;
        }
        return true;
      }),
      { numRuns: 500 },
    );
  });

  test('CF-20 the edits between two trees lead from one to the other', async () => {
    const json = fc.dictionary(
      fc.constantFrom('a', 'b', 'c'),
      fc.oneof(fc.integer(), fc.dictionary(fc.constantFrom('x', 'y'), fc.string({ unit: 'grapheme-ascii' }))),
    );
    await fc.assert(
      fc.asyncProperty(json, json, async (a, b) => {
        const text = await edited(JSON.stringify(a, null, 2), ...editsBetween(a, b));
        return sameJson(JSON5.parse(text), b);
      }),
      { numRuns: 300 },
    );
  });
});

test('CF-21 what is no JSON5 is refused, not damaged', async () => {
  const result = await applyEdits('{\\q: 1}', [{ op: 'set', path: 'a', value: 1 }]);
  expect(result.ok ? undefined : result.error.code).toBe('EDIT_TEXT');
});
