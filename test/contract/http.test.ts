import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { newDevice } from '../support/wire.ts';
import { type House, openHouse } from './support/house.ts';
import { type Line, recordedConnect, recording, type Value } from './support/recording.ts';
import { replay } from './support/replay.ts';
import { shapeDifferences } from './support/shape.ts';
import { expectTranscript, sanitiser } from './support/transcript.ts';

/** Recorded requests over HTTP, asked of this gateway; what the recording left out of a row is listed below by hand. */

const SPA = 'every unknown path was the page of the Control UI, which is not part of this gateway';
const V9 = 'the answer of the newer line';

/** Status and content type where they are not the recorded ones. */
const DEVIATIONS: Readonly<Record<string, { readonly status: number; readonly type: 'json' | 'text'; readonly reason: string }>> = {
  '3:probe /startup': { status: 200, type: 'json', reason: V9 },
  '3:probe /startupz': { status: 200, type: 'json', reason: V9 },
  '3:probe /livez': { status: 404, type: 'text', reason: SPA },
  '9:probe /livez': { status: 404, type: 'text', reason: SPA },
  '9:readyz fwd': {
    status: 200,
    type: 'json',
    reason: 'a caller through an unlisted proxy learns whether it is ready and nothing else; a load balancer behind one needs that',
  },
  '3:models': { status: 200, type: 'json', reason: V9 },
  '3:models 401': { status: 401, type: 'json', reason: V9 },
  '3:models id': { status: 200, type: 'json', reason: V9 },
  '3:models default': { status: 200, type: 'json', reason: V9 },
  '3:models slash': { status: 200, type: 'json', reason: V9 },
  '3:models unknown': { status: 400, type: 'json', reason: V9 },
  '3:models POST': { status: 405, type: 'text', reason: V9 },
  '3:chat badmodel': { status: 400, type: 'json', reason: `${V9}: no agent is made up` },
  '3:chat unknownagent': { status: 400, type: 'json', reason: `${V9}: no agent is made up` },
  '3:chat badtemp': { status: 400, type: 'json', reason: V9 },
};
const TYPES = { json: 'application/json; charset=utf-8', text: 'text/plain; charset=utf-8' };

let house: House;
beforeAll(async () => {
  house = await openHouse();
});
afterAll(async () => {
  await house[Symbol.asyncDispose]();
});

interface Answer {
  readonly status: number;
  readonly type: string | null;
  readonly allow: string | null;
  readonly cache: string | null;
  readonly body: string;
  readonly headers: Headers;
}
async function ask(request: string, headers: Readonly<Record<string, string>> = {}, body?: string): Promise<Answer> {
  const [method = '', path = ''] = request.split(' ');
  const init = { method, headers, redirect: 'manual' as const, ...(body === undefined ? {} : { body }) };
  const response = await fetch(`${house.gateway.httpUrl}${path}`, init);
  const { status, headers: got } = response;
  const [type, allow, cache] = ['content-type', 'allow', 'cache-control'].map((name) => got.get(name));
  return { status, type: type ?? null, allow: allow ?? null, cache: cache ?? null, body: await response.text(), headers: got };
}
const bearer = (token = house.gateway.token()): Record<string, string> => ({ authorization: `Bearer ${token}` });

const script = (body: string): string =>
  body.replace('TEST:say text=', 'TEST:text ').replace('TEST:tool name=read', 'TEST:tool read path=notes.md');

interface Recorded {
  readonly case: string;
  readonly req: string;
  readonly reqHeaders?: Readonly<Record<string, string>>;
  readonly reqBody?: string;
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}
/** Rows whose request was recorded whole. */
const rows = (line: Line): Recorded[] =>
  recording(`v${line}-http`).flatMap((row) => {
    const { req, reqBody } = row as unknown as Recorded;
    return req === undefined || reqBody?.includes('…') || (req.startsWith('POST') && reqBody === undefined)
      ? []
      : [row as unknown as Recorded];
  });

const parsed = (text: string): Value => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};

const used = new Set<string>();
for (const line of ['3', '9'] as const) {
  describe(`HT-60 v${line}`, () => {
    const told: unknown[] = [];
    test.each(rows(line).map((row) => [row.case, row] as const))('%s', async (name, row) => {
      const headers = row.reqHeaders?.['authorization'] === undefined ? row.reqHeaders : { ...row.reqHeaders, ...bearer() };
      const sent = name.includes('wrong') ? { ...headers, ...bearer('not-the-token-of-this-gateway') } : headers;
      const got = await ask(row.req, sent, row.reqBody === undefined ? undefined : script(row.reqBody));
      const deviation = DEVIATIONS[`${line}:${name}`];
      if (deviation !== undefined) {
        used.add(`${line}:${name}`);
        expect({ status: got.status, type: got.type }).toEqual({ status: deviation.status, type: TYPES[deviation.type] });
      } else {
        expect({ status: got.status, type: got.type }).toEqual({ status: row.status, type: row.headers['content-type'] });
        expect(got.allow).toBe(row.headers['allow'] ?? null);
        const want = parsed(row.body);
        if (want !== undefined) expect(shapeDifferences(want, parsed(got.body))).toEqual([]);
      }
      for (const [header, value] of [
        ['x-content-type-options', 'nosniff'],
        ['referrer-policy', 'no-referrer'],
        ['permissions-policy', 'camera=(), microphone=(), geolocation=()'],
      ] as const) {
        expect(got.headers.get(header), header).toBe(value);
      }
      expect(got.headers.get('access-control-allow-origin')).toBeNull();
      const { headers: _, body, ...rest } = got;
      const clean = sanitiser(house.gateway);
      // Whether the tokens of a stream come in one piece or two is chance; their frames have tests of their own.
      const shown = got.type?.startsWith('text/event-stream') ? '<stream>' : clean(parsed(body) ?? body);
      told.push({ case: name, ...rest, body: shown });
    });

    test('transcript', () => expectTranscript(`http/v${line}`, told));
  });
}

describe('HT-60 rows that were not recorded whole', () => {
  test('the config of the older Control UI needs no credential', async () => {
    const got = await ask('GET /__openclaw/control-ui-config.json');
    const want = recording('v3-ui-first-load').find(({ http }) => http === 'GET /__openclaw/control-ui-config.json')?.['body'];
    expect(got).toMatchObject({ status: 200, type: TYPES.json });
    expect(shapeDifferences(parsed(String(want)), parsed(got.body))).toEqual([]);
  });

  test('the config of the newer Control UI: 401, the secret, a device token', async () => {
    expect((await ask('GET /control-ui-config.json')).status).toBe(401);
    const bySecret = await ask('GET /control-ui-config.json', bearer());
    expect(bySecret).toMatchObject({ status: 200, type: TYPES.json });
    await using panel = await replay(house.gateway, recordedConnect('v9-ui-first-load'), {
      token: house.gateway.token(),
      device: newDevice(),
    });
    const byDevice = await ask('GET /control-ui-config.json', bearer(panel.hello.auth.deviceToken));
    expect(byDevice.body).toBe(bySecret.body);
    const config = parsed(bySecret.body);
    expect(Object.keys(config)).toEqual(
      expect.arrayContaining([
        ...['basePath', 'assistantName', 'assistantAvatar', 'assistantAgentId', 'serverVersion'],
        ...['assistantAvatarSource', 'assistantAvatarStatus', 'assistantAvatarReason', 'serverBuildId', 'embedSandbox'],
        ...['allowExternalEmbedUrls', 'automaticallyFetchFavicons', 'communityInvite', 'terminalEnabled', 'cliAgentsEnabled'],
        ...['pluginAssetsRequireAuth', 'pluginFrameGrants'],
      ]),
    );
    // What a panel is told in hello-ok and here is one build: otherwise it would say that the server was updated.
    expect(config).toMatchObject({ serverVersion: panel.hello.server.version, serverBuildId: panel.hello.server.buildId });
  });

  test.each([
    ['GET /avatar/main?meta=1', 200, '{"avatarUrl":null}', null],
    ['GET /avatar/main', 404, 'Not Found\n', null],
    ['POST /healthz', 405, 'Method Not Allowed\n', 'GET, HEAD'],
    ['OPTIONS /healthz', 405, 'Method Not Allowed\n', 'GET, HEAD'],
    ['OPTIONS /v1/chat/completions', 405, 'Method Not Allowed\n', 'POST'],
    ['GET /api/nope', 404, 'Not Found\n', null],
    ['GET /api/users/gateway-owner/avatar', 404, 'Not Found\n', null],
    ['GET /__openclaw__/workspace-icon/agent%3Amain%3Amain', 404, 'Not Found\n', null],
  ])('%s', async (request, status, body, allow) => {
    const got = await ask(request);
    expect({ status: got.status, allow: got.allow, body: got.body.trim() }).toEqual({ status, allow, body: body.trim() });
  });

  test('GET and HEAD / give a page', async () => {
    expect(await ask('GET /')).toMatchObject({ status: 200, type: 'text/html; charset=utf-8', cache: 'no-cache' });
    expect(await ask('HEAD /')).toMatchObject({ status: 200, type: 'text/html; charset=utf-8', body: '' });
  });

  const chat = (message: string, more: object = {}): string =>
    JSON.stringify({ model: 'openclaw', messages: [{ role: 'user', content: message }], ...more });

  test('a body without a content type is taken', async () => {
    const bytes = new TextEncoder().encode(chat('TEST:text hello'));
    const response = await fetch(`${house.gateway.httpUrl}/v1/chat/completions`, { method: 'POST', headers: bearer(), body: bytes });
    expect(response.status).toBe(200);
    expect(((await response.json()) as Value).choices[0].message.content).toBe('hello');
  });

  test('the stream: role, content, stop, usage when asked for, [DONE]', async () => {
    const got = await ask(
      'POST /v1/chat/completions',
      bearer(),
      chat('TEST:tokens n=4', { stream: true, stream_options: { include_usage: true } }),
    );
    expect(got.type).toBe('text/event-stream; charset=utf-8');
    const lines = got.body
      .split('\n\n')
      .filter((line) => line.startsWith('data: '))
      .map((line) => line.slice(6));
    expect(lines.at(-1)).toBe('[DONE]');
    const chunks = lines.slice(0, -1).map((line) => JSON.parse(line) as Value);
    expect(chunks[0].choices[0].delta).toEqual({ role: 'assistant' });
    const [stop, usage] = chunks.slice(-2);
    expect(stop.choices[0]).toMatchObject({ delta: {}, finish_reason: 'stop' });
    expect(usage).toMatchObject({
      choices: [],
      usage: { prompt_tokens: expect.any(Number), completion_tokens: 4, total_tokens: expect.any(Number) },
    });
    const text = chunks
      .slice(1, -2)
      .map((chunk) => chunk.choices[0].delta.content)
      .join('');
    expect(text.trim()).toBe('token0 token1 token2 token3');
  });

  test('the tools of the agent are invisible: only its text', async () => {
    const got = await ask('POST /v1/chat/completions', bearer(), chat('TEST:tool read path=notes.md'));
    const [choice] = parsed(got.body).choices;
    expect(Object.keys(choice.message)).toEqual(['role', 'content']);
    expect(choice).toMatchObject({ finish_reason: 'stop', message: { content: expect.stringContaining('marker-tool-content-42') } });
  });

  test('a provider that refuses: 400, and in a stream an error line', async () => {
    const plain = await ask('POST /v1/chat/completions', bearer(), chat('TEST:error 400'));
    expect(plain.status).toBe(400);
    expect(parsed(plain.body).error).toMatchObject({ type: 'invalid_request_error', message: expect.stringContaining('400') });
    const stream = await ask('POST /v1/chat/completions', bearer(), chat('TEST:error 400', { stream: true }));
    expect(stream.status).toBe(200);
    const data = stream.body
      .split('\n\n')
      .filter((line) => line.startsWith('data: {'))
      .map((line) => parsed(line.slice(6)));
    expect(data[0].choices[0].delta).toEqual({ role: 'assistant' });
    expect(data[1].error).toMatchObject({ type: 'invalid_request_error' });
  });

  test('a body over the limit is 413 as JSON, before it was read', async () => {
    const got = await ask('POST /v1/chat/completions', bearer(), chat('x'.repeat(21 * 1024 * 1024)));
    expect(got).toMatchObject({ status: 413, type: TYPES.json });
    expect(parsed(got.body).error.type).toBe('invalid_request_error');
  });

  test('what is not here is 404', async () => {
    for (const request of ['POST /v1/responses', 'POST /v1/embeddings']) {
      expect((await ask(request, bearer(), '{}')).status, request).toBe(404);
    }
  });
});

test('every deviation is still one', () => {
  expect(Object.keys(DEVIATIONS).filter((key) => !used.has(key))).toEqual([]);
});
