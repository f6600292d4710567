import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type FakeCliOptions, fakeCli, Refuse, type Script, scriptedGateway } from '../../../test/support/fake-cli-env.ts';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { until } from '../../../test/support/until.ts';
import type { TryPlan, TryProgress } from '../../protocol/methods/local.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'oc-cli-'));
  mkdirSync(join(dir, 'gateway', 'logs'), { recursive: true, mode: 0o700 });
  writeFileSync(join(dir, 'gateway', 'admin.sock'), '');
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A terminal beside a gateway of this state dir. */
function here(script: Script, options: FakeCliOptions = {}) {
  const gateway = scriptedGateway(script);
  const t = fakeCli({ openSocket: gateway.openSocket, ...options, vars: { OPENCLAW_STATE_DIR: dir, HOME: dir, ...options.vars } });
  return { gateway, t };
}
const pending = (requestId: string, ts: number) => ({
  requestId,
  deviceId: 'd'.repeat(64),
  displayName: `laptop ${requestId}`,
  role: 'operator',
  scopes: ['operator.read'],
  ts,
});

describe('CL-40 devices', () => {
  test('CL-40 approve without an id takes the only one that waits', async () => {
    const { gateway, t } = here({
      'device.pair.list': { pending: [pending('r1', 1)], paired: [] },
      'device.pair.approve': { requestId: 'r1', device: {} },
    });
    expect(await t.run('devices', 'approve')).toBe(0);
    expect(gateway.asked.at(-1)).toMatchObject({ method: 'device.pair.approve', params: { requestId: 'r1' } });
  });

  test('CL-40 it refuses when more than one waits, shows them, and approves nothing; --latest takes the newest', async () => {
    const { gateway, t } = here({
      'device.pair.list': { pending: [pending('old', 1), pending('new', 2)], paired: [] },
      'device.pair.approve': (params: unknown) => ({ ...(params as object), device: {} }),
    });
    expect(await t.run('devices', 'approve')).toBe(2);
    expect(gateway.asked.some(({ method }) => method === 'device.pair.approve')).toBe(false);
    expect(t.err()).toContain('laptop old');
    expect(t.err()).toContain('openclaw devices approve');
    expect(await t.run('devices', 'approve', '--latest')).toBe(0);
    expect(gateway.asked.at(-1)).toMatchObject({ params: { requestId: 'new' } });
  });

  test('CL-40 nobody waits: says so', async () => {
    const { t } = here({ 'device.pair.list': { pending: [], paired: [] } });
    expect(await t.run('devices', 'approve', '--json')).toBe(1);
    expect(t.json()).toMatchObject({ error: { code: 'NOTHING_PENDING' } });
  });

  test('CL-55 an id may be cut to a beginning that only one has, or be the name of the device', async () => {
    const one = { deviceId: `abcd${'1'.repeat(60)}`, displayName: 'laptop', approvedScopes: ['operator.read'] };
    const two = { deviceId: `abce${'2'.repeat(60)}`, displayName: 'phone', approvedScopes: ['operator.read'] };
    const { gateway, t } = here({
      'device.pair.list': { pending: [pending('11111111-aaaa', 1), pending('11112222-bbbb', 2)], paired: [one, two] },
      'device.pair.approve': { device: {} },
      'device.pair.remove': {},
    });
    const last = () => gateway.asked.at(-1);
    expect(await t.run('devices', 'list')).toBe(0);
    expect(t.out()).toContain('11111111 ');
    expect(t.out()).not.toContain('1'.repeat(20));
    expect(await t.run('devices', 'approve', '11112222')).toBe(0);
    expect(last()).toMatchObject({ params: { requestId: '11112222-bbbb' } });
    expect(await t.run('devices', 'remove', 'abce')).toBe(0);
    expect(last()).toMatchObject({ params: { deviceId: two.deviceId } });
    expect(await t.run('devices', 'remove', 'laptop')).toBe(0);
    expect(last()).toMatchObject({ params: { deviceId: one.deviceId } });
    for (const wrong of [
      ['approve', '1111'],
      ['remove', 'abc'],
      ['remove', 'nobody'],
    ]) {
      expect(await t.run('devices', ...wrong, '--json'), wrong.join(' ')).toBe(1);
      expect(t.json()).toMatchObject({ error: { fix: 'openclaw devices list' } });
      expect(last()?.method).toBe('device.pair.list');
    }
  });

  test('CL-41 a rotated token is printed nowhere', async () => {
    const { t } = here({
      'device.pair.list': { pending: [], paired: [{ deviceId: 'd1', role: 'operator' }] },
      'device.token.rotate': { deviceId: 'd1', role: 'operator', token: 'SECRET-TOKEN', scopes: [] },
    });
    for (const json of [[], ['--json']]) {
      expect(await t.run('devices', 'rotate', '--device', 'd1', ...json)).toBe(0);
      expect(t.out() + t.err()).not.toContain('SECRET-TOKEN');
    }
  });

  test('CL-40 names of devices cannot forge lines', async () => {
    const { t } = here({ 'device.pair.list': { pending: [{ ...pending('r', 1), displayName: 'x\nPaired (9)\u001b[2J' }], paired: [] } });
    await t.run('devices', 'list');
    expect(t.out()).not.toMatch(/^Paired \(9\)/m);
    expect(t.out()).not.toContain('\u001b');
  });
});

describe('CL-42 agent', () => {
  const answering = (payload: unknown) => (_params: unknown, more: (payload: unknown) => void) => {
    more({ runId: 'id-1', status: 'accepted', sessionKey: 'agent:main:main' });
    return payload;
  };
  const done = {
    runId: 'id-1',
    status: 'ok',
    summary: 'completed',
    result: { payloads: [{ text: 'Hello there.' }], meta: { aborted: false } },
  };

  test('CL-42 prints the answer; --json the whole result', async () => {
    const { gateway, t } = here({ agent: answering(done) });
    expect(await t.run('agent', '-m', 'hi')).toBe(0);
    expect(t.out()).toBe('Hello there.\n');
    expect(gateway.asked.at(-1)?.params).toMatchObject({ message: 'hi', idempotencyKey: 'id-1', sessionKey: 'main' });
    expect(await t.run('agent', '-m', 'hi', '--json')).toBe(0);
    expect(t.json()).toMatchObject({ ok: true, status: 'ok', result: { payloads: [{ text: 'Hello there.' }] } });
  });

  test('CL-42 on a terminal the text appears as it comes, once', async () => {
    let emit: (event: string, payload: unknown) => void = () => {};
    const { gateway, t } = here(
      {
        'events.subscribe': { subscribed: true },
        agent: async (_params: unknown, more: (payload: unknown) => void) => {
          more({ runId: 'id-1', status: 'accepted' });
          for (const soFar of ['Hel', 'Hello', 'Hello there.'])
            emit('agent', { runId: 'id-1', stream: 'assistant', data: { text: soFar } });
          emit('agent', { runId: 'other', stream: 'assistant', data: { text: 'not mine' } });
          return done;
        },
      },
      { isTTY: true },
    );
    emit = gateway.emit;
    expect(await t.run('agent', '-m', 'hi', '--no-color')).toBe(0);
    expect(t.out()).toBe('Hello there.\n');
  });

  test('CL-42 a failed run is a failure with its fix', async () => {
    const { t } = here({
      agent: new Refuse({ code: 'UNAVAILABLE', message: 'no key for anthropic', details: { fix: 'export ANTHROPIC_API_KEY=…' } }),
    });
    expect(await t.run('agent', '-m', 'hi', '--json')).not.toBe(0);
    expect(t.json()).toMatchObject({ ok: false });
  });

  test('CL-42 without a message: wrong usage; - reads stdin', async () => {
    const { t } = here({});
    expect(await t.run('agent')).toBe(2);
    const { gateway, t: piped } = here({ agent: answering(done) }, { stdin: ['one', 'two'] });
    expect(await piped.run('agent', '-m', '-')).toBe(0);
    expect(gateway.asked.at(-1)?.params).toMatchObject({ message: 'one\ntwo' });
  });

  test('CL-42 Ctrl-C stops the run on the gateway', async () => {
    let finish: (value: unknown) => void = () => {};
    const { gateway, t } = here({
      agent: (_params: unknown, more: (payload: unknown) => void) => {
        more({ runId: 'id-1', status: 'accepted', sessionKey: 'agent:main:main' });
        setImmediate(() => t.interrupt());
        return new Promise((resolve) => {
          finish = resolve;
        });
      },
      'chat.abort': () => {
        finish({ ...done, result: { payloads: [{ text: 'Hel' }], meta: { aborted: true } } });
        return { ok: true, aborted: true, runIds: ['id-1'] };
      },
    });
    expect(await t.run('agent', '-m', 'hi')).toBe(130);
    expect(gateway.asked.find(({ method }) => method === 'chat.abort')?.params).toEqual({ sessionKey: 'agent:main:main', runId: 'id-1' });
  });
});

describe('CL-56 sessions', () => {
  test('CL-56 a conversation that is not there is an error, and reset makes none', async () => {
    const { gateway, t } = here({ 'sessions.preview': { previews: [{ key: 'nosuch', status: 'missing', items: [] }] } });
    expect(await t.run('sessions', 'preview', 'nosuch', '--json')).toBe(1);
    expect(t.json()).toMatchObject({ ok: false, error: { code: 'SESSION_MISSING', fix: 'openclaw sessions' } });
    expect(await t.run('sessions', 'reset', 'nosuch', '--json')).toBe(1);
    expect(gateway.asked.some(({ method }) => method === 'sessions.reset')).toBe(false);
  });
});

describe('CL-43 chat in a pipe', () => {
  test('CL-43 nothing to say is wrong usage', async () => {
    const { t } = here({ 'events.subscribe': {}, 'agents.list': {}, 'chat.history': { messages: [] } });
    expect(await t.run('chat')).toBe(2);
  });

  test('CL-43 one message per line, each answered before the next; exit 0', async () => {
    const sent: string[] = [];
    let emit: (event: string, payload: unknown) => void = () => {};
    const { gateway, t } = here(
      {
        'events.subscribe': { subscribed: true },
        'agents.list': { defaultId: 'main', mainKey: 'main' },
        'chat.history': { messages: [] },
        'chat.send': (params: unknown) => {
          const { message, idempotencyKey: runId, sessionKey } = params as Record<string, string>;
          sent.push(message ?? '');
          setImmediate(() => {
            emit('chat', { runId, sessionKey, state: 'delta', message: { content: [{ type: 'text', text: 'you said ' }] } });
            emit('chat', { runId, sessionKey, state: 'final', message: { content: [{ type: 'text', text: `you said ${message}` }] } });
          });
          return { runId, status: 'started' };
        },
      },
      { stdin: ['one', '', 'two'] },
    );
    emit = gateway.emit;
    expect(await t.run('chat')).toBe(0);
    expect(t.out()).toBe('you said one\nyou said two\n');
    expect(sent).toEqual(['one', 'two']);
    expect(gateway.asked.find(({ method }) => method === 'chat.send')?.params).toMatchObject({ sessionKey: 'agent:main:main' });
  });

  test('CL-43 a run that fails is told on stderr and in the exit code', async () => {
    let emit: (event: string, payload: unknown) => void = () => {};
    const { gateway, t } = here(
      {
        'events.subscribe': { subscribed: true },
        'agents.list': {},
        'chat.history': { messages: [] },
        'chat.send': (params: unknown) => {
          const { idempotencyKey: runId, sessionKey } = params as Record<string, string>;
          setImmediate(() => emit('chat', { runId, sessionKey, state: 'error', errorMessage: '401 wrong key' }));
          return { runId, status: 'started' };
        },
      },
      { stdin: ['hi'] },
    );
    emit = gateway.emit;
    expect(await t.run('chat')).toBe(1);
    expect(t.out()).toBe('');
    expect(t.err()).toContain('401 wrong key');
  });
});

test('CL-35 a chat whose device has to be approved again waits for it, says when it was declined, and goes on by itself', async () => {
  writeFileSync(
    join(dir, 'openclaw.json'),
    '{ gateway: { mode: "remote", remote: { url: "ws://127.0.0.1:1", token: "a-token-of-24-characters" } } }',
    {
      mode: 0o600,
    },
  );
  const clock = manualClock();
  const waits = (requestId: string, more = {}) =>
    new Refuse({ code: 'NOT_PAIRED', message: 'pairing required', details: { code: 'PAIRING_REQUIRED', requestId, ...more } });
  const hello = { type: 'hello-ok', protocol: 4 };
  const answers: unknown[] = [hello, waits('r-1'), waits('r-1'), waits('r-2', { previousRequest: 'rejected' }), hello];
  const sent: unknown[] = [];
  const { gateway, t } = here(
    {
      connect: () => answers.shift() ?? hello,
      'agents.list': { defaultId: 'main', mainKey: 'main' },
      'chat.history': { messages: [] },
      'models.list': { models: [] },
      status: {},
      'chat.send': (params: unknown) => {
        sent.push(params);
        return { runId: 'r', status: 'started' };
      },
    },
    { isTTY: true, clock },
  );
  const count = (text: string): number => t.out().split(text).length - 1;
  const ended = t.run('chat', '--no-color');
  await until(() => t.out().includes('› \r'));
  gateway.cut();
  await until(() => t.out().includes('connection lost'));
  t.type('hi\r');
  await until(async () => {
    await clock.advance(500);
    return t.out().includes('reconnected');
  });
  expect(count('openclaw devices approve r-1')).toBe(1);
  expect(count('its last request was declined')).toBe(1);
  await until(() => sent.length > 0);
  expect(sent).toHaveLength(1);
  t.type('\u0004');
  expect(await ended).toBe(0);
});

describe('CL-44 models', () => {
  test('CL-44 none connected: says what to do', async () => {
    const { t } = here({ 'models.list': { models: [] } });
    expect(await t.run('models')).toBe(0);
    expect(t.out()).toContain('openclaw models try');
  });

  test('CL-44 set writes the config and refuses what the gateway does not have', async () => {
    const { t } = here({ 'models.list': { models: [{ provider: 'anthropic', id: 'claude', name: 'Claude' }] } });
    expect(await t.run('models', 'set', 'anthropic/clode')).toBe(1);
    expect(t.err()).toContain('anthropic/claude');
    expect(await t.run('models', 'set', 'anthropic/claude')).toBe(0);
    expect(readFileSync(join(dir, 'openclaw.json'), 'utf8')).toContain('anthropic/claude');
  });

  test('CL-44 set refuses any model while none is connected', async () => {
    const { t } = here({ 'models.list': { models: [] } });
    expect(await t.run('models', 'set', 'foo/bar', '--json')).toBe(1);
    expect(t.json()).toMatchObject({ error: { code: 'MODEL_UNKNOWN', fix: 'openclaw models try' } });
  });

  test('CL-44 try says the cost and asks; without a terminal it does nothing unless told --yes', async () => {
    const script = {
      'models.try.plan': {
        title: 'Small',
        installed: false,
        downloadBytes: 130_000_000,
        diskBytes: 200_000_000,
        memoryBytes: 257_000_000,
        dir: '/state/models',
        python: { ok: true, version: '3.12.1' },
      } satisfies TryPlan,
      'models.try.install': (_params: unknown, more: (payload: unknown) => void) => {
        const told: TryProgress = { step: 2, steps: 4, text: 'fetching', elapsedMs: 0 };
        for (const elapsedMs of [0, 1_000]) more({ status: 'progress', ...told, elapsedMs });
        return { ok: true, model: 'try/small' };
      },
    };
    const { gateway, t } = here(script);
    expect(await t.run('models', 'try')).toBe(1);
    expect(t.err()).toContain('124.0 MiB'.replace('.0', ''));
    expect(gateway.asked.some(({ method }) => method === 'models.try.install')).toBe(false);
    expect(await t.run('models', 'try', '--yes')).toBe(0);
    expect(t.err().match(/2\/4 fetching/g)).toHaveLength(1);
  });
});

describe('CL-45 config', () => {
  test('CL-45 set, get, unset, validate; comments stay; a wrong value changes nothing', async () => {
    const { t } = here({});
    const file = join(dir, 'openclaw.json');
    writeFileSync(file, '{\n  // mine\n  gateway: { port: 18789 },\n}\n', { mode: 0o600 });
    expect(await t.run('config', 'set', 'gateway.port', '28789')).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe('{\n  // mine\n  gateway: { port: 28789 },\n}\n');
    expect(await t.run('config', 'get', 'gateway.port', '--json')).toBe(0);
    expect(t.json()).toMatchObject({ ok: true, path: 'gateway.port', value: 28789, source: 'file' });
    expect(await t.run('config', 'set', 'gateway.port', '99999')).toBe(1);
    expect(readFileSync(file, 'utf8')).toContain('28789');
    expect(await t.run('config', 'validate')).toBe(0);
    expect(await t.run('config', 'unset', 'gateway.port')).toBe(0);
    writeFileSync(file, '{ gateway: { bind: "everywhere" } }', { mode: 0o600 });
    expect(await t.run('config', 'validate', '--json')).toBe(1);
    expect(t.json()).toMatchObject({ ok: false, valid: false, issues: [{ path: 'gateway.bind' }] });
  });

  test('CL-45 a token of digits stays a text, and no secret is printed', async () => {
    const { t } = here({});
    expect(await t.run('config', 'set', 'gateway.auth.token', '123456789012345678901234')).toBe(0);
    expect(readFileSync(join(dir, 'openclaw.json'), 'utf8')).toMatch(/["']123456789012345678901234["']/);
    for (const argv of [
      ['config', 'get'],
      ['config', 'get', 'gateway.auth.token'],
      ['config', 'get', '--json'],
      ['config', 'get', 'gateway.auth', '--json'],
    ]) {
      await t.run(...argv);
      expect(t.out() + t.err()).not.toContain('123456789012345678901234');
    }
  });

  test('CL-45 a value of - is read from stdin: a secret is no argument', async () => {
    const { t } = here({}, { stdin: ['a-secret-that-came-by-a-pipe'] });
    expect(await t.run('config', 'set', 'gateway.remote.token', '-')).toBe(0);
    expect(readFileSync(join(dir, 'openclaw.json'), 'utf8')).toContain('a-secret-that-came-by-a-pipe');
    expect(t.out() + t.err()).not.toContain('a-secret');
    expect(await t.run('config', 'set', 'gateway.remote.token', 'typed-typed-typed-typed-typed')).toBe(0);
    expect(t.err()).toContain('openclaw config set gateway.remote.token -');
  });

  test('CL-45 on a terminal it is asked for and not shown; Ctrl-C leaves all as it was', async () => {
    const { t } = here({}, { isTTY: true });
    // What is typed before somebody reads is lost in this fake terminal: typed again and again, until it was taken.
    const answered = async (keys: string): Promise<number> => {
      let code: number | undefined;
      void t.run('config', 'set', 'gateway.remote.token', '-', '--no-color').then((ended) => {
        code = ended;
      });
      await until(() => {
        t.type(keys);
        return code !== undefined;
      });
      return code ?? -1;
    };
    expect(await answered('\u0015\u001b[200~a-pasted-secret-of-28-chars!x\u001b[201~\u007f\r')).toBe(0);
    expect(t.out() + t.err()).not.toContain('pasted');
    expect(readFileSync(join(dir, 'openclaw.json'), 'utf8')).toContain('a-pasted-secret-of-28-chars!');
    expect(await answered('\u0003')).toBe(130);
    expect(readFileSync(join(dir, 'openclaw.json'), 'utf8')).toContain('a-pasted-secret-of-28-chars!');
  });

  test('CL-45 an unknown key is set with a warning; a refused value names one that is taken', async () => {
    const { t } = here({});
    expect(await t.run('config', 'set', 'nosuch.key', '1', '--json')).toBe(0);
    expect(t.json()).toMatchObject({ ok: true, unknown: true });
    expect(t.err()).toContain('nosuch.key');
    expect(await t.run('config', 'set', 'gateway.bind', 'everywhere', '--json')).toBe(1);
    expect(t.json()).toMatchObject({ error: { fix: 'openclaw config set gateway.bind loopback' } });
    expect(await t.run('config', 'set', 'gateway.port', 'abc', '--json')).toBe(1);
    expect(t.json()).toMatchObject({ error: { fix: 'openclaw config set gateway.port 18789' } });
  });

  test('CL-45 schema is JSON on stdout', async () => {
    const { t } = here({});
    expect(await t.run('config', 'schema')).toBe(0);
    expect(JSON.parse(t.out())).toMatchObject({ type: 'object' });
  });
});

describe('CL-46 auth', () => {
  test('CL-46 explain names sources, never values; exit 1 when both sides differ', async () => {
    writeFileSync(join(dir, 'openclaw.json'), '{ gateway: { auth: { token: "aaaaaaaaaaaaaaaaaaaaaaaa" } } }', { mode: 0o600 });
    const { t } = here({}, { vars: { OPENCLAW_GATEWAY_TOKEN: 'bbbbbbbbbbbbbbbbbbbbbbbb' } });
    expect(await t.run('auth', 'explain', '--json')).toBe(0);
    expect(t.json()).toMatchObject({ agreement: 'same' });
    for (const argv of [
      ['auth', 'explain'],
      ['auth', 'explain', '--token', 'cccccccccccccccccccccccc'],
      ['auth', 'explain', '--json'],
    ]) {
      await t.run(...argv);
      expect(t.out() + t.err()).not.toMatch(/aaaaaaaa|bbbbbbbb|cccccccc/);
    }
    expect(await t.run('auth', 'explain', '--token', 'cccccccccccccccccccccccc')).toBe(1);
  });

  test('CL-46 token is printed only with --show', async () => {
    const token = `ocg_${'f'.repeat(43)}`;
    writeFileSync(join(dir, 'gateway', 'token'), `${token}\n`, { mode: 0o600 });
    const { t } = here({});
    expect(await t.run('auth', 'token')).toBe(0);
    expect(t.out() + t.err()).not.toContain(token);
    expect(await t.run('auth', 'token', '--show')).toBe(0);
    expect(t.out()).toBe(`${token}\n`);
  });

  test('CL-46 dashboard prints no secret', async () => {
    writeFileSync(join(dir, 'gateway', 'token'), `ocg_${'f'.repeat(43)}\n`, { mode: 0o600 });
    const { t } = here({});
    expect(await t.run('dashboard')).toBe(0);
    expect(t.out()).toContain('http://127.0.0.1:18789/');
    expect(t.out() + t.err()).not.toContain('ffff');
  });
});

describe('CL-47 logs', () => {
  const entry = (msg: string) => JSON.stringify({ level: 30, time: 0, msg });

  test('CL-47 from the gateway, by cursor', async () => {
    const { gateway, t } = here({
      'logs.tail': { file: '/l', cursor: 7, size: 7, lines: [entry('hello'), 'not json'], truncated: false, reset: false },
    });
    expect(await t.run('logs', '--json')).toBe(0);
    expect(
      t
        .out()
        .trim()
        .split('\n')
        .map((line) => (JSON.parse(line) as { type: string }).type),
    ).toEqual(['meta', 'log', 'raw']);
    expect(gateway.asked.at(-1)?.params).toEqual({ limit: 200, maxBytes: 250_000 });
  });

  test('CL-47 when none runs, from the newest file', async () => {
    writeFileSync(join(dir, 'gateway', 'logs', 'openclaw-2026-01-01.log'), `${entry('older')}\n`);
    writeFileSync(join(dir, 'gateway', 'logs', 'openclaw-2026-01-02.log'), `${entry('one')}\n${entry('two')}\n${entry('half')}`);
    const t = fakeCli({ vars: { OPENCLAW_STATE_DIR: dir, HOME: dir } });
    expect(await t.run('logs', '--limit', '1')).toBe(0);
    expect(t.out()).toContain('two');
    expect(t.out()).not.toMatch(/older|one|half/);
    expect(t.err()).toContain('no gateway is running');
  });

  test('CL-47 a remote gateway that does not answer is an error, not the local file', async () => {
    writeFileSync(join(dir, 'gateway', 'logs', 'openclaw-2026-01-01.log'), `${entry('local')}\n`);
    writeFileSync(join(dir, 'openclaw.json'), '{ gateway: { mode: "remote", remote: { url: "wss://claw.example", token: "t" } } }', {
      mode: 0o600,
    });
    const t = fakeCli({ vars: { OPENCLAW_STATE_DIR: dir, HOME: dir } });
    expect(await t.run('logs')).toBe(3);
    expect(t.out()).toBe('');
  });
});

describe('CL-48 stop and restart', () => {
  /** Of no process. */
  const PID = 0x3fff_fff0;
  const going = (method: string) => {
    const found = here({
      health: { ok: true },
      [method]: () => {
        setImmediate(() => setImmediate(() => found.gateway.cut()));
        return { ok: true, pid: PID };
      },
    });
    return found;
  };

  test('CL-48 go to the admin socket alone, and end when it is done', async () => {
    const { gateway, t } = going('gateway.stop');
    expect(await t.run('gateway', 'stop', '--json')).toBe(0);
    expect(t.json()).toMatchObject({ action: 'stop', pid: PID });
    expect(gateway.asked.map(({ door }) => door)).toEqual(['admin']);
  });

  test('CL-48 a restart waits until the new one answers', async () => {
    const { t } = going('gateway.restart');
    expect(await t.run('gateway', 'restart')).toBe(0);
    expect(t.out()).toMatch(/restarting \(PID \d+\)\nIt is back, ready after/);
  });

  test('CL-48 without our own gateway they touch nothing, whoever listens on the port', async () => {
    rmSync(join(dir, 'gateway', 'admin.sock'));
    const { gateway, t } = here({ 'gateway.stop': { ok: true, pid: 42 } });
    expect(await t.run('gateway', 'stop')).toBe(3);
    expect(gateway.asked).toEqual([]);
  });
});

describe('CL-49 gateway call and probe', () => {
  test('CL-49 call prints the answer; its parameters must be a JSON object', async () => {
    const { gateway, t } = here({ status: { a: 1 } });
    expect(await t.run('gateway', 'call', 'status', '--params', '{"x":1}', '--json')).toBe(0);
    expect(t.json()).toEqual({ ok: true, method: 'status', result: { a: 1 } });
    expect(gateway.asked.at(-1)?.params).toEqual({ x: 1 });
    expect(await t.run('gateway', 'call', 'status', '--params', '[1]')).toBe(2);
    expect(await t.run('gateway', 'call', 'nonsense')).toBe(1);
  });

  test('CL-49 probe sends a remote gateway only what was meant for it', async () => {
    writeFileSync(
      join(dir, 'openclaw.json'),
      '{ gateway: { mode: "remote", remote: { url: "wss://claw.example" }, auth: { token: "config-token-config-token" } } }',
      { mode: 0o600 },
    );
    const { gateway, t } = here(
      { health: { ok: true }, 'system-presence': [] },
      { vars: { OPENCLAW_GATEWAY_TOKEN: 'env-token-env-token-env-token' } },
    );
    expect(await t.run('gateway', 'probe', '--json')).toBe(0);
    const toRemote = gateway.asked.filter(({ url }) => url.includes('claw.example'));
    expect(JSON.stringify(toRemote)).not.toMatch(/env-token|config-token/);
    expect(t.json()).toMatchObject({ ok: true, targets: [{ id: 'configRemote' }, { id: 'localLoopback' }] });
  });
});
