import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { silentLog } from '../lib/log.ts';
import { AUDIT, AuditTrail, printable } from './audit.ts';
import type { AuditEntry } from './ports.ts';

function trail() {
  const clock = manualClock();
  const lines: AuditEntry[] = [];
  return { clock, lines, audit: new AuditTrail({ append: async (entries) => void lines.push(...entries) }, clock, silentLog) };
}

test('AU-110 the first of its kind is written within a second, those alike are one line when the window ends', async () => {
  const { clock, lines, audit } = trail();
  for (let i = 0; i < 100; i++) audit.counted({ event: 'refused', code: 'X', address: '192.0.2.1' }, AUDIT.refusedWindowMs);
  await clock.advance(AUDIT.flushMs);
  expect(lines).toMatchObject([{ event: 'refused', code: 'X', count: 1 }]);
  await clock.advance(AUDIT.refusedWindowMs);
  expect(lines.map(({ count }) => count)).toEqual([1, 99]);
});

test('AU-110 a flood of different ones is bounded, and none is uncounted', async () => {
  const { clock, lines, audit } = trail();
  for (let i = 0; i < 5_000; i++) audit.counted({ event: 'refused', address: `192.0.2.${i}` }, AUDIT.refusedWindowMs);
  await clock.advance(AUDIT.refusedWindowMs + 2 * AUDIT.flushMs);
  expect(lines.length).toBeLessThanOrEqual(AUDIT.groups + 1);
  expect(lines.reduce((sum, { count }) => sum + count, 0)).toBe(5_000);
});

test('AU-111 a sink that fails loses its lines but not the trail', async () => {
  const clock = manualClock();
  let fail = true;
  const lines: AuditEntry[] = [];
  const sink = {
    append: async (entries: readonly AuditEntry[]) => {
      if (fail) throw new Error('disk full');
      lines.push(...entries);
    },
  };
  const audit = new AuditTrail(sink, clock, silentLog);
  audit.event({ event: 'one' });
  await audit.flush();
  fail = false;
  audit.event({ event: 'two' });
  await audit.flush();
  expect(lines.map(({ event }) => event)).toEqual(['two']);
});

test('AU-112 what a stranger sent cannot forge a line or flood one', async () => {
  const { lines, audit } = trail();
  audit.event({ event: 'refused', client: `a\nb\u202ec\u0000${'x'.repeat(5_000)}` });
  await audit.flush();
  expect(lines[0]?.client).toMatch(/^a\\u000ab\\u202ec\\u0000x+$/);
  expect(lines[0]?.client?.length).toBeLessThan(AUDIT.fieldChars + 20);
  expect(printable('😀'.repeat(10), 3)).toBe('😀😀😀');
});
