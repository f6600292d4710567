import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { connect, newDevice } from '../support/wire.ts';
import { Differences } from './support/differences.ts';
import { type House, openHouse } from './support/house.ts';
import {
  type Line,
  pageCalls,
  type RecordedCall,
  type RecordedConnect,
  recordedCalls,
  recordedConnect,
  recording,
  usable,
  type Value,
} from './support/recording.ts';
import { expectDenseSeq, type Replay, replay } from './support/replay.ts';
import { shapeDifferences } from './support/shape.ts';
import { expectTranscript, sanitiser } from './support/transcript.ts';

/**
 * The calls that existing clients were recorded to make, and the results they got. A method this gateway has answers in the recorded
 * shape; one it has not is `INVALID_REQUEST "unknown method: X"`, and the socket stays open.
 */

const DIFFERENCES = new Differences([
  {
    line: '9',
    in: 'sessions.patch',
    at: ['entry', 'resolved'],
    reason: 'marking as read changes nothing here, so the entry is named and not told again; its row comes with sessions.list',
  },
  {
    in: 'config.get',
    at: ['parsed', 'resolved', 'config', 'sourceConfig', 'runtimeConfig'],
    reason: 'what stands in the file of that machine; ours is another one, and holds no defaults',
  },
  {
    line: '9',
    in: 'status',
    at: ['hostDesktop.port', 'heartbeat.agents[].waitingForRoute', 'workerPools', 'shutdownBudget'],
    reason: 'no desktop to share, no heartbeat, no worker pools; how long a shutdown may take is a constant',
  },
  {
    line: '9',
    in: 'channels.status',
    at: ['eventLoop'],
    reason: 'health and status tell it; no channel is slowed by it',
  },
  {
    line: '9',
    in: 'agents.list',
    at: ['agents[].workspaceGit', 'agents[].agentRuntime', 'agents[].defaultPermissionMode'],
    reason: 'one runtime, its tools confined to the workspace: nothing to choose among',
  },
  {
    line: '9',
    in: /^(sessions\.list.*|chat\.(history-.*|startup))$/,
    at: ['defaults.agentRuntime', 'sessionInfo.agentRuntime'],
    reason: 'one runtime, and no choice of another',
  },
  {
    line: '9',
    in: /^chat\.(history-.*|startup)$/,
    at: [
      ...['createdActor', 'owner', 'participants', 'expandedParticipants', 'participantCount'].map((key) => `sessionInfo.${key}`),
      ...['senderId', 'senderIdentity', 'transport', 'senderProfileAvatarUrl'].map((key) => `messages[].__openclaw.${key}`),
    ],
    reason: 'people have no profiles here: whoever reads the sessions is the owner, as senderIsOwner says',
  },
  {
    line: '9',
    in: /^chat\.(history-.*|startup)$/,
    at: ['sessionInfo.fastAutoOnSeconds', 'sessionInfo.estimatedCostUsd'],
    reason: 'no fast mode; costs are not counted',
  },
  {
    line: '9',
    in: /^chat\.history-(think|tool3)$/,
    at: ['verboseLevel', 'sessionInfo.verboseLevel', 'sessionInfo.reasoningLevel', 'sessionInfo.thinkingLevel'],
    reason: 'set by sessions.patch in the recording; there is no such method',
  },
  {
    line: '3',
    in: 'chat.history-tool3',
    at: ['verboseLevel'],
    reason: 'set by sessions.patch in the recording; there is no such method',
  },
  {
    line: '9',
    in: /^chat\.history-(abort|abort2|err)$/,
    at: ['sessionInfo.totalTokens'],
    reason: 'these sessions used no tokens that were counted; totalTokensFresh is false',
  },
  {
    line: '9',
    in: /^chat\.history-/,
    at: ['messages[].responseId'],
    reason: 'an id of the provider that no client can do anything with',
  },
  {
    line: '9',
    in: 'cron.list',
    at: ['deliveryPreviews'],
    reason: 'one entry per job; there are none',
  },
  {
    line: '9',
    in: 'chat.history-agentId',
    at: ['sessionInfo.lastReadAt'],
    reason: 'what was read is not kept',
  },
  {
    line: '3',
    in: 'sessions.reset',
    at: ['entry.origin', 'entry.lastChannel', 'entry.skillsSnapshot'],
    reason: 'parts of a store that is another one; the row of sessions.list has origin and channel',
  },
  {
    line: '9',
    in: 'sessions.reset',
    at: [
      ...[
        'lifecycleRevision',
        'sessionStartedAt',
        'chatType',
        'compactionCount',
        'createdVia',
        'createdActor',
        'createdAt',
        'delivery',
      ].map((key) => `entry.${key}`),
      'entry.totalTokensVersion',
    ],
    reason: 'parts of a store that is another one; the row of sessions.list has what is known of a session',
  },
  {
    line: '9',
    in: 'device.pair.list',
    at: ['paired[].lastSeenAtMs', 'paired[].lastSeenReason'],
    reason: 'told once its token was used; that a device is here now is said by connected',
  },
]);

/** Recorded as refused, answered here. */
const ANSWERED: readonly { readonly line: Line; readonly labels: readonly string[]; readonly reason: string }[] = [
  {
    line: '3',
    labels: ['chat.history-max', 'chat.history-offset', 'chat.history-cursor', 'chat.history-before', 'chat.history-agentId'],
    reason: 'unknown keys of params are ignored: files and clients of other versions send them',
  },
  { line: '9', labels: ['chat.history-before'], reason: 'the same' },
  {
    line: '3',
    labels: ['chat.metadata', 'chat.startup', 'sessions.subscribe', 'sessions.messages.subscribe'],
    reason: 'there is one registry of methods: what one protocol has the other may call',
  },
];

/** Recorded as answered, refused here. */
const REFUSED: readonly { readonly method: string; readonly reason: string }[] = [
  {
    method: 'sessions.patch',
    reason:
      'the model of a session can be changed and nothing else, but for marking as read, which is true already; saying yes to what is not done would be worse than no',
  },
];

let house: House;

beforeAll(async () => {
  house = await openHouse();
  await using client = await connect(house.gateway.url, { protocol: 4, device: newDevice(), auth: { token: house.gateway.token() } });
  const say = async (name: string, message: string, runId = `run-${name}`): Promise<string> => {
    await client.call('chat.send', { sessionKey: `agent:main:${name}`, message, idempotencyKey: runId });
    return runId;
  };
  const over = (runId: string): Promise<unknown> =>
    client.event('chat', (p) => p.runId === runId && ['final', 'error', 'aborted'].includes(p.state));
  await over(await say('main', 'hello TEST:text hi there'));
  await over(await say('plain', 'TEST:tokens n=14'));
  await over(await say('tool', 'TEST:tool read path=notes.md'));
  await over(await say('tool3', 'TEST:tool list path=.'));
  await over(await say('think', 'TEST:think'));
  for (const [name, stop] of [
    ['abort', () => client.call('chat.abort', { sessionKey: 'agent:main:abort', runId: 'run-abort' })],
    ['abort2', () => say('abort2', '/stop', 'run-stop')],
  ] as const) {
    const runId = await say(name, 'TEST:tokens n=200 delay=60');
    await client.event('chat', (p) => p.runId === runId && p.state === 'delta');
    await stop();
    await over(runId);
  }
  await over(await say('err', 'TEST:error 400'));
  await over(await say('cut', 'TEST:cut after=5 times=1'));
  for (const line of ['3', '9']) await over(await say(`reset-${line}`, 'TEST:text soon forgotten'));
  await say('busy', 'TEST:tokens n=5 delay=10');
  await over(await say('busy', 'TEST:text second answer', 'run-busy-2'));
  // The snapshot that everybody gets is taken anew once a second; from here on it holds all of this.
  await client.call('health', { probe: true });
});
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

const isRefused = (method: string): boolean => REFUSED.some((entry) => entry.method === method);

/** Compares one answer with what was recorded; without a recorded one, it has to be an answer, or `unknown method`. */
function check(line: Line, where: string, call: RecordedCall, res: Value, known: ReadonlySet<string>): void {
  const context = `v${line} ${where} ${JSON.stringify(call.params)}`;
  if (!known.has(call.method)) {
    expect.soft(res, context).toMatchObject({ ok: false, error: { code: 'INVALID_REQUEST', message: `unknown method: ${call.method}` } });
    return;
  }
  const { res: want } = call;
  const allowed = ANSWERED.find((entry) => entry.line === line && entry.labels.includes(where));
  if (want === undefined || allowed !== undefined) {
    expect.soft(res, context).toMatchObject({ ok: true });
    return;
  }
  if (want.ok && !res.ok && isRefused(call.method)) {
    expect.soft(res.error.code, context).toBe('INVALID_REQUEST');
    return;
  }
  expect.soft(res.ok, `${context} ${JSON.stringify(res.error)}`).toBe(want.ok);
  if (res.ok !== want.ok) return;
  const found = want.ok ? shapeDifferences(want.payload, res.payload) : shapeDifferences(want.error, res.error);
  expect.soft(DIFFERENCES.unexplained(line, where, found), context).toEqual([]);
  if (!want.ok) expect.soft(res.error.code, context).toBe(want.error.code);
}

const methodsOf = (client: Replay): ReadonlySet<string> => new Set(client.hello.features.methods);

async function replayCalls(line: Line, client: Replay, calls: readonly RecordedCall[], transcript: string): Promise<void> {
  const clean = sanitiser(house.gateway);
  const known = methodsOf(client);
  const told: unknown[] = [];
  for (const call of calls) {
    const res = await client.request(call.method, call.params);
    check(line, call.method, call, res, known);
    if (isRefused(call.method)) continue;
    const { id: _, type: __, ...answer } = res;
    told.push(clean({ method: call.method, params: call.params, ...answer }));
  }
  expect(client.client.closed).toBeUndefined();
  expectDenseSeq(client.frames);
  expectTranscript(`calls/${transcript}`, told);
}

interface Case {
  readonly name: string;
  readonly line: Line;
  readonly capture: string;
  readonly c?: string;
  readonly mark?: string;
}
const cases: readonly Case[] = [
  { name: 'v3 CLI: health', line: '3', capture: 'v3-cli-health' },
  { name: 'v3 CLI: status --deep, health', line: '3', capture: 'v3-cli-status-deep', c: 'c2' },
  { name: 'v3 CLI: devices list', line: '3', capture: 'v3-cli-devices-list' },
  { name: 'v3 CLI: call of an unknown method', line: '3', capture: 'v3-cli-call-unknown' },
  ...['cli-logs', 'cli-cronlist', 'cli-nodeslist', 'cli-channels', 'cli-gwstatus', 'cli-sysp', 'cli-syshb', 'cli-audit'].map((mark) => ({
    name: `v3 CLI: ${mark}`,
    line: '3' as const,
    capture: 'v3-cli-others-requests',
    mark,
  })),
  { name: 'v3 Control UI: first load', line: '3', capture: 'v3-ui-first-load' },
  { name: 'v9 CLI: health', line: '9', capture: 'v9-cli-health', c: 'c1' },
  ...['c1', 'c3', 'c4', 'c5'].map((c) => ({ name: `v9 CLI: status --deep ${c}`, line: '9' as const, capture: 'v9-cli-status-deep', c })),
  { name: 'v9 CLI: devices list', line: '9', capture: 'v9-cli-devices-list' },
  { name: 'v9 CLI: call of an unknown method', line: '9', capture: 'v9-cli-call-unknown' },
  ...['cli-logs', 'cli-cronlist', 'cli-nodeslist', 'cli-channels', 'cli-modelslist', 'cli-sysp', 'cli-syshb', 'cli-audit'].map((mark) => ({
    name: `v9 CLI: ${mark}`,
    line: '9' as const,
    capture: 'v9-cli-others-requests',
    mark,
  })),
  { name: 'v9 Control UI: first load', line: '9', capture: 'v9-ui-first-load' },
];

describe('WS-41 what each client asks after it has connected', () => {
  for (const { name, line, capture, c = 'c1', mark } of cases) {
    test(name, async () => {
      const recorded = recordedConnect(capture, c, mark);
      await using client = await replay(house.gateway, recorded, { token: house.gateway.token(), device: newDevice() });
      const calls = recordedCalls(capture, c, mark);
      expect(calls.length).toBeGreaterThan(0);
      await replayCalls(line, client, calls, `${capture}-${mark ?? c}`);
    });
  }
});

describe('WS-41 what each page of the Control UI asks', () => {
  for (const line of ['3', '9'] as const) {
    test(`v${line}`, async () => {
      const recorded = recordedConnect(`v${line}-ui-first-load`);
      await using client = await replay(house.gateway, recorded, { token: house.gateway.token(), device: newDevice() });
      const reload = recordedCalls(`v${line}-ui-reload`);
      await replayCalls(line, client, [...reload, ...pageCalls(`v${line}-ui-pages-requests`)], `v${line}-ui-pages`);
    });
  }
});

/** Runs of their own, or they end the connection that asks: tested apart. */
const APART = /^device\.token\.rotate/;

describe('WS-41 results, method by method', () => {
  for (const line of ['3', '9'] as const) {
    const files = line === '3' ? ['v3-methods-1', 'v3-methods-2'] : ['v9-methods-1', 'v9-methods-2'];
    test(`v${line}`, async () => {
      await using client = await connect(house.gateway.url, {
        protocol: line === '3' ? 3 : 4,
        device: newDevice(),
        auth: { token: house.gateway.token() },
      });
      const known = new Set<string>(client.hello.features.methods);
      const clean = sanitiser(house.gateway);
      const told: unknown[] = [];
      for (const entry of files.flatMap((file) => recording(file))) {
        const { label, method, params, ok, payload, error } = entry as Value;
        if (method === undefined || APART.test(label)) continue;
        // The recorded session is needed by the other line too.
        const sent = method === 'sessions.reset' ? { key: `agent:main:reset-${line}` } : usable(params);
        const res = await client.request(method, sent);
        check(line, label, { method, params, res: { ok, payload, error } }, res, known);
        if (known.has(method) && !isRefused(method))
          told.push(clean({ label, method, params, ok: res.ok, payload: res.payload, error: res.error }));
      }
      expect(client.closed).toBeUndefined();
      expectTranscript(`calls/v${line}-methods`, told);
    });
  }
});

/** Last, for these change what there is. What a server must answer so that each client stays usable, and what makes it better. */
const NEEDED: readonly { readonly client: string; readonly recorded: RecordedConnect; readonly methods: readonly [string, Value?][] }[] = [
  ...(['3', '9'] as const).map((line) => ({
    client: `v${line} CLI`,
    recorded: recordedConnect(line === '3' ? 'v3-cli-agent' : 'v9-cli-call-unknown'),
    methods: [
      // Params may be left out.
      ...['health', 'status', 'system-presence', 'config.get', 'device.pair.list', 'node.list', 'logs.tail', 'cron.list'].map(
        (method) => [method] as const,
      ),
      ...['channels.status', 'last-heartbeat', 'models.list'].map((method) => [method] as const),
      ['agent', { message: 'TEST:text done', agentId: 'main', deliver: false, timeout: 600, idempotencyKey: `needed-${line}` }] as const,
    ] as [string, Value?][],
  })),
  {
    client: 'v3 Control UI',
    recorded: recordedConnect('v3-ui-first-load'),
    methods: [
      ['chat.history', { sessionKey: 'agent:main:main', limit: 200 }],
      ['chat.send', { sessionKey: 'agent:main:main', message: 'TEST:text done', deliver: false, idempotencyKey: 'needed-ui-3' }],
      ['chat.abort', { sessionKey: 'agent:main:main' }],
      ['agent.identity.get', { sessionKey: 'agent:main:main' }],
      ...['agents.list', 'health', 'node.list', 'device.pair.list', 'sessions.list', 'models.list'].map((method): [string, Value] => [
        method,
        {},
      ]),
    ],
  },
  {
    client: 'v9 Control UI',
    recorded: recordedConnect('v9-ui-first-load'),
    methods: [
      ['chat.startup', { sessionKey: 'agent:main:main', limit: 80, maxBytes: 262_144 }],
      ['chat.send', { sessionKey: 'agent:main:main', message: 'TEST:text done', deliver: false, idempotencyKey: 'needed-ui-9' }],
      ['chat.history', { sessionKey: 'agent:main:main', limit: 20, maxBytes: 65_536 }],
      ['chat.abort', { sessionKey: 'agent:main:main' }],
      ['sessions.subscribe', {}],
      ['sessions.messages.subscribe', { key: 'agent:main:main', includeApprovals: true }],
      ['chat.metadata', { agentId: 'main', sessionKey: 'agent:main:main' }],
      ['agent.identity.get', { agentId: 'main' }],
      ['sessions.catalog.list', { agentId: 'main', limitPerHost: 40, progressId: 'p', allowPartialResults: true }],
      ...['sessions.list', 'agents.list', 'config.get'].map((method): [string, Value] => [method, {}]),
    ],
  },
];

describe('WS-41 what a server must answer', () => {
  for (const { client: name, recorded, methods } of NEEDED) {
    test(name, async () => {
      await using client = await replay(house.gateway, recorded, { token: house.gateway.token(), device: newDevice() });
      for (const [method, params] of methods) {
        const res = await client.request(method, params);
        expect(res, `${method} ${JSON.stringify(res.error)}`).toMatchObject({ ok: true });
        if (method === 'agent') {
          expect(res.payload.status).toBe('accepted');
          await client.client.frame((f) => f.id === res.id && f.payload?.status === 'ok', 'the outcome of agent');
        }
        if (method === 'chat.send') await client.ended(params.idempotencyKey);
      }
      expectDenseSeq(client.frames);
    });
  }
});

test('every listed difference is still one', () => {
  expect(DIFFERENCES.stale()).toEqual([]);
});
