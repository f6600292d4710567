import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { RunEvent, RunEventBody } from '../../agent/api.ts';
import type { JsonObject } from '../../lib/json.ts';
import { isRecord } from '../../lib/json.ts';
import { CHARS_PER_SECOND, FREE_CHARS } from './allowance.ts';
import { EVERY_PIECE_CHARS } from './answer-text.ts';
import { RunFanout } from './run-fanout.ts';
import { RunShape3 } from './run-shape-3.ts';
import { CHAT_PACE_4, RunShape4 } from './run-shape-4.ts';
import { joinDeltas, type ShapedEvent } from './shaped-event.ts';

/**
 * Frames recorded from clients of both lines are replayed: the run events that correspond are shaped, and what comes out has to be
 * what was recorded, in its order. The recordings are thinned (three token frames per run).
 */
interface Frame {
  readonly event: string;
  readonly payload: JsonObject;
}

function recorded(name: string, runId: string): Frame[] {
  const path = fileURLToPath(new URL(`../../../test/contract/captures/${name}.jsonl`, import.meta.url));
  const frames: Frame[] = [];
  for (const line of readFileSync(path, 'utf8').trim().split('\n')) {
    const { dir, frame } = JSON.parse(line) as { dir?: string; frame?: { type: string; event: string; payload: JsonObject } };
    if (dir === 'server' && frame?.type === 'event' && frame.payload['runId'] === runId)
      frames.push({ event: frame.event, payload: frame.payload });
  }
  return frames;
}

/** Timestamps as one mark; the rest must be equal. */
function unstamped(value: unknown, key = ''): unknown {
  if (['ts', 'timestamp', 'startedAt', 'endedAt'].includes(key)) return 'T';
  if (Array.isArray(value)) return value.map((item) => unstamped(item));
  if (!isRecord(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, unstamped(item, name)]));
}

const kind = ({ event, payload }: Frame): string => {
  const data = payload['data'];
  const what = event === 'chat' ? payload['state'] : payload['stream'];
  return `${event} ${String(what)}${isRecord(data) && data['phase'] !== undefined ? `:${String(data['phase'])}` : ''}`;
};
const keyOf = (frame: Frame): string => `${kind(frame)} #${String(frame.payload['seq'])}`;

/** What we do otherwise on purpose. `frames`: recorded frames that are not sent; `keys`: recorded keys that are left out. */
const DIFFERENCES: readonly {
  readonly capture: string;
  readonly frames?: readonly string[];
  readonly keys?: { readonly in: string; readonly of: 'payload' | 'data'; readonly names: readonly string[] | 'surplus' };
  readonly reason: string;
}[] = [
  {
    capture: 'v9-chat-tool',
    keys: { in: 'agent tool:result', of: 'payload', names: 'surplus' },
    reason: 'a copy of the session row (70 keys) on each tool result: whoever wants rows subscribes to sessions.changed',
  },
  {
    capture: 'v9-chat-tool',
    keys: { in: 'agent item:start', of: 'data', names: ['meta'] },
    reason: 'the title already holds it; meta comes with the end',
  },
  {
    capture: 'v9-chat-abort',
    frames: ['agent lifecycle:model #15', 'agent lifecycle:model #16', 'agent lifecycle:error #17'],
    reason: 'an aborted run has ended: what the reference still says afterwards contradicts it, and clients ignore it',
  },
  { capture: 'v9-chat-abort-stop', frames: ['agent lifecycle:model #8'], reason: 'the same' },
  {
    capture: 'v9-chat-error400',
    frames: ['agent lifecycle:fallback_step #8'],
    reason: 'there is no chain of fallback models to report on',
  },
  {
    capture: 'v9-chat-error400',
    frames: ['chat error #1'],
    reason: 'one failure is one error event; the second repeats it in other words',
  },
];

function expected(capture: string, runId: string): Frame[] {
  const all = recorded(capture, runId);
  const gone = DIFFERENCES.filter((d) => d.capture === capture).flatMap(({ frames = [] }) =>
    frames.map((key) => {
      const frame = all.findLast((candidate) => keyOf(candidate) === key);
      expect(frame, `${capture} holds ${key}`).toBeDefined();
      return frame;
    }),
  );
  // A frame that is not sent is not counted either.
  const uncounted = gone.flatMap((frame) => (frame?.event === 'agent' ? [Number(frame.payload['seq'])] : []));
  return all
    .filter((frame) => !gone.includes(frame))
    .map(({ event, payload }) => {
      const seq = Number(payload['seq']);
      return { event, payload: { ...payload, seq: seq - uncounted.filter((other) => other <= seq).length } };
    });
}

function withoutKeys(capture: string, frame: Frame, ours: Frame): JsonObject {
  let payload = frame.payload;
  for (const { keys } of DIFFERENCES.filter((d) => d.capture === capture)) {
    if (!keys || kind(frame) !== keys.in) continue;
    const { names } = keys;
    const omit = (record: JsonObject, own: JsonObject): JsonObject =>
      Object.fromEntries(
        Object.entries(record).filter(([name]) => (names === 'surplus' ? Object.hasOwn(own, name) : !names.includes(name))),
      ) as JsonObject;
    payload =
      keys.of === 'payload'
        ? omit(payload, ours.payload)
        : { ...payload, data: omit(payload['data'] as JsonObject, ours.payload['data'] as JsonObject) };
  }
  // Details of a tool's result differ from tool to tool; ours are empty.
  const result = isRecord(payload['data']) ? payload['data']['result'] : undefined;
  if (isRecord(result))
    payload = { ...payload, data: { ...(payload['data'] as JsonObject), result: { ...(result as JsonObject), details: {} } } };
  return payload;
}

function compare(capture: string, runId: string, shaped: readonly ShapedEvent[]): void {
  const want = expected(capture, runId);
  const keys = new Set(want.map(keyOf));
  const kept = shaped.filter((frame) => keys.has(keyOf(frame)));
  const left = shaped.filter((frame) => !keys.has(keyOf(frame))).map(kind);
  // Only token frames were thinned out of the recordings.
  expect(left.filter((name) => name !== 'agent assistant' && name !== 'chat delta')).toEqual([]);
  expect(kept.map(keyOf)).toEqual(want.map(keyOf));
  for (const [i, frame] of want.entries()) {
    const ours = kept[i] as Frame;
    expect(unstamped(ours.payload), keyOf(frame)).toEqual(unstamped(withoutKeys(capture, frame, ours)));
  }
}

class Script {
  readonly events: RunEvent[] = [];
  readonly #base: { runId: string; sessionKey: string; sessionId: string };
  text = '';
  constructor(base: { runId: string; sessionKey: string; sessionId?: string }) {
    this.#base = { sessionId: '<uuid4>', ...base };
  }
  at(ts: number, body: RunEventBody): this {
    const event = { ...this.#base, agentId: 'main', origin: { principalId: 'p', via: 'chat' as const }, seq: this.events.length + 1, ts };
    this.events.push({ ...event, ...body });
    return this;
  }
  say(ts: number, delta: string, itemId: string): this {
    this.text += delta;
    return this.at(ts, { type: 'text', delta, text: this.text, itemId });
  }
  opening(): this {
    return this.at(0, { type: 'phase', phase: 'preparing_workspace' })
      .at(1, { type: 'phase', phase: 'preparing_context' })
      .at(2, { type: 'start', startedAt: 2 })
      .at(3, { type: 'phase', phase: 'starting_model' })
      .at(4, { type: 'model', provider: 'stub', model: 'stub-model' });
  }
  ok(ts: number, toolNames: readonly string[] = [], outputTokens?: number): this {
    if (outputTokens !== undefined) this.at(ts, { type: 'usage', outputTokens });
    const usage = { input: 10, output: 14, cacheRead: 0, cacheWrite: 0, total: 24 };
    return this.at(ts, {
      type: 'end',
      outcome: 'ok',
      startedAt: 2,
      endedAt: ts,
      text: this.text,
      stopReason: 'stop',
      usage,
      provider: 'stub',
      model: 'stub-model',
      toolNames,
    });
  }
  frames(protocol: 3 | 4, toolResults = false): ShapedEvent[] {
    const shape = protocol === 3 ? new RunShape3({ toolResults }) : new RunShape4();
    return this.events.flatMap((event) => [...shape.feed(event)]);
  }
}

/** Tokens at the times of the recording: `times` for those that are known, then `step` apart. */
function tokens(script: Script, count: number, times: readonly number[], step: number, itemId: string): Script {
  let ts = 0;
  for (let i = 0; i < count; i++) {
    ts = times[i] ?? ts + step;
    script.say(ts, i === 0 ? 'tok0' : ` tok${i}`, itemId);
  }
  return script;
}

const RUN = 'run-<uuid2>';
const RUN9 = 'run-<uuid3>';

describe('EV-101 recorded runs of protocol 3', () => {
  test('EV-101 plain', () => {
    const script = tokens(new Script({ runId: RUN, sessionKey: 'agent:main:plain' }).opening(), 14, [288, 348, 409, 472], 59.5, 'i:1').ok(
      1137,
    );
    compare('v3-chat-plain', RUN, script.frames(3));
  });

  test('EV-101 tool, without its result', () => {
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:tool' })
      .opening()
      .at(161, { type: 'tool-start', toolCallId: 'call_5', name: 'read', args: { path: 'example-tool.txt' }, title: 'Read' })
      .at(189, {
        type: 'tool-end',
        toolCallId: 'call_5',
        name: 'read',
        isError: false,
        text: 'secret',
        meta: 'from example-tool.txt',
        title: 'Read',
        startedAt: 161,
      })
      .say(199, 'TOOLRESULT<<marker-tool-content-42', 'i:2')
      .say(200, '\n>>', 'i:2')
      .ok(201, ['read']);
    const frames = script.frames(3);
    compare('v3-chat-tool', RUN, frames);
    expect(frames.filter((f) => f.audience === 'tool-origin').map(kind)).toEqual(['agent tool:start', 'agent tool:result']);
    expect(JSON.stringify(frames)).not.toContain('secret');
  });

  test('EV-101 tool with its result where the session is verbose', () => {
    const run = 'run-<uuid4>';
    const script = new Script({ runId: run, sessionKey: 'agent:main:tool3' })
      .opening()
      .at(198, { type: 'tool-start', toolCallId: 'call_10', name: 'exec', args: { command: 'cat example-tool.txt' }, title: 'Exec' })
      .at(217, {
        type: 'tool-end',
        toolCallId: 'call_10',
        name: 'exec',
        isError: false,
        text: 'marker-tool-content-42',
        meta: 'show example-tool.txt, `cat example-tool.txt`',
        title: 'Exec',
        startedAt: 198,
      });
    const frames = script.frames(3, true);
    const want = expected('v3-chat-tool-verbose', run).filter((frame) => kind(frame) === 'agent tool:result');
    const got = frames.filter((frame) => kind(frame) === 'agent tool:result');
    expect(got).toHaveLength(1);
    // The recording has an `update` frame in between: our tools give none.
    const seq = want[0]?.payload['seq'];
    expect(unstamped({ ...got[0]?.payload, seq })).toEqual(
      unstamped(withoutKeys('v3-chat-tool-verbose', want[0] as Frame, got[0] as Frame)),
    );
  });

  test.each([
    ['v3-chat-abort', 'agent:main:abort', 7, 'rpc'],
    ['v3-chat-abort-stop', 'agent:main:abort2', 1, 'stop'],
  ] as const)('EV-102 %s', (capture, sessionKey, count, stopReason) => {
    const script = tokens(new Script({ runId: RUN, sessionKey }).opening(), count, [107, 168, 226, 286], 60, 'i:1');
    script.at(518, { type: 'end', outcome: 'aborted', startedAt: 2, endedAt: 518, text: script.text, stopReason });
    compare(capture, RUN, script.frames(3));
  });

  test('EV-103 provider error', () => {
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:err4' }).opening();
    script.at(458, {
      type: 'end',
      outcome: 'error',
      startedAt: 2,
      endedAt: 458,
      text: '',
      error: { kind: 'bad-request', message: '400 stub says 400', status: 400 },
    });
    compare('v3-chat-error400', RUN, script.frames(3));
  });

  test('EV-101 reasoning does not travel, and what was held back comes after the end', () => {
    const run = 'run-<uuid4>';
    const script = new Script({ runId: run, sessionKey: 'agent:main:think' })
      .opening()
      .at(500, { type: 'thinking', delta: 'let me', text: 'let me' });
    for (const [i, piece] of ['final', ' answer', ' text', ' after', ' thinking'].entries()) script.say(518 + Math.min(i, 1), piece, 'i:1');
    script.ok(521);
    compare('v3-chat-think', run, script.frames(3));
  });
});

describe('EV-111 recorded runs of protocol 4', () => {
  test('EV-111 plain', () => {
    // The reference holds a piece until its timer fires; here pieces come when the recorded chat deltas left.
    const script = tokens(new Script({ runId: RUN, sessionKey: 'agent:main:plain' }).opening(), 14, [4608, 4685, 4760], 75, '<uuid5>:1').ok(
      5509,
      [],
      14,
    );
    compare('v9-chat-plain', RUN, script.frames(4));
  });

  test('EV-112 tool: an item for all, the tool with its result for the sender', () => {
    const title = 'Read from example-tool.txt';
    const script = new Script({ runId: RUN9, sessionKey: 'agent:main:tool' })
      .opening()
      .at(378, { type: 'usage', outputTokens: 2 })
      .at(387, { type: 'tool-start', toolCallId: 'call_5', name: 'read', args: { path: 'example-tool.txt' }, title })
      .at(429, {
        type: 'tool-end',
        toolCallId: 'call_5',
        name: 'read',
        isError: false,
        text: 'marker-tool-content-42\n',
        meta: 'from example-tool.txt',
        title,
        startedAt: 387,
      })
      .at(460, { type: 'model', provider: 'stub', model: 'stub-model' })
      .say(463, 'TOOLRESULT<<marker-tool-content-42', '<uuid5>:2')
      .say(464, '\n>>', '<uuid5>:2')
      .ok(505, ['read'], 4);
    const frames = script.frames(4);
    compare('v9-chat-tool', RUN9, frames);
    expect(frames.filter((f) => f.audience === 'tool-origin').map(kind)).toEqual(['agent tool:start', 'agent tool:result']);
  });

  test.each([
    ['v9-chat-abort', 'agent:main:abort', 8, 'rpc'],
    ['v9-chat-abort-stop', 'agent:main:abort2', 1, 'stop'],
  ] as const)('EV-113 %s', (capture, sessionKey, count, stopReason) => {
    const script = tokens(new Script({ runId: RUN9, sessionKey }).opening(), count, [385, 460, 536], 60, '<uuid5>:1');
    script.at(827, { type: 'end', outcome: 'aborted', startedAt: 25, endedAt: 828, text: script.text, stopReason });
    compare(capture, RUN9, script.frames(4));
  });

  test('EV-114 provider error, once', () => {
    const script = new Script({ runId: RUN9, sessionKey: 'agent:main:err4' }).opening();
    script.at(815, {
      type: 'end',
      outcome: 'error',
      startedAt: 2,
      endedAt: 815,
      text: '',
      error: { kind: 'bad-request', message: 'LLM request failed: provider rejected the request…', status: 400 },
    });
    const frames = script.frames(4);
    compare('v9-chat-error400', RUN9, frames);
    expect(frames.filter((frame) => frame.payload['state'] === 'error')).toHaveLength(1);
  });

  test('EV-111 a short answer', () => {
    const script = new Script({ runId: RUN9, sessionKey: 'agent:main:think' }).opening().say(371, 'warm', '<uuid5>:1').ok(402, [], 1);
    compare('v9-chat-think', RUN9, script.frames(4));
  });

  test('EV-115 a provider that failed mid-answer: retrying, then replace', () => {
    const capture = recorded('v9-chat-cut-replace', RUN9);
    const unnumbered = ({ event, payload }: Frame): unknown => unstamped({ event, ...payload, seq: 0 });
    const script = tokens(new Script({ runId: RUN9, sessionKey: 'agent:main:cut' }).opening(), 5, [100, 200], 60, 'x:1')
      .at(1745, {
        type: 'retrying',
        attempt: 1,
        maxRetries: 8,
        delayMs: 1293,
        message: 'Provider temporarily unavailable. Retrying in 2s (1/8).',
        reason: 'timeout',
      })
      .at(3039, { type: 'replace', itemId: '<uuid5>:1' });
    script.text = '';
    script.say(3050, 'again', '<uuid5>:1').say(3200, ' and on', '<uuid5>:1');
    const frames = script.frames(4);
    const wanted = capture
      .filter((frame) => ['agent run_status:retrying', 'agent assistant', 'chat delta'].includes(kind(frame)))
      .slice(0, 3);
    const start = frames.findIndex((frame) => kind(frame) === 'agent run_status:retrying');
    expect(frames.slice(start, start + 3).map(unnumbered)).toEqual(wanted.map(unnumbered));
    // From empty again: the next delta holds all that is there.
    const next = frames.slice(start + 3).find((frame) => kind(frame) === 'chat delta');
    expect(next?.payload['deltaText']).toBe('again and on');
    // The other line has no such word; its cumulative text is empty again.
    const old = script.frames(3).filter((frame) => kind(frame) === 'chat delta');
    expect(old.map((frame) => JSON.stringify(frame.payload['message'])).some((m) => m.includes('"text":""'))).toBe(true);
  });
});

describe('EV-116 laws of both shapes', () => {
  type Step = { readonly kind: 'text' | 'replace' | 'tool'; readonly gap: number; readonly piece: string };
  const step: fc.Arbitrary<Step> = fc.record({
    kind: fc.constantFrom('text', 'text', 'text', 'text', 'replace', 'tool'),
    gap: fc.integer({ min: -10, max: 300 }),
    piece: fc.oneof(fc.string({ minLength: 1, maxLength: 12 }), fc.constant('x'.repeat(3_000))),
  });
  const steps = fc.array(step, { maxLength: 40 });
  const play = (list: readonly Step[]): Script => {
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:law' }).opening();
    let ts = 10;
    for (const [i, { kind: what, gap, piece }] of list.entries()) {
      ts += gap;
      if (what === 'text') script.say(ts, piece, 'i:1');
      else if (what === 'replace') {
        script.text = '';
        script.at(ts, { type: 'replace', itemId: 'i:1' });
      } else script.at(ts, { type: 'tool-start', toolCallId: `c${i}`, name: 'read', args: {}, title: 'Read' });
    }
    return script.ok(ts + 1);
  };
  const textOf = (payload: JsonObject): string => (payload['message'] as { content: [{ text: string }] }).content[0].text;

  test('EV-100 EV-116 what chat deltas add up to is the text they show, and the final shows all', () => {
    fc.assert(
      fc.property(steps, (list) => {
        const script = play(list);
        for (const protocol of [3, 4] as const) {
          let sum = '';
          let agentSum = '';
          let seq = 0;
          for (const { event, payload } of script.frames(protocol)) {
            if (event === 'agent') expect(payload['seq']).toBe(++seq);
            else expect(payload['seq']).toBe(payload['state'] === 'status' ? seq + 1 : seq);
            const data = payload['data'] as { text: string; delta: string; replace?: boolean };
            if (payload['stream'] === 'assistant') {
              agentSum = data.replace || data.text === '' ? '' : agentSum + data.delta;
              expect(agentSum).toBe(data.text);
            }
            if (payload['state'] === 'delta' && protocol === 4) {
              sum = payload['replace'] === true ? String(payload['deltaText']) : sum + String(payload['deltaText']);
              expect(sum).toBe(textOf(payload));
            }
            if (payload['state'] === 'final') {
              expect(textOf(payload)).toBe(script.text);
              if (protocol === 4) expect(sum).toBe(script.text);
              expect(agentSum).toBe(script.text);
            }
          }
        }
      }),
    );
  });

  test('EV-117 joined for a slow reader, the sum is the same', () => {
    fc.assert(
      fc.property(steps, fc.array(fc.boolean(), { minLength: 60, maxLength: 60 }), (list, joins) => {
        let sum = '';
        let waiting: JsonObject | undefined;
        let i = 0;
        const leave = (payload: JsonObject): void => {
          sum = payload['replace'] === true ? String(payload['deltaText']) : sum + String(payload['deltaText']);
          expect(sum).toBe(textOf(payload));
        };
        const script = play(list);
        for (const { payload, coalesce } of script.frames(4)) {
          if (coalesce !== `${RUN}/chat`) continue;
          waiting = waiting ? joinDeltas(waiting, payload) : payload;
          if (joins[i++ % joins.length]) continue;
          leave(waiting);
          waiting = undefined;
        }
        if (waiting) leave(waiting);
        expect(sum).toBe(script.text);
      }),
    );
  });

  test('EV-118 a long answer costs frames in proportion to its duration, not to its pieces', () => {
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:long' }).opening();
    script.say(10, 'x'.repeat(EVERY_PIECE_CHARS), 'i:1');
    for (let i = 0; i < 1_000; i++) script.say(10 + i, 'y', 'i:1');
    const frames = script.frames(4).filter((frame) => kind(frame) === 'agent assistant');
    expect(frames.length).toBeLessThanOrEqual(2 + Math.ceil(1_000 / CHAT_PACE_4));
  });

  test.each([
    ['a large answer in small pieces', 'text', 1_000_000, 50_000, 1],
    ['one in a minute', 'text', 1_000_000, 5_000, 12],
    ['a middling one', 'text', 160_000, 40_000, 0],
    ['reasoning', 'thinking', 100_000, 25_000, 1],
    ['a small one in single characters', 'text', 8_192, 8_192, 1],
  ] as const)('EV-160 %s costs in proportion to its length and time; deltas add up', (_what, type, chars, pieces, everyMs) => {
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:long' }).opening();
    const delta = 'x'.repeat(chars / pieces);
    let text = '';
    for (let i = 0; i < pieces; i++) {
      text += delta;
      if (type === 'text') script.say(10 + i * everyMs, delta, 'i:1');
      else script.at(10 + i * everyMs, { type, delta, text });
    }
    script.ok(20 + pieces * everyMs);
    for (const protocol of [3, 4] as const) {
      let told = 0;
      const sums = { agent: '', chat: '' };
      for (const { event, payload } of script.frames(protocol)) {
        told += JSON.stringify(payload).length;
        const data = payload['data'];
        if (event === 'agent' && isRecord(data) && typeof data['delta'] === 'string') {
          sums.agent += data['delta'];
          expect(data['text']).toHaveLength(sums.agent.length);
        }
        if (typeof payload['deltaText'] === 'string') sums.chat += payload['deltaText'];
      }
      if (type === 'text' || protocol === 4) expect(sums.agent).toHaveLength(chars);
      if (type === 'text' && protocol === 4) expect(sums.chat).toHaveLength(chars);
      // Beside the texts: a few hundred characters for each frame.
      const texts = FREE_CHARS + 8 * chars + (CHARS_PER_SECOND * pieces * everyMs) / 1000;
      expect(told).toBeLessThan(texts + script.frames(protocol).length * 500);
    }
  });

  test('EV-161 while what was told is not handed out, a growing text waits; the next frame has it all', () => {
    const fanout = new RunFanout();
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:long' }).opening();
    script.say(1_000, 'one ', 'i:1').say(2_000, 'two ', 'i:1').say(3_000, 'three', 'i:1');
    const told = script.events.map((event) => fanout.feed(event, event.ts === 2_000)[4].map(({ payload }) => payload));
    expect(told.at(-2)).toEqual([]);
    expect(told.at(-1)).toMatchObject([{ data: { delta: 'two three', text: 'one two three' } }, { deltaText: 'two three' }]);
  });

  test('EV-119 the fan-out forgets a run that ended, and is bounded', () => {
    const fanout = new RunFanout({ maxRuns: 2 });
    const begin = (runId: string): RunEvent => ({
      ...(new Script({ runId, sessionKey: 'agent:main:a' }).opening().events[2] as RunEvent),
    });
    for (const id of ['a', 'b', 'c']) expect(fanout.feed(begin(id))[4]).toHaveLength(1);
    expect(fanout.size).toBe(2);
    const [end] = new Script({ runId: 'c', sessionKey: 'agent:main:a' }).ok(5).events;
    const frames = fanout.feed(end as RunEvent);
    expect(frames[3].at(-1)?.payload['state']).toBe('final');
    expect(frames[4].at(-1)?.payload['state']).toBe('final');
    expect(fanout.size).toBe(1);
  });

  test('EV-114 an interrupted run ends as an error, once, with its text kept', () => {
    const script = new Script({ runId: RUN, sessionKey: 'agent:main:cut' }).opening().say(5, 'half of', 'i:1').say(6, ' it', 'i:1');
    script.at(7, {
      type: 'end',
      outcome: 'interrupted',
      endedAt: 7,
      text: script.text,
      error: { kind: 'interrupted', message: 'The gateway was restarted.', fix: 'send it again' },
    });
    for (const protocol of [3, 4] as const) {
      const chat = script.frames(protocol).filter((frame) => frame.event === 'chat');
      const errors = chat.filter((frame) => frame.payload['state'] === 'error');
      expect(errors).toHaveLength(1);
      expect(errors[0]?.payload).toMatchObject({
        errorMessage: 'The gateway was restarted. (send it again)',
        message: { content: [{ text: 'half of it' }] },
      });
      expect(textOf(chat.at(-2)?.payload as JsonObject)).toBe('half of it');
    }
  });
});
