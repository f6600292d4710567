import { expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import type { Principal } from '../auth/admit.ts';
import type { PresenceEntry } from '../protocol/connect.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Health } from './health.ts';
import { Presence } from './presence.ts';
import { PresenceLine, TELL_MS } from './presence-line.ts';
import type { WsConnection } from './ws/connection.ts';
import { Hub, type Receiver } from './ws/hub.ts';
import type { OutEvent } from './ws/outbox.ts';

const entry = (name: string): PresenceEntry => ({ host: name, text: `Node: ${name}`, mode: 'ui', reason: 'connect', ts: 0 });

test('WS-25 the list as text is the list, whoever came and went', () => {
  const clock = manualClock();
  const presence = new Presence(clock, entry('self'));
  const same = (): void => expect(JSON.parse(presence.json())).toEqual(presence.list());
  same();
  presence.set('a', entry('a "quoted" \u2028'));
  presence.set('b', entry('b'));
  same();
  presence.leave('a');
  same();
  expect(presence.list().map(({ host, reason }) => `${host?.[0]} ${reason}`)).toEqual(['s connect', 'b connect', 'a disconnect']);
});

test('WS-25 who left is forgotten after a while, and the table is bounded', async () => {
  const clock = manualClock();
  const presence = new Presence(clock, entry('self'));
  presence.set('stays', entry('stays'));
  presence.set('left', entry('left'));
  presence.leave('left');
  await clock.advance(LIMITS.presenceMs + 1);
  expect(JSON.parse(presence.json()).map(({ host }: PresenceEntry) => host)).toEqual(['self', 'stays']);
  for (let i = 0; i < LIMITS.presenceEntries + 10; i++) presence.set(`c${i}`, entry(`c${i}`));
  expect(presence.list()).toHaveLength(LIMITS.presenceEntries + 1);
});

test('WS-25 the text goes as far as its bytes go, the newest first to stay', () => {
  const presence = new Presence(manualClock(), entry('self'));
  for (let i = 0; i < 150; i++) presence.set(`c${i}`, { ...entry(`c${i}`), text: 'x'.repeat(900) });
  const hosts = JSON.parse(presence.json()).map(({ host }: PresenceEntry) => host);
  expect(presence.json().length).toBeLessThan(LIMITS.presenceBytes + 2_000);
  expect([hosts[0], hosts.at(-1)]).toEqual(['self', 'c149']);
  expect(hosts.length).toBeGreaterThan(25);
  expect(JSON.parse(presence.json(Number.POSITIVE_INFINITY))).toHaveLength(151);
});

test('WS-25 a few are told at once, a crowd a slice after the other, and all of them what came last', async () => {
  const clock = manualClock();
  const hub = new Hub();
  const presence = new Presence(clock, entry('self'));
  const line = new PresenceLine(presence, { version: 1 } as unknown as Health, hub, clock);
  const heard: OutEvent[] = [];
  const principal = { id: 'p', role: 'operator', scopes: ['operator.read'], ingress: 'local' } as unknown as Principal;
  const receiver = (event: (event: OutEvent) => void): Receiver => ({
    connId: '',
    protocol: 3,
    principal,
    caps: new Set(),
    subscriptions: { sessions: false, messages: new Set(), all: false },
    event,
    close: () => {},
  });
  hub.add(
    receiver((event) => {
      if (event.event === 'presence') heard.push(event);
    }),
  );
  const join = (connId: string): void =>
    line.join(
      { connId, openedAt: 0, protocol: 3, client: { id: 'x', version: '1', platform: 'linux', mode: 'ui' }, principal },
      { via: { address: '127.0.0.1' }, announced: [] } as never,
      {} as WsConnection,
    );
  for (let i = 0; i < 200; i++) join(`c${i}`);
  await clock.advance(TELL_MS);
  expect(heard).toHaveLength(1);
  expect(heard[0]?.body).toContain('"event":"presence","payload":{"presence":[{"host":"self"');

  join('one more');
  await clock.advance(TELL_MS);
  expect(heard).toHaveLength(2);

  let crowd = 0;
  for (let i = 0; i < 5_000; i++) hub.add(receiver(({ event }) => void (event === 'presence' && crowd++)));
  join('to a crowd');
  await clock.advance(TELL_MS);
  expect(crowd).toBeGreaterThan(0);
  expect(crowd).toBeLessThan(500);
  join('while it is told');
  await clock.advance(20_000);
  // Large events for many leave over several turns of the real loop.
  while (heard.length < 4 || crowd < 10_000) await new Promise((resolve) => setImmediate(resolve));
  expect(heard.length).toBe(4);
  expect(crowd).toBe(10_000);
  line.stop();
});
