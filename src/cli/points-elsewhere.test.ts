import fc from 'fast-check';
import JSON5 from 'json5';
import { expect, test } from 'vitest';
import { FIRST_CONFIG } from '../config/first-run.ts';
import { configMayPointElsewhere } from './points-elsewhere.ts';

test('CL-22 the first config, whose comments speak of "remote", needs no parser', () => {
  expect(configMayPointElsewhere(FIRST_CONFIG)).toBe(false);
  expect(configMayPointElsewhere('')).toBe(false);
});

test.each([
  '{ gateway: { mode: "remote" } }',
  `{ gateway: { mode: 'remote' } } // local`,
  '{ x: "http://a", gateway: { mode: "remote" } }',
  '{ x: "/* not a comment", gateway: { mode: "remote" }, y: "*/" }',
  "{ x: 'it\\'s // ', gateway: { mode: \"remote\" } }",
  '// "\n{ gateway: { mode: "remote" } } // "',
  '/* \' */ { gateway: { mode: "remote" } }',
  '// a\u2028{ gateway: { mode: "remote" } }',
  '{ gateway: { mode: "rem\\u006fte" } }',
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable in the file
  '{ gateway: { mode: "${MODE}" } }',
  '{ $include: "other.json5" }',
  '{ env: { OPENCLAW_GATEWAY_URL: "wss://x" } }',
  '{ gateway: {} } /* never ends',
])('CL-22 %j must be parsed', (text) => {
  expect(configMayPointElsewhere(text)).toBe(true);
});

test('CL-22 whatever stands around it, a mode of "remote" is never overlooked', () => {
  const comment = fc.oneof(
    fc.string({ maxLength: 12 }).map((text) => `//${text.replace(/[\n\r\u2028\u2029]/g, '')}\n`),
    fc.string({ maxLength: 12 }).map((text) => `/*${text.replaceAll('*/', '')} */`),
    fc.constantFrom('', ' ', '\n', '//"\n', "//'\n", '/*"*/', '/* // */'),
  );
  const other = fc.string({ maxLength: 12 }).map((text) => `x: ${JSON5.stringify(text)},`);
  fc.assert(
    fc.property(comment, other, comment, comment, (a, b, c, d) => {
      const text = `${a}{ ${b} ${c} gateway: { mode: ${d} "remote" } }`;
      let parsed: { gateway?: { mode?: string } };
      try {
        parsed = JSON5.parse(text) as typeof parsed;
      } catch {
        return true;
      }
      return parsed.gateway?.mode !== 'remote' || configMayPointElsewhere(text);
    }),
    { numRuns: 2000 },
  );
});
