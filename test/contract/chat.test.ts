import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Frame, newDevice } from '../support/wire.ts';
import { Differences } from './support/differences.ts';
import { type House, openHouse } from './support/house.ts';
import { type Line, type RecordedConnect, recordedCalls, recordedConnect, recording, type Value } from './support/recording.ts';
import { expectDenseSeq, type Replay, replay } from './support/replay.ts';
import { shapeDifferences } from './support/shape.ts';
import { expectTranscript, sanitiser, thinned } from './support/transcript.ts';

/** Conversations as they were recorded, held again with a scripted model: the same frames in the same order and shape. */

const DIFFERENCES = new Differences([
  {
    line: '9',
    in: /^(chat|agent) /,
    at: ['frame.recipientProfileId'],
    reason: 'people have no profiles here; clients read it to tell several owners apart',
  },
  {
    line: '9',
    in: /^agent tool (start|result)$/,
    at: [
      ...[
        'session',
        'updatedAt',
        'sessionId',
        'createdActor',
        'owner',
        'participants',
        'participantCount',
        'kind',
        'visibility',
        'chatType',
      ],
      ...['archived', 'archivedAt', 'archivedBy', 'archiveReason', 'pinned', 'pinnedAt', 'unread', 'markedUnreadAt', 'agentStatus'],
      ...['observerDigest', 'activitySummary', 'controlOwnerSessionKey', 'swarm', 'permissionMode', 'permissionModePending', 'createdVia'],
      ...['createdAt', 'label', 'autoLabel', 'icon', 'color', 'channelAvatarUrl', 'category', 'boardPresentation', 'displayName'],
      ...['thinkingLevel', 'effectiveFastMode', 'effectiveFastModeSource', 'fastAutoOnSeconds', 'toolOverrides', 'systemSent'],
      ...['abortedLastRun', 'restartRecoveryStatus', 'totalTokens', 'totalTokensFresh', 'goal', 'contextTokens', 'contextBudgetStatus'],
      ...[
        'effectiveResponseUsage',
        'modelProvider',
        'model',
        'activeModelProvider',
        'activeModel',
        'modelOverrideSource',
        'agentRuntime',
        'runtimeSelectionLocked',
      ],
    ].map((key) => `payload.${key}`),
    reason: 'a copy of the session row on each tool frame: whoever wants rows subscribes to sessions.changed',
  },
  {
    in: 'agent outcome',
    at: ['result.meta.agentMeta.lastCallUsage', 'result.meta.agentMeta.promptTokens', 'result.meta.systemPromptReport'],
    reason: 'a report on the prompt that only a person who debugs it reads; usage holds the sums',
  },
  {
    line: '9',
    in: 'agent outcome',
    at: ['result.sourceReplyDeliveryState'],
    reason: 'the answer goes to who asked, and to no channel',
  },
  {
    line: '9',
    in: 'agent item start',
    at: ['payload.data.meta'],
    reason: 'the title holds it; meta comes with the end',
  },
  {
    line: '9',
    in: 'agent tool result',
    at: ['payload.data.result.details'],
    reason: 'details differ from tool to tool; ours have none',
  },
]);

/** Frames that are not sent, or sent beside the recorded ones, on purpose. */
const FRAMES: readonly {
  readonly captures: RegExp;
  readonly left?: readonly string[];
  readonly added?: readonly string[];
  readonly reason: string;
}[] = [
  {
    captures: /^v9-chat-abort(-stop)?$/,
    left: ['agent lifecycle model', 'agent lifecycle model null', 'agent lifecycle error'],
    reason: 'an aborted run has ended: what the reference still says afterwards contradicts it, and clients ignore it',
  },
  { captures: /^v9-chat-error400$/, left: ['agent lifecycle fallback_step'], reason: 'there is no chain of fallback models to report on' },
  { captures: /^v9-chat-error400$/, left: ['chat error'], reason: 'one failure is one error; the second repeats it in other words' },
  {
    captures: /^v9-(cli-agent|chat-agentwire)$/,
    added: ['preparing_workspace', 'preparing_context', 'starting_model'].flatMap((phase) => [
      `chat status ${phase}`,
      `agent run_status ${phase}`,
    ]),
    reason: 'a run tells its phases whoever began it: a panel that watches the session shows them',
  },
];

/** What a frame is, in a word or three; undefined: not of this run, or no part of the comparison. */
function label(frame: Frame): string | undefined {
  if (frame.type !== 'event') return undefined;
  const { payload } = frame;
  if (frame.event === 'chat')
    return payload.state === 'delta' ? 'text' : `chat ${payload.state}${payload.phase ? ` ${payload.phase}` : ''}`;
  if (frame.event !== 'agent') return undefined;
  if (payload.stream === 'assistant') return 'text';
  const { phase } = payload.data;
  return `agent ${payload.stream}${phase ? ` ${phase}` : ''}${phase === 'model' && payload.data.provider === null ? ' null' : ''}`;
}
/** Text is named by its kind of frame where its shape is looked at. */
const shapeLabel = (frame: Frame): string | undefined => {
  const name = label(frame);
  return name === 'text' ? `${frame.event} text` : name;
};

/** The order of a run's frames. Text that was held back until the end comes or not, depending on the clock: it does not count. */
function order(frames: readonly Frame[], runId: string): string[] {
  const out: string[] = [];
  let isOver = false;
  for (const frame of frames) {
    if (frame.payload?.runId !== runId) continue;
    const name = label(frame);
    if (name === undefined || (name === 'text' && (isOver || out.at(-1) === 'text'))) continue;
    if (/^agent lifecycle (end|finishing|error)$/.test(name)) isOver = true;
    out.push(name);
  }
  return out;
}

/** `later` without the last occurrence of each of `names`. */
function without(list: readonly string[], names: readonly string[]): string[] {
  const out = [...list];
  for (const name of names) {
    const at = out.lastIndexOf(name);
    expect(at, `${name} is in ${list.join(', ')}`).not.toBe(-1);
    out.splice(at, 1);
  }
  return out;
}

/** Lines were left out at the end of this recording. */
const isCut = (capture: string): boolean => recording(capture).some(({ cut }) => cut !== undefined);

const serverFrames = (capture: string): Frame[] =>
  recording(capture)
    .filter(({ dir, c }) => dir === 'server' && c === 'c1')
    .map(({ frame }) => frame);

function expectRun(line: Line, capture: string, recordedRun: string, ours: readonly Frame[], runId: string): void {
  const known = FRAMES.filter(({ captures }) => captures.test(capture));
  const want = without(
    order(serverFrames(capture), recordedRun),
    known.flatMap(({ left = [] }) => left.filter((name) => order(serverFrames(capture), recordedRun).includes(name))),
  );
  const got = without(
    order(ours, runId),
    known.flatMap(({ added = [] }) => added),
  );
  expect(isCut(capture) ? got.slice(0, want.length) : got, `${capture}: order`).toEqual(want);

  const shapes = new Map<string, Frame>();
  for (const frame of serverFrames(capture)) {
    const name = frame.payload?.runId === recordedRun ? shapeLabel(frame) : undefined;
    if (name !== undefined && !shapes.has(name)) shapes.set(name, frame);
  }
  for (const frame of ours) {
    const name = frame.payload?.runId === runId ? shapeLabel(frame) : undefined;
    const model = name === undefined ? undefined : shapes.get(name);
    if (name === undefined || model === undefined) continue;
    const { payload, seq: _, stateVersion: __, ...rest } = model;
    const found = [...shapeDifferences(rest, frame, 'frame'), ...shapeDifferences(payload, frame.payload, 'payload')];
    expect.soft(DIFFERENCES.unexplained(line, name, found), `${capture}: ${name}`).toEqual([]);
  }
}

/** Laws of a run's own numbers and texts. */
function expectLaws(line: Line, frames: readonly Frame[], runId: string, seesTools: boolean): void {
  const own = frames.filter((f) => f.payload?.runId === runId);
  const agentSeqs = own.filter((f) => f.event === 'agent').map((f) => f.payload.seq);
  if (seesTools) expect(agentSeqs).toEqual(agentSeqs.map((_, index) => index + 1));
  else expect(agentSeqs).toEqual([...new Set<number>(agentSeqs)].sort((a, b) => a - b));
  const final = own.find((f) => f.event === 'chat' && f.payload.state === 'final');
  const end = own.find((f) => f.payload.stream === 'lifecycle' && f.payload.data.phase === 'end');
  if (final !== undefined) expect(final.payload.seq).toBe(end?.payload.seq);
  let shown = '';
  for (const { payload } of own.filter((f) => f.event === 'chat' && f.payload.state === 'delta')) {
    const [{ text }] = payload.message.content;
    if (line === '9') expect(text).toBe(shown + payload.deltaText);
    expect(text.startsWith(shown)).toBe(true);
    shown = text;
  }
  if (final?.payload.message !== undefined) expect(final.payload.message.content[0].text).toBe(shown);
}

/** Words of the recorder's model server, in those of ours. */
const script = (message: string): string =>
  message
    .replace('TEST:tool name=read', 'TEST:tool read path=notes.md')
    .replace('TEST:400', 'TEST:error 400')
    .replace(/TEST:say text=/, 'TEST:text ');

const LINES = ['3', '9'] as const;
/** Every chat recording was made by the same kind of client; whether it had the capability `tool-events` is in its name. */
const chatClient = (line: Line, caps: readonly string[]): RecordedConnect => {
  const recorded = recordedConnect(`v${line}-chat-plain`);
  return { ...recorded, params: { ...recorded.params, caps } };
};

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const open = (line: Line, caps: readonly string[] = ['tool-events']): Promise<Replay> =>
  replay(house.gateway, chatClient(line, caps), { token: house.gateway.token(), device: newDevice() });

/** The recorded params of the n-th request, for a session and runs of our own. */
function ownParams(line: Line, capture: string, index: number, runId: string): Value {
  const call = recordedCalls(capture)[index];
  if (call === undefined) throw new Error(`${capture} has no request ${index}`);
  const { params } = call;
  return {
    ...params,
    ...(params.sessionKey === undefined ? {} : { sessionKey: `${params.sessionKey}-${line}` }),
    ...(params.message === undefined ? {} : { message: script(params.message) }),
    ...(params.idempotencyKey === undefined ? {} : { idempotencyKey: runId }),
    ...(params.runId === undefined ? {} : { runId }),
  };
}
const recordedRun = (capture: string, index = 0): string => recordedCalls(capture)[index]?.params.idempotencyKey;

const firstDelta = (client: Replay, runId: string): Promise<Frame> =>
  client.client.frame((f) => f.event === 'chat' && f.payload.runId === runId && f.payload.state === 'delta', `a delta of ${runId}`);

/** What is kept of a conversation. */
const keep = (name: string, client: Replay, only: (frame: Frame) => boolean = () => true): void =>
  expectTranscript(
    `chat/${name}`,
    thinned(client.conversation().filter(only)).map(({ seq: _, ...frame }) => sanitiser(house.gateway)(frame)),
  );
const firstWords = (message: string): string => /^invalid (request frame|\S+ params):/.exec(message)?.[0] ?? message;
const noEvents = (frame: Frame): boolean => frame.type !== 'event';

for (const line of LINES) {
  describe(`EV-140 v${line}`, () => {
    test.each([
      ['chat-plain', ['tool-events']],
      ['chat-plain-nocaps', []],
      ['chat-tool', ['tool-events']],
      ['chat-tool-nocaps', []],
      ['chat-error400', ['tool-events']],
    ])('%s', async (name, caps) => {
      const capture = `v${line}-${name}`;
      const runId = `run-${capture}`;
      await using client = await open(line, caps);
      const res = await client.request('chat.send', ownParams(line, capture, 0, runId));
      expect(res).toMatchObject({ ok: true, payload: { runId, status: 'started' } });
      await client.ended(runId);
      // Nothing of a run comes before the answer that it was taken.
      expect(client.frames.findIndex((f) => f.payload?.runId === runId)).toBe(client.frames.indexOf(res));
      expectRun(line, capture, recordedRun(capture), client.frames, runId);
      expectLaws(line, client.frames, runId, caps.length > 0 || !name.startsWith('chat-tool'));
      if (caps.length === 0) expect(client.frames.filter((f) => f.payload?.stream === 'tool')).toEqual([]);
      expectDenseSeq(client.frames);
      keep(capture, client);
    });

    test('chat-abort', async () => {
      const capture = `v${line}-chat-abort`;
      const runId = `run-${capture}`;
      await using client = await open(line);
      await client.request('chat.send', ownParams(line, capture, 0, runId));
      await firstDelta(client, runId);
      const res = await client.request('chat.abort', ownParams(line, capture, 1, runId));
      expect(res.payload).toEqual({ ok: true, aborted: true, runIds: [runId] });
      // The end is told before the answer.
      const aborted = client.frames.findIndex((f) => f.event === 'chat' && f.payload.state === 'aborted');
      expect(aborted).not.toBe(-1);
      expect(aborted).toBeLessThan(client.frames.indexOf(res));
      expect(client.frames[aborted].payload).toMatchObject({ stopReason: 'rpc' });
      for (const index of [2, 3]) {
        const again = await client.request('chat.abort', ownParams(line, capture, index, runId));
        expect(again.payload).toEqual({ ok: true, aborted: false, runIds: [] });
      }
      expectRun(line, capture, recordedRun(capture), client.frames, runId);
      expectDenseSeq(client.frames);
      keep(capture, client);
    });

    test('chat-abort-stop', async () => {
      const capture = `v${line}-chat-abort-stop`;
      const runId = `run-${capture}`;
      await using client = await open(line);
      await client.request('chat.send', ownParams(line, capture, 0, runId));
      await firstDelta(client, runId);
      const res = await client.request('chat.send', ownParams(line, capture, 1, `stop-${capture}`));
      expect(res.payload).toEqual({ ok: true, aborted: true, runIds: [runId] });
      expect(client.frames.find((f) => f.event === 'chat' && f.payload.state === 'aborted').payload).toMatchObject({ stopReason: 'stop' });
      expectRun(line, capture, recordedRun(capture), client.frames, runId);
      expectDenseSeq(client.frames);
      keep(capture, client);
    });

    test('chat-idem: one key is one run', async () => {
      const capture = `v${line}-chat-idem`;
      const runId = `run-${capture}`;
      await using client = await open(line);
      const statuses: string[] = [];
      const send = async (index: number): Promise<void> => {
        const res = await client.request('chat.send', ownParams(line, capture, index, runId));
        expect(Object.keys(res.payload)).toEqual(['runId', 'status']);
        statuses.push(res.payload.status);
      };
      await send(0);
      await send(1);
      await client.ended(runId);
      await send(2);
      expect(statuses).toEqual(['started', 'in_flight', 'ok']);
      const calls = recordedCalls(`v3-chat-idem`);
      const waited = await client.request('agent.wait', { ...calls[3]?.params, runId });
      expect(DIFFERENCES.unexplained(line, 'agent.wait', shapeDifferences(calls[3]?.res.payload, waited.payload))).toEqual([]);
      expect((await client.request('agent.wait', calls[4]?.params)).payload).toEqual({ runId: 'nope', status: 'timeout' });
      expectRun(line, capture, recordedRun(capture), client.frames, runId);
      expect(client.frames.filter((f) => f.event === 'chat' && f.payload.state === 'final').length).toBe(1);
      expectDenseSeq(client.frames);
      keep(capture, client, noEvents);
    });

    test('EV-141 chat-busy: a second message waits for its turn', async () => {
      const capture = `v${line}-chat-busy`;
      const [first, second] = [`run-${capture}`, `run-${capture}-2`];
      await using client = await open(line);
      await client.request('chat.send', ownParams(line, capture, 0, first));
      await firstDelta(client, first);
      const res = await client.request('chat.send', ownParams(line, capture, 1, second));
      expect(res.payload).toEqual({ runId: second, status: 'started' });
      await client.ended(second);
      // The references take a second message over into another run (3.x) or into the running one (9.x) and end its own id with an empty
      // final. Here it is a run like any other, after the first: what clients do with a run they sent is what happens.
      const at = (runId: string, state: string): number =>
        client.frames.findIndex((f) => f.event === 'chat' && f.payload.runId === runId && f.payload.state === state);
      expect(at(first, 'final')).toBeLessThan(at(second, 'delta'));
      expect(client.frames[at(second, 'final')].payload.message.content).toEqual([{ type: 'text', text: 'second answer' }]);
      expectRun(line, `v${line}-chat-plain`, recordedRun(`v${line}-chat-plain`), client.frames, first);
      expectRun(line, `v${line}-chat-plain`, recordedRun(`v${line}-chat-plain`), client.frames, second);
      expectDenseSeq(client.frames);
      keep(capture, client);
    });

    test('chat-badparams', async () => {
      const capture = `v${line}-chat-badparams`;
      await using client = await open(line);
      const lines = recording(capture);
      const answerTo = (id: unknown): Value =>
        lines.find(({ dir, frame }) => dir === 'server' && frame?.type === 'res' && frame.id === id)?.frame;
      for (const { dir, frame } of lines) {
        if (dir !== 'client' || frame.method === 'connect') continue;
        const isCall = frame.type === 'req' && frame.id !== '' && frame.method !== '' && frame.extra === undefined;
        const want = answerTo(Array.isArray(frame) ? 'invalid' : frame.id);
        // Text that is no JSON and bytes that are none are not answered; what was sent raw has no id to answer.
        if (want === undefined) continue;
        const from = client.frames.length;
        if (!isCall) client.client.send(frame);
        const res = isCall
          ? await client.request(frame.method, frame.params)
          : await client.client.frame(
              (f) => f.type === 'res' && f.id === want.id && client.frames.indexOf(f) >= from,
              JSON.stringify(frame),
            );
        if (frame.method === 'chat.send' && frame.params.bogus !== undefined) {
          // Unknown keys of params are ignored; the recorded servers refused them.
          expect(res).toMatchObject({ ok: true, payload: { status: 'started' } });
          await client.ended(frame.params.idempotencyKey);
          continue;
        }
        expect(res.ok, JSON.stringify(frame)).toBe(want.ok);
        if (res.ok) continue;
        expect(res.error.code).toBe(want.error.code);
        // What stands before the validator's own words is the same: clients show it, and some look for it.
        expect(firstWords(res.error.message)).toBe(firstWords(want.error.message));
      }
      expect(client.client.closed).toBeUndefined();
      keep(capture, client, noEvents);
    });

    test('chat-inject is no method here', async () => {
      const [call] = recordedCalls(`v${line}-chat-inject`);
      await using client = await open(line);
      const res = await client.request(call?.method as string, call?.params);
      expect(res.error).toEqual({ code: 'INVALID_REQUEST', message: 'unknown method: chat.inject' });
      expect((await client.request('health')).ok).toBe(true);
      expect(client.frames.filter((f) => f.event === 'chat')).toEqual([]);
    });

    test('who receives what', async () => {
      const runId = `run-v${line}-observed`;
      const sessionKey = `agent:main:obs-${line}`;
      await using sender = await open(line);
      await using withCap = await open(line);
      const reader = chatClient(line, []);
      await using readOnly = await replay(
        house.gateway,
        { ...reader, params: { ...reader.params, scopes: ['operator.read'] } },
        { token: house.gateway.token(), device: newDevice() },
      );
      await using subscribed = await open(line, []);
      await subscribed.request('sessions.subscribe', {});
      await subscribed.request('sessions.messages.subscribe', { key: sessionKey });
      await using blind = await replay(
        house.gateway,
        { ...reader, params: { ...reader.params, scopes: [] } },
        { token: house.gateway.token(), device: newDevice() },
      );
      await sender.request('chat.send', { sessionKey, message: 'TEST:tool read path=notes.md', idempotencyKey: runId });
      for (const client of [sender, withCap, readOnly, subscribed]) await client.ended(runId);
      await subscribed.client.frame((f) => f.event === 'sessions.changed' && f.payload.reason === 'end', 'the end of the session row');

      const told = (client: Replay): string[] => order(client.frames, runId);
      const noTools = told(sender).filter((name) => !name.startsWith('agent tool'));
      expect(told(sender)).toContain('agent tool result');
      for (const client of [withCap, readOnly, subscribed]) expect(told(client)).toEqual(noTools);
      // Without the read scope nothing of a conversation is told; the older reference told everybody.
      expect(told(blind)).toEqual([]);
      for (const client of [sender, withCap, readOnly, blind]) {
        expect(client.frames.filter((f) => f.event === 'session.message' || f.event === 'sessions.changed')).toEqual([]);
      }
      const messages = subscribed.frames.filter((f) => f.event === 'session.message').map((f) => f.payload);
      expect(messages.map((p) => p.message.role)).toEqual(['user', 'assistant', 'toolResult', 'assistant']);
      for (const payload of messages) {
        expect(Object.keys(payload)).toEqual(
          expect.arrayContaining(['sessionKey', 'agentId', 'senderIsOwner', 'message', 'messageId', 'messageSeq', 'session']),
        );
      }
      expect(subscribed.frames.filter((f) => f.event === 'sessions.changed').map((f) => f.payload)).toEqual(
        expect.arrayContaining([expect.objectContaining({ sessionKey, agentId: 'main', reason: 'create', session: expect.any(Object) })]),
      );
      for (const client of [sender, withCap, readOnly, subscribed, blind]) expectDenseSeq(client.frames);
      expectTranscript(
        `chat/v${line}-subscriber`,
        subscribed.frames
          .filter((f) => f.event === 'session.message' || f.event === 'sessions.changed')
          .map(({ seq: _, ...frame }) => sanitiser(house.gateway)(frame)),
      );
    });

    test('agent: accepted, then the outcome', async () => {
      const capture = `v${line}-cli-agent`;
      const runId = `run-${capture}`;
      const recorded = recordedConnect(capture);
      await using client = await replay(house.gateway, recorded, { token: house.gateway.token(), device: newDevice() });
      const [call] = recordedCalls(capture);
      const params = {
        ...call?.params,
        message: script(call?.params.message),
        idempotencyKey: runId,
        sessionKey: `agent:main:cli-${line}`,
      };
      const accepted = await client.request('agent', params);
      const outcome = await client.client.frame((f) => f.id === accepted.id && f.payload?.status === 'ok', 'the outcome');
      expect(client.answers(accepted.id)).toEqual([accepted, outcome]);
      const answers = recording(capture).filter(({ frame }) => frame?.type === 'res' && frame.payload?.runId !== undefined);
      expect(answers.length).toBe(2);
      for (const [index, where] of ['agent accepted', 'agent outcome'].entries()) {
        const found = shapeDifferences(answers[index]?.frame.payload, client.answers(accepted.id)[index].payload);
        expect(DIFFERENCES.unexplained(line, where, found), where).toEqual([]);
      }
      expect(outcome.payload).toMatchObject({ summary: 'completed', result: { payloads: [{ text: 'hi there', mediaUrl: null }] } });
      expectRun(line, capture, call?.params.idempotencyKey, client.frames, runId);
      expectDenseSeq(client.frames);
      keep(capture, client);
    });

    test('agent with a tool', async () => {
      const capture = `v${line}-chat-agentwire`;
      const runId = `run-${capture}`;
      await using client = await open(line);
      const accepted = await client.request('agent', ownParams(line, capture, 0, runId));
      await client.client.frame((f) => f.id === accepted.id && f.payload?.status === 'ok', 'the outcome');
      expect(accepted.payload).toMatchObject({ runId, status: 'accepted', acceptedAt: expect.any(Number) });
      expectRun(line, capture, recordedRun(capture), client.frames, runId);
      expectLaws(line, client.frames, runId, true);
      expectDenseSeq(client.frames);
    });

    test('agent that fails', async () => {
      await using client = await open(line);
      const runId = `run-v${line}-agent-fails`;
      const accepted = await client.request('agent', {
        message: 'TEST:error 400',
        sessionKey: `agent:main:agenterr-${line}`,
        idempotencyKey: runId,
      });
      const outcome = await client.client.frame((f) => f.id === accepted.id && f.ok === false, 'the outcome');
      expect(outcome).toMatchObject({ error: { code: 'UNAVAILABLE' }, payload: { runId, status: 'error', summary: expect.any(String) } });
      keep(`v${line}-agent-fails`, client, noEvents);
    });
  });
}

describe('EV-140 the newer Control UI', () => {
  test('starts, sends, and fetches what is new by its cursor', async () => {
    const recorded = recordedConnect('v9-ui-first-load');
    await using panel = await replay(house.gateway, recorded, { token: house.gateway.token(), device: newDevice() });
    const sessionKey = 'agent:main:panel';
    const ask = async (method: string, params: Value): Promise<Value> => {
      const res = await panel.request(method, params);
      expect(res.error, method).toBeUndefined();
      return res.payload;
    };
    const turn = async (message: string, runId: string, sessionId?: string): Promise<void> => {
      await ask('chat.send', {
        sessionKey,
        ...(sessionId === undefined ? {} : { sessionId }),
        message,
        deliver: false,
        idempotencyKey: runId,
      });
      await panel.ended(runId);
    };
    // A session in which nothing was said yet: there is no id and no cursor, and it can be talked to.
    const empty = await ask('chat.startup', { sessionKey, limit: 80, maxBytes: 262_144 });
    expect(empty).toMatchObject({ sessionKey, messages: [], metadata: { models: expect.any(Array), commands: expect.any(Array) } });
    expect(empty.sessionInfo.activeLeafEntryId).toBeNull();
    await turn('TEST:text one', 'panel-1');
    const first = await ask('chat.startup', { sessionKey, limit: 80, maxBytes: 262_144 });
    expect(first.messages.map((message: Value) => message.role)).toEqual(['user', 'assistant']);
    const cursor = JSON.parse(Buffer.from(first.deltaCursor, 'base64url').toString('utf8'));
    expect(Object.keys(cursor).sort()).toEqual(['agentId', 'generation', 'lastSeq', 'sessionId', 'version']);

    await turn('TEST:text two', 'panel-2', first.sessionId);
    const delta = await ask('chat.history', {
      ...{ sessionKey, cursor: first.deltaCursor, limit: 80, maxBytes: 262_144, inputRunIds: ['panel-2'] },
    });
    expect(delta.kind).toBe('delta');
    expect(delta.messages.map((each: Value) => [each.messageSeq, each.message.role])).toEqual([
      [3, 'user'],
      [4, 'assistant'],
    ]);
    expect(delta.messages[0].message.idempotencyKey).toBe('panel-2:user');
    // What was added is what a whole history has after what was there.
    const whole = await ask('chat.history', { sessionKey, limit: 80, maxBytes: 262_144 });
    expect([...first.messages, ...delta.messages.map((each: Value) => each.message)]).toEqual(whole.messages);
    const nothing = await ask('chat.history', { sessionKey, cursor: delta.deltaCursor, limit: 20, maxBytes: 65_536 });
    expect(nothing).toMatchObject({ kind: 'delta', messages: [] });
    // After a reset the cursor means nothing.
    await ask('sessions.reset', { key: sessionKey });
    expect(await ask('chat.startup', { sessionKey, cursor: whole.deltaCursor, limit: 80, maxBytes: 262_144 })).toEqual({
      kind: 'reset',
      metadata: expect.any(Object),
    });
    expectDenseSeq(panel.frames);
  });
});

test('every listed difference is still one', () => {
  expect(DIFFERENCES.stale()).toEqual([]);
});
