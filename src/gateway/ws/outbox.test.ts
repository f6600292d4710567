import { EventEmitter } from 'node:events';
import type { Duplex } from 'node:stream';
import { expect, test } from 'vitest';
import type { WebSocket } from 'ws';
import { eventBody } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { joinDeltas } from '../events/shaped-event.ts';
import { Outbox, type OutEvent, SLOW_BYTES } from './outbox.ts';

/** The two ends an outbox writes through, by hand: what was sent, and how much the reader left lying. */
function reader() {
  const sent: string[] = [];
  const bytes: (string | Buffer)[] = [];
  const socket = Object.assign(new EventEmitter(), { writableLength: 0 });
  const ws = {
    readyState: 1,
    OPEN: 1,
    send: (text: string | Buffer) => {
      sent.push(text.toString());
      bytes.push(text);
    },
  };
  let overflowed = 0;
  const unsent: number[] = [];
  const outbox = new Outbox(ws as unknown as WebSocket, socket as unknown as Duplex, {
    fellBehind: () => overflowed++,
    unsent: (bytes) => unsent.push(bytes),
  });
  return { outbox, sent, bytes, unsent, socket, frames: () => sent.map((text) => JSON.parse(text)), overflowed: () => overflowed };
}

const delta = (text: string, added: string): OutEvent => {
  const payload = { runId: 'r', state: 'delta', deltaText: added, message: text };
  return { event: 'chat', payload, body: eventBody('chat', payload), durability: 'ephemeral', key: 'chat:r', join: joinDeltas };
};
const final: OutEvent = { event: 'chat', payload: { state: 'final' }, body: eventBody('chat', { state: 'final' }), durability: 'log' };
const tick: OutEvent = { event: 'tick', payload: {}, body: eventBody('tick', {}), durability: 'ephemeral' };

test('WS-8 WS-9 a slow reader gets joined deltas, then the ending, with no hole in seq', () => {
  const { outbox, socket, frames } = reader();
  outbox.event(delta('a', 'a'));
  socket.writableLength = SLOW_BYTES + 1;
  outbox.event(delta('ab', 'b'));
  outbox.event(tick);
  outbox.event(delta('abc', 'c'));
  expect(frames()).toHaveLength(1);
  outbox.event(final);
  expect(frames().map((f) => [f.seq, f.payload.state, f.payload.deltaText ?? null])).toEqual([
    [1, 'delta', 'a'],
    [2, 'delta', 'bc'],
    [3, 'final', null],
  ]);
  expect(frames()[1].payload.message).toBe('abc');
});

test('WS-9 what was held back goes out when the reader caught up', () => {
  const { outbox, socket, frames } = reader();
  socket.writableLength = SLOW_BYTES + 1;
  outbox.event(delta('a', 'a'));
  expect(frames()).toHaveLength(0);
  socket.writableLength = 0;
  socket.emit('drain');
  expect(frames().map((f) => f.seq)).toEqual([1]);
});

test('WS-80 nothing of a large answer is kept when the system has taken it at once, together with others or not', () => {
  const { outbox, socket, bytes } = reader();
  const large = 'x'.repeat(100_000);
  for (let i = 0; i < 10; i++) outbox.text(large);
  Object.assign(socket, { cork: () => {}, uncork: () => {} });
  outbox.together(() => outbox.text(large));
  expect(bytes.map(({ length }) => length)).toEqual(bytes.map(() => 0));
  socket.writableLength = 100_000;
  outbox.text(large);
  expect(bytes.at(-1)?.length).toBe(100_000);
  socket.writableLength = 0;
  socket.emit('drain');
  expect(bytes.at(-1)?.length).toBe(0);
});

test('WS-9 a reader that lets 16 MiB lie is given up', () => {
  const { outbox, socket, sent, overflowed } = reader();
  socket.writableLength = LIMITS.maxBufferedBytes + 1;
  outbox.event(final);
  expect(overflowed()).toBe(1);
  expect(sent).toHaveLength(0);
});
