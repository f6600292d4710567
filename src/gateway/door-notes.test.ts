import { expect, test } from 'vitest';
import { FACTS, testDoor } from '../../test/support/door.ts';
import { manualClock } from '../../test/support/manual-clock.ts';
import { silentLog } from '../lib/log.ts';
import { DoorNotes } from './door-notes.ts';

const forwarder = (address: string, name: string) => ({
  ...FACTS.local,
  peer: { address },
  forwarding: { present: true, names: [name], funnel: false },
});

test('AU-11 a forwarder that nobody listed is named once, with the line that would list it; who invents more fills no log', async () => {
  const clock = manualClock();
  const said: string[] = [];
  const notes = new DoorNotes(clock, { ...silentLog, warn: (message) => said.push(message) });
  const door = testDoor();
  const knock = async (address: string, name = 'x-forwarded-for') => notes.seen(await door.knock(forwarder(address, name), {}));
  await knock('127.0.0.1');
  await knock('127.0.0.1');
  await knock('127.0.0.1', `x-forwarded-${'y'.repeat(5_000)}`);
  expect(said).toEqual([
    'x-forwarded-for from 127.0.0.1, which is not a listed proxy; if it is yours: gateway.trustedProxies: ["127.0.0.1"]',
  ]);
  expect(notes.list()).toEqual([{ path: 'gateway.trustedProxies', message: said[0] }]);
  for (let i = 0; i < 100; i++) await knock(`192.0.2.${i}`, `x-forwarded-${'y'.repeat(5_000)}`);
  expect(said).toHaveLength(32);
  expect(Math.max(...said.map(({ length }) => length))).toBe(300);
  await clock.advance(3_600_000);
  expect(notes.list()).toEqual([]);
  await knock('127.0.0.1');
  expect(said).toHaveLength(33);
});

test('AU-75 what is let through only because the config says so is said', async () => {
  const said: string[] = [];
  const notes = new DoorNotes(manualClock(), { ...silentLog, warn: (message) => said.push(message) });
  notes.seen(await testDoor({ mode: 'none', secret: undefined }).knock(FACTS.local, {}));
  expect(said).toEqual(['gateway.auth.mode is none: every process of this user has full control']);
});
