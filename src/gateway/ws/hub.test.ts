import { expect, test } from 'vitest';
import { until } from '../../../test/support/until.ts';
import type { Principal } from '../../auth/admit.ts';
import { Hub, type Receiver } from './hub.ts';
import type { OutEvent } from './outbox.ts';

const principal = { id: 'p', role: 'operator', scopes: ['operator.admin'] } as unknown as Principal;

test('EV-161 large frames for many go out over several turns, in order for each; the first one does not wait', async () => {
  const hub = new Hub();
  const got = new Map<string, string[]>();
  for (let i = 0; i < 20; i++) {
    const connId = `c${i}`;
    const events: string[] = [];
    got.set(connId, events);
    const receiver: Receiver = {
      connId,
      protocol: 4,
      principal,
      caps: new Set(),
      subscriptions: { sessions: false, all: false, messages: new Set() },
      event: ({ payload }: OutEvent) => void events.push((payload as { name: string }).name),
      close: () => {},
    } as unknown as Receiver;
    hub.add(receiver);
  }
  const names = ['a', 'b', 'c', 'd'];
  for (const name of names) {
    hub.broadcast({ event: 'chat', first: 'c19', payload: () => ({ name, text: 'x'.repeat(name === 'd' ? 10 : 200_000) }) });
  }
  expect(got.get('c19')).toEqual(names);
  expect([...got.values()].filter((events) => events.length > 0).length).toBeLessThan(6);
  expect(hub.isBehind).toBe(true);
  await until(() => !hub.isBehind);
  for (const events of got.values()) expect(events).toEqual(names);
});

test('EV-161 small frames go out at once', () => {
  const hub = new Hub();
  let count = 0;
  for (let i = 0; i < 200; i++) {
    hub.add({ connId: `c${i}`, protocol: 4, principal, caps: new Set(), event: () => count++, close: () => {} } as unknown as Receiver);
  }
  hub.broadcast({ event: 'chat', payload: () => ({ state: 'delta' }) });
  expect(count).toBe(200);
});

test('EV-161 a reader with much before it gets the rest when it has taken some, and holds nobody up', async () => {
  const hub = new Hub();
  const got: string[] = [];
  let backlog = 5 * 1024 * 1024;
  const base = { protocol: 4, principal, caps: new Set(), close: () => {} };
  const slow = {
    ...base,
    connId: 'slow',
    get backlog() {
      return backlog;
    },
    event: ({ payload }: OutEvent) => void got.push((payload as { name: string }).name),
  };
  let others = 0;
  hub.add(slow as unknown as Receiver);
  hub.add({ ...base, connId: 'other', event: () => others++ } as unknown as Receiver);
  for (const name of ['a', 'b']) hub.broadcast({ event: 'chat', payload: () => ({ name }) });
  expect(got).toEqual([]);
  expect(others).toBe(2);
  expect(hub.isBehind).toBe(false);
  backlog = 0;
  await until(() => got.length === 2);
  expect(got).toEqual(['a', 'b']);
});
