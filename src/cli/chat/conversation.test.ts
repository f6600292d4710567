import { expect, test } from 'vitest';
import { Refuse, scriptedGateway } from '../../../test/support/fake-cli-env.ts';
import { manualClock, settled } from '../../../test/support/manual-clock.ts';
import { GatewayClient } from '../../client/client.ts';
import type { Gateway } from '../gateway.ts';
import type { ResolvedTarget } from '../target.ts';
import { Conversation, type Ending, type View } from './conversation.ts';

const KEY = 'agent:main:main';
const target: ResolvedTarget = {
  endpoint: { door: 'ws', url: 'ws://127.0.0.1:1/' },
  shown: 'ws://127.0.0.1:1/',
  credentials: {},
  trusted: true,
  source: 'test',
  mode: 'local',
  configPath: '/c',
};
const message = (text: string) => ({ role: 'assistant', content: [{ type: 'text', text }] });
const past = (seq: number, role: string, text: string, runId?: string) => ({
  role,
  content: [{ type: 'text', text }],
  __openclaw: { id: `e${seq}`, seq, ...(runId === undefined ? {} : { runId }) },
});

/** A conversation with a gateway whose history and answers the test holds. */
async function conversing(options: { history?: unknown[]; send?: (params: Record<string, unknown>) => unknown } = {}) {
  const clock = manualClock();
  const seen: string[] = [];
  const sent: Record<string, unknown>[] = [];
  let history = options.history ?? [];
  const gateway = scriptedGateway({
    'agents.list': { defaultId: 'main', mainKey: 'main' },
    'chat.history': () => ({ messages: history }),
    'chat.send': (params: Record<string, unknown>) => {
      sent.push(params);
      return options.send?.(params) ?? { runId: params['idempotencyKey'], status: 'started' };
    },
    'chat.abort': { ok: true, aborted: true, runIds: [] },
  });
  const client = new GatewayClient({
    openSocket: gateway.openSocket,
    clock,
    target: () => target,
    hello: { client: { id: 'cli', mode: 'cli', version: '1', platform: 'linux' }, role: 'operator', scopes: [] },
    reconnect: true,
    random: () => 0,
  });
  const view: View = {
    answer: (more) => seen.push(`+${more}`),
    answerEnd: () => seen.push('end'),
    answerRestart: () => seen.push('restart'),
    message: (role, text) => seen.push(`${role}: ${text}`),
    tool: (name) => seen.push(`tool ${name}`),
    busy: () => {},
    notice: (text) => seen.push(`notice ${text}`),
    problem: (text, fix) => seen.push(`problem ${text}${fix === undefined ? '' : ` / ${fix}`}`),
  };
  await client.connect();
  const via: Gateway = {
    client,
    target,
    call: async (name, params) => {
      const answer = await client.request(name, params);
      if (answer.ok) return answer.value;
      throw new Error('refused');
    },
    close: () => client.close(),
  };
  let ids = 0;
  const talk = new Conversation(via, view, { sessionKey: 'main', newId: () => `run-${++ids}` });
  await talk.start(10);
  return {
    talk,
    seen,
    sent,
    clock,
    client,
    gateway,
    remember: (messages: unknown[]) => {
      history = messages;
    },
    chat: (payload: Record<string, unknown>) => gateway.emit('chat', { sessionKey: KEY, ...payload }),
    /** Drops the connection and waits until it is back. */
    async bounce(between: () => void | Promise<void> = () => {}) {
      gateway.cut();
      await between();
      await clock.advance(1_000);
      await until(() => client.state.kind === 'open');
    },
  };
}
async function until(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 50; i++) {
    if (condition()) return;
    await settled();
  }
  throw new Error('it did not come about');
}

test('CL-33 shows the past, streams the answer once, whatever the pieces', async () => {
  const c = await conversing({ history: [past(1, 'user', 'before'), past(2, 'assistant', 'indeed')] });
  expect(c.seen).toEqual(['user: before', 'assistant: indeed']);
  const ending = c.talk.send('hi');
  await until(() => c.sent.length === 1);
  expect(c.sent[0]).toMatchObject({ sessionKey: KEY, message: 'hi', idempotencyKey: 'run-1' });
  c.chat({ runId: 'run-1', state: 'delta', message: message('Hel') });
  c.chat({ runId: 'run-1', state: 'delta', message: message('Hello') });
  c.chat({ runId: 'run-1', state: 'final', message: message('Hello.') });
  c.chat({ runId: 'run-1', state: 'final', message: message('Hello.') });
  expect(await ending).toEqual({ state: 'final', text: 'Hello.' });
  expect(c.seen.slice(2)).toEqual(['+Hel', '+lo', '+.', 'end']);
});

test('CL-33 a provider that failed mid-answer and is asked again: what was shown is void', async () => {
  const c = await conversing();
  void c.talk.send('hi');
  await settled();
  c.chat({ runId: 'run-1', state: 'delta', message: message('Wrong') });
  c.chat({ runId: 'run-1', state: 'delta', deltaText: '', replace: true, message: message('') });
  c.chat({ runId: 'run-1', state: 'final', message: message('Right') });
  expect(c.seen).toEqual(['+Wrong', 'restart', '+', '+Right', 'end']);
});

test('CL-33 other sessions are not shown; another run of this one is, when it is complete', async () => {
  const c = await conversing();
  void c.talk.send('hi');
  await settled();
  c.chat({ runId: 'run-1', state: 'delta', message: message('Mine') });
  c.gateway.emit('chat', { sessionKey: 'agent:main:other', runId: 'x', state: 'final', message: message('elsewhere') });
  c.chat({ runId: 'theirs', state: 'delta', message: message('Th') });
  c.chat({ runId: 'theirs', state: 'final', message: message('Theirs') });
  c.chat({ runId: 'run-1', state: 'final', message: message('Mine.') });
  expect(c.seen).toEqual(['+Mine', 'assistant: Theirs', '+.', 'end']);
});

test('CL-33 a failed run says why and how to mend it, once', async () => {
  const c = await conversing();
  const ending = c.talk.send('hi');
  await settled();
  for (let i = 0; i < 2; i++) c.chat({ runId: 'run-1', state: 'error', errorMessage: '401 no', errorDetail: { fix: 'set a key' } });
  expect(await ending).toEqual({ state: 'error', message: '401 no' });
  expect(c.seen).toEqual(['problem 401 no / set a key']);
});

test('CL-34 an answer that was cut by a drop is completed from the history, without a word twice', async () => {
  const c = await conversing({ history: [past(1, 'user', 'old')] });
  const ending = c.talk.send('hi');
  await until(() => c.sent.length === 1);
  c.chat({ runId: 'run-1', state: 'delta', message: message('Half of') });
  await c.bounce(() =>
    c.remember([
      past(1, 'user', 'old'),
      past(2, 'user', 'hi', 'run-1'),
      past(3, 'assistant', 'Half of the truth', 'run-1'),
      past(4, 'user', 'from the phone', 'r9'),
    ]),
  );
  expect(await c.talk.resume()).toBe(2);
  expect(await ending).toEqual({ state: 'final', text: 'Half of the truth' });
  expect(c.seen).toEqual(['user: old', '+Half of', '+ the truth', 'end', 'user: from the phone']);
  expect(c.sent).toHaveLength(1);
  expect(await c.talk.resume()).toBe(0);
});

test('CL-34 a run that a restart cut ends as a failure, with the text it had', async () => {
  const c = await conversing();
  const ending = c.talk.send('hi');
  await until(() => c.sent.length === 1);
  c.chat({ runId: 'run-1', state: 'delta', message: message('Half') });
  const cut = {
    role: 'assistant',
    stopReason: 'error',
    content: [
      { type: 'text', text: 'Half of' },
      { type: 'text', text: 'It was interrupted.' },
    ],
    __openclaw: { seq: 2, runId: 'run-1' },
  };
  await c.bounce(() => c.remember([past(1, 'user', 'hi', 'run-1'), cut]));
  await c.talk.resume();
  expect(await ending).toEqual({ state: 'error', message: 'It was interrupted.' });
  expect(c.seen).toEqual(['+Half', '+ of', 'end', 'problem It was interrupted.']);
});

test('CL-34 what was typed offline waits in order and goes out once, with its key', async () => {
  const c = await conversing();
  let endings: Promise<Ending>[] = [];
  await c.bounce(() => {
    endings = [c.talk.send('one'), c.talk.send('two')];
  });
  expect(c.sent).toEqual([]);
  await c.talk.resume();
  expect(c.sent.map(({ message: text, idempotencyKey }) => [text, idempotencyKey])).toEqual([
    ['one', 'run-1'],
    ['two', 'run-2'],
  ]);
  await c.talk.resume();
  expect(c.sent).toHaveLength(2);
  c.chat({ runId: 'run-1', state: 'final', message: message('1') });
  c.chat({ runId: 'run-2', state: 'final', message: message('2') });
  expect(await Promise.all(endings)).toEqual([
    { state: 'final', text: '1' },
    { state: 'final', text: '2' },
  ]);
});

test('CL-34 a message whose acknowledgement was lost is sent again under the same key', async () => {
  let first = true;
  const c = await conversing({
    send: () => {
      if (!first) return undefined;
      first = false;
      c.gateway.cut();
      return undefined;
    },
  });
  const ending = c.talk.send('hi');
  await until(() => c.sent.length === 1);
  await c.bounce();
  await c.talk.resume();
  expect(c.sent.map(({ idempotencyKey }) => idempotencyKey)).toEqual(['run-1', 'run-1']);
  c.chat({ runId: 'run-1', state: 'final', message: message('ok') });
  expect(await ending).toEqual({ state: 'final', text: 'ok' });
});

test('CL-34 a repeat of a run that has ended meanwhile is answered from the history', async () => {
  const c = await conversing({ send: ({ idempotencyKey }) => ({ runId: idempotencyKey, status: 'ok' }) });
  c.remember([past(1, 'user', 'hi', 'run-1'), past(2, 'assistant', 'long done', 'run-1')]);
  expect(await c.talk.send('hi')).toEqual({ state: 'final', text: 'long done' });
});

test('CL-33 a refusal ends the message; a stop phrase starts no run', async () => {
  const refusing = await conversing({
    send: () => new Refuse({ code: 'FORBIDDEN', message: 'missing scope: operator.write', details: { fix: 'ask' } }),
  });
  expect(await refusing.talk.send('hi')).toEqual({ state: 'error', message: 'missing scope: operator.write' });
  expect(refusing.seen).toEqual(['problem missing scope: operator.write / ask']);
  const stopping = await conversing({ send: () => ({ ok: true, aborted: true, runIds: [] }) });
  expect(await stopping.talk.send('stop')).toEqual({ state: 'aborted', text: '' });
});

test('CL-33 abort names the run that is shown', async () => {
  const c = await conversing();
  expect(await c.talk.abort()).toBe(false);
  void c.talk.send('hi');
  await settled();
  expect(await c.talk.abort()).toBe(true);
  expect(c.gateway.asked.at(-1)).toMatchObject({ method: 'chat.abort', params: { sessionKey: KEY, runId: 'run-1' } });
});
