import { expect, test } from 'vitest';
import * as z from 'zod/mini';
import { manualClock } from '../../test/support/manual-clock.ts';
import type { Principal } from '../auth/admit.ts';
import { silentLog } from '../lib/log.ts';
import { defineMethod } from '../protocol/define.ts';
import type { Call, Handler } from './call.ts';
import { bindMethods, perform, precheck } from './dispatch.ts';
import { FairLanes } from './lanes.ts';
import { Hub, type Receiver } from './ws/hub.ts';

const leave = defineMethod<unknown>()({ name: 'leave', scope: 'operator.read', effect: 'read', params: z.object({}) });
const RATE = { burst: 1, perSecond: 1 };

/** Two connections of one device in a hub, and a method that closes both; what each of them saw, in order. */
async function leaving(handler: (call: Call, closeAll: () => void) => unknown): Promise<string[]> {
  const seen: string[] = [];
  const principal = { id: 'device:d', kind: 'device', role: 'operator', scopes: ['operator.read'], deviceId: 'd' } as unknown as Principal;
  const hub = new Hub();
  const base = {
    protocol: 4,
    principal,
    caps: new Set<string>(),
    subscriptions: { sessions: false, messages: new Set<string>(), all: false },
  } as const;
  const receiver = (connId: string): Receiver => ({ ...base, connId, event: () => {}, close: () => void seen.push(`${connId} closed`) });
  hub.add(receiver('mine'));
  hub.add(receiver('second'));
  const lanes = new FairLanes(manualClock(), { lane: RATE, share: RATE, spare: RATE });
  const bound: Handler<never> = (_, call) => handler(call, () => hub.closeWhere(({ deviceId }) => deviceId === 'd', 4001, 'gone', call));
  const methods = bindMethods(new Map([['leave', leave]]), { leave: bound });
  const call = { ...base, connId: 'mine', openedAt: 0, clientId: 'c', clientMode: 'm', clientLabel: 'l', hold: () => () => {} };
  await new Promise<void>((resolve) => {
    const ports = { methods, log: silentLog, writes: lanes, control: lanes };
    const checked = precheck(ports, 'leave', 10, call);
    if (!('bound' in checked)) throw new Error('refused');
    void perform(ports, checked.bound, { type: 'req', id: '1', method: 'leave' }, call, (text) => {
      seen.push(JSON.parse(text).ok ? 'answered' : 'refused');
      setImmediate(resolve);
    });
  });
  return seen;
}

test.each([
  ['answers at once', (_: Call, closeAll: () => void) => closeAll(), 'answered'],
  [
    'answers later',
    async (_: Call, closeAll: () => void) => {
      closeAll();
      await new Promise(setImmediate);
      return { token: 't' };
    },
    'answered',
  ],
  [
    'fails',
    async (_: Call, closeAll: () => void) => {
      closeAll();
      throw new Error('a bug');
    },
    'refused',
  ],
  [
    'fails at once',
    (_: Call, closeAll: () => void) => {
      closeAll();
      throw new Error('a bug');
    },
    'refused',
  ],
])('PA-50: a handler that %s: its caller is closed after the answer, the other connection before it', async (_, handler, answer) => {
  expect(await leaving(handler)).toEqual(['second closed', answer, 'mine closed']);
});
