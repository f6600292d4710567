import { expect, test } from 'vitest';
import { wordsOf } from './guide/doc-search.ts';
import { guideAnswer } from './guide/guide.ts';
import { languageOf } from './guide/language.ts';
import { providerFailure } from './providers/failure.ts';
import { canonicalSessionKey } from './session-key.ts';
import { oneLine } from './text.ts';

const PUMPS = [
  '.',
  ' ',
  'a',
  '"',
  '\\',
  '<',
  '0',
  '\n',
  '-',
  '_',
  '中',
  '\u0301',
  '😀',
  'tool param',
  'tools use ',
  'sk-',
  'a.',
  'a-',
  'context ',
  'exceed_',
  '```\n',
  '# \n',
  'agent:',
];
const text = (pump: string, chars = 1_000_000): string => pump.repeat(Math.floor(chars / pump.length));
/** A quarter of a second on a busy machine; what was not linear took from seconds to hours. */
const within = (ms: number, work: () => unknown): void => {
  const started = performance.now();
  work();
  expect(performance.now() - started).toBeLessThan(ms);
};
const CONTEXT = { provider: 'p', model: 'm', baseUrl: 'https://p.test/v1', keyHint: 'key', secrets: ['s3cr3t-value'] };

test.each(PUMPS)('AG-120 an error of a provider made of %j is read in time that is in proportion', (pump) => {
  const long = text(pump, 900_000);
  for (const error of [{ message: long }, { type: long, message: 'x' }, { code: long, type: long }, { message: 'x', param: long }])
    for (const thrown of [
      { error },
      error,
      Object.assign(new Error(long), { statusCode: 400, responseBody: JSON.stringify({ error }) }),
      Object.assign(new Error('x'), { statusCode: 500, responseBody: JSON.stringify(error), responseHeaders: { 'retry-after': long } }),
      Object.assign(new Error(long), { cause: Object.assign(new Error(long), { code: long }) }),
    ])
      within(1_000, () => expect(providerFailure(thrown, CONTEXT, false).error.message.length).toBeLessThanOrEqual(500));
});

test.each(PUMPS)('AG-122 a question made of %j is understood, and a name judged, in time that is in proportion', (pump) => {
  const long = text(pump);
  within(1_500, () => wordsOf(long));
  within(1_500, () => languageOf(long));
  within(1_000, () => canonicalSessionKey(long));
  within(1_000, () => oneLine(long, 300));
  expect(guideAnswer).toBeTypeOf('function');
});

test('AG-120 that a model has no tools is told as before', () => {
  for (const message of [
    'm does not support tools',
    'Tool calling is not supported here',
    'this requires --jinja',
    'tool use: unsupported',
  ])
    expect(
      providerFailure(
        Object.assign(new Error('x'), { statusCode: 400, responseBody: JSON.stringify({ error: { message } }) }),
        CONTEXT,
        false,
      ).toolsUnsupported,
    ).toBe(true);
  const other = providerFailure(
    Object.assign(new Error('x'), { statusCode: 400, responseBody: '{"error":{"message":"tool choice. not supported"}}' }),
    CONTEXT,
    false,
  );
  expect(other.toolsUnsupported).toBeUndefined();
});
