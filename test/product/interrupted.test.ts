import { spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:net';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scriptedConfig } from '../support/crash-loop.ts';
import { freePort } from '../support/free-port.ts';
import { newStateDir, productEnv, runCli, startTestGateway, type TestGateway } from '../support/gateway.ts';
import { type ScriptedProvider, startScriptedProvider } from '../support/scripted-provider.ts';
import { tempDir } from '../support/temp-dir.ts';
import { until } from '../support/until.ts';
import { connect, type Frame, newDevice, type RawClient, type TestDevice, tryConnect } from '../support/wire.ts';

let provider: ScriptedProvider;
beforeAll(async () => {
  provider = await startScriptedProvider();
});
afterAll(() => provider.close());

const boot = (options: Parameters<typeof startTestGateway>[0] = {}): Promise<TestGateway> =>
  startTestGateway({ config: scriptedConfig(provider), ...options });
const enter = (gateway: TestGateway, protocol: 3 | 4 = 4, device: TestDevice = newDevice()): Promise<RawClient> =>
  connect(gateway.url, { protocol, device, auth: { token: gateway.token() } });
const send = (client: RawClient, idempotencyKey: string, message: string, sessionKey = 'main'): Promise<Frame> =>
  client.call('chat.send', { sessionKey, message, idempotencyKey });
const numbered = (n: number): string => Array.from({ length: n }, (_, i) => `token${i} `).join('');
const textOf = (payload: Frame): string => payload.message?.content?.[0]?.text ?? '';
/** The first text of an answer is here. */
const streaming = (client: RawClient, runId: string): Promise<Frame> =>
  client.event('agent', (payload) => payload.runId === runId && payload.stream === 'assistant');

/** Sends until the gateway takes nothing new: it has begun to end. */
async function ending(client: RawClient): Promise<Frame> {
  for (let i = 0; ; i++) {
    const res = await client.request('chat.send', { sessionKey: `late-${i}`, message: 'late', idempotencyKey: `late-${i}` });
    if (!res.ok) return res.error;
  }
}

/** What the database of a gateway that has ended says of a run. */
function onDisk(stateDir: string, runId: string): { status: unknown; text: string } {
  const db = new DatabaseSync(path.join(stateDir, 'gateway', 'gateway.sqlite'), { readOnly: true });
  try {
    const messages = db
      .prepare("SELECT message FROM transcript WHERE run_id = ? AND message ->> 'role' = 'assistant' ORDER BY seq")
      .all(runId);
    return {
      status: db.prepare('SELECT status FROM runs WHERE run_id = ?').get(runId)?.['status'],
      text: messages
        .map(({ message }) =>
          JSON.parse(String(message))
            .content.map(({ text }: { text?: string }) => text ?? '')
            .join(''),
        )
        .join(''),
    };
  } finally {
    db.close();
  }
}

describe('SIGTERM', () => {
  test('WS-16 the answer that runs is finished and heard; then shutdown, then 1012; new messages are refused meanwhile', async () => {
    await using gateway = await boot();
    const clients = [await enter(gateway, 3), await enter(gateway, 4)] as const;
    await send(clients[0], 'drained', 'TEST:tokens n=40 delay=25');
    await streaming(clients[0], 'drained');
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGTERM');
    expect(await ending(clients[1])).toMatchObject({ code: 'UNAVAILABLE', retryable: true, message: 'the gateway is stopping' });
    // Nobody new gets in.
    await expect(fetch(`${gateway.httpUrl}/healthz`)).rejects.toThrow();
    for (const [client, shutdown] of [
      [clients[0], { reason: 'gateway stopping', restartExpectedMs: null }],
      [clients[1], { reason: 'gateway stopping' }],
    ] as const) {
      expect(await client.closing()).toEqual({ code: 1012, reason: 'service restart' });
      const events = client.frames.filter(({ type, event }) => type === 'event' && (event === 'chat' || event === 'shutdown'));
      expect(events.at(-1)).toMatchObject({ event: 'shutdown', payload: shutdown });
      expect(events.at(-2)).toMatchObject({ event: 'chat', payload: { runId: 'drained', state: 'final' } });
      expect(textOf(events.at(-2)?.payload)).toBe(numbered(40));
    }
    expect(await exited).toEqual([0, null]);
    expect(onDisk(gateway.stateDir, 'drained')).toEqual({ status: 'ok', text: numbered(40) });
  });

  test('WS-16 a second one hurries: the answer is marked interrupted with all that was shown, and readable after the next start', async () => {
    const stateDir = newStateDir();
    try {
      await using gateway = await boot({ stateDir });
      const client = await enter(gateway);
      await send(client, 'hurried', 'TEST:tokens n=2000 delay=20');
      await send(client, 'waits', 'TEST:tokens n=3');
      await streaming(client, 'hurried');
      const exited = once(gateway.child, 'exit');
      gateway.child.kill('SIGTERM');
      await ending(client);
      const began = performance.now();
      gateway.child.kill('SIGTERM');
      expect(await exited).toEqual([0, null]);
      expect(performance.now() - began).toBeLessThan(5_000);
      expect(client.frames.findLast(({ event }) => event === 'chat')?.payload).toMatchObject({ runId: 'hurried', state: 'error' });
      expect(client.frames.at(-1)).toMatchObject({ event: 'shutdown' });

      const shown: string = client.frames.findLast(({ event, payload }) => event === 'agent' && payload.stream === 'assistant')?.payload
        .data.text;
      const { status, text } = onDisk(stateDir, 'hurried');
      expect(status).toBe('interrupted');
      expect(text.startsWith(shown)).toBe(true);
      expect(numbered(2000).startsWith(text)).toBe(true);
      expect(onDisk(stateDir, 'waits').status).toBe('queued');

      // What waited goes on by itself; what was cut does not.
      await using next = await boot({ stateDir });
      const again = await enter(next);
      expect(await again.call('agent.wait', { runId: 'waits', timeoutMs: 10_000 })).toMatchObject({ status: 'ok' });
      expect(await again.call('agent.wait', { runId: 'hurried', timeoutMs: 10_000 })).toMatchObject({ status: 'error' });
      const { messages } = await again.call('chat.history', { sessionKey: 'main' });
      expect(messages.map((message: Frame) => [message.role, message.stopReason])).toEqual([
        ['user', undefined],
        ['user', undefined],
        ['assistant', 'error'],
        ['assistant', 'stop'],
      ]);
      expect(messages[2].content[0].text).toBe(text);
      expect(await send(again, 'hurried', 'TEST:tokens n=2000 delay=20')).toMatchObject({ runId: 'hurried', status: 'error' });
    } finally {
      rmSync(stateDir, { recursive: true, force: true });
    }
  });

  test('WS-16 one that comes while it starts is a stop too', async () => {
    let exit: Promise<unknown[]> = Promise.resolve([]);
    await using gateway = await boot({
      config: scriptedConfig(provider, { gateway: { auth: { token: 'a-token-that-is-long-enough' } } }),
      onSpawn(child) {
        exit = once(child, 'exit');
        child.stdout?.once('data', () => child.kill('SIGTERM'));
      },
    });
    expect(await exit).toEqual([0, null]);
    expect(gateway.output()).toContain('listening');
  });
});

describe('SIGUSR1', () => {
  test('WS-16 restarts in the same process: answers end first, clients are told, devices and sessions are there, what waited goes on', async () => {
    const port = await freePort();
    await using gateway = await boot({ flags: ['--port', String(port)] });
    const devices = [newDevice(), newDevice()] as const;
    const clients = [await enter(gateway, 3, devices[0]), await enter(gateway, 4, devices[1])] as const;
    const deviceToken = (clients[1] as RawClient & { hello: Frame }).hello.auth.deviceToken;
    await send(clients[0], 'first', 'TEST:tokens n=20 delay=20');
    await send(clients[1], 'second', 'TEST:tokens n=2');
    await streaming(clients[0], 'first');
    gateway.child.kill('SIGUSR1');
    for (const client of clients) {
      expect(await client.closing()).toEqual({ code: 1012, reason: 'service restart' });
      const events = client.frames.filter(({ event }) => event === 'chat' || event === 'shutdown');
      expect(events.at(-1)).toMatchObject({ event: 'shutdown', payload: { reason: 'gateway restarting', restartExpectedMs: 1500 } });
      expect(events.at(-2)).toMatchObject({ event: 'chat', payload: { runId: 'first', state: 'final' } });
    }
    const began = performance.now();
    await until(async () => (await fetch(`${gateway.httpUrl}/readyz`).catch(() => undefined))?.status === 200);
    expect(performance.now() - began).toBeLessThan(1_500);
    const back = await connect(gateway.url, { device: devices[1], auth: { deviceToken } });
    expect(await back.call('agent.wait', { runId: 'second', timeoutMs: 10_000 })).toMatchObject({ status: 'ok' });
    const { messages } = await back.call('chat.history', { sessionKey: 'main' });
    expect(messages.map((message: Frame) => message.role)).toEqual(['user', 'user', 'assistant', 'assistant']);
    expect(gateway.child.exitCode).toBeNull();
    const pids = [...gateway.output().matchAll(/listening on ws:\/\/127\.0\.0\.1:(\d+) \(PID (\d+)\)/g)].map(([, at, pid]) => [at, pid]);
    expect(pids).toEqual([
      [String(port), String(gateway.child.pid)],
      [String(port), String(gateway.child.pid)],
    ]);
    await back[Symbol.asyncDispose]();
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
  });

  test('WS-16 a config with which it would not come up again is refused, by signal and by command, and nothing stops', async () => {
    await using gateway = await boot();
    const client = await enter(gateway);
    writeFileSync(path.join(gateway.stateDir, 'openclaw.json'), '{ gateway: { bind: "everywhere" } }');
    const cli = await runCli(['gateway', 'restart'], { env: gateway.env() });
    expect(cli.code).not.toBe(0);
    expect(cli.stderr).toContain('gateway.bind');
    gateway.child.kill('SIGUSR1');
    await until(() => gateway.output().includes('not restarted'));
    expect(gateway.output()).toContain('gateway.bind');
    expect(await client.call('health')).toMatchObject({ ok: true });
    expect(gateway.child.exitCode).toBeNull();
  });

  test('WS-16 a stop that comes during a restart wins', async () => {
    await using gateway = await boot();
    const client = await enter(gateway);
    await send(client, 'long', 'TEST:tokens n=40 delay=20');
    await streaming(client, 'long');
    const exited = once(gateway.child, 'exit');
    gateway.child.kill('SIGUSR1');
    await ending(client);
    gateway.child.kill('SIGTERM');
    expect(await client.event('shutdown')).toEqual({ reason: 'gateway stopping' });
    expect(await exited).toEqual([0, null]);
    expect(onDisk(gateway.stateDir, 'long').status).toBe('ok');
  });
});

describe('two of them', () => {
  test('ST-40 a second gateway on the same state dir is refused with the name of the first, which goes on', async () => {
    await using gateway = await boot();
    const second = await runCli(['gateway', 'run', '--port', '0'], { env: gateway.env() });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain('A gateway already runs on this state directory');
    expect(second.stderr).toContain(`pid ${gateway.child.pid}`);
    expect(second.stderr).toContain(`port ${gateway.port}`);
    expect(second.stderr).toContain('Fix:');
    expect((await fetch(`${gateway.httpUrl}/readyz`)).status).toBe(200);
  });

  test('NET-22 a port that is taken: its holder is named and left alone', async () => {
    using state = tempDir();
    const holder = createServer((socket) => socket.end('still here'));
    holder.listen(0, '127.0.0.1');
    await once(holder, 'listening');
    const { port } = holder.address() as { port: number };
    try {
      const { code, stderr } = await runCli(['gateway', 'run', '--port', String(port)], { env: productEnv(state.path) });
      expect(code).toBe(1);
      expect(stderr).toContain(`127.0.0.1:${port}`);
      if (process.platform === 'linux') expect(stderr).toContain(`pid ${process.pid}`);
      expect(stderr).toContain('Fix:');
      expect(holder.listening).toBe(true);
      // What it had opened is closed again.
      await using gateway = await boot({ stateDir: state.path });
      expect((await fetch(`${gateway.httpUrl}/readyz`)).status).toBe(200);
    } finally {
      holder.close();
    }
  });
});

/** A state dir of 8 MB that can be filled to the last byte. */
function smallDisk(): { stateDir: string; fill(): void; free(): void; [Symbol.dispose](): void } | undefined {
  const dir = tempDir();
  const stateDir = path.join(dir.path, 'small');
  mkdirSync(stateDir);
  if (spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=8m,mode=0700', 'tmpfs', stateDir]).status !== 0) {
    dir[Symbol.dispose]();
    return undefined;
  }
  const ballast = path.join(stateDir, 'ballast');
  return {
    stateDir,
    fill() {
      const fd = openSync(ballast, 'w');
      expect(() => {
        for (;;) writeSync(fd, Buffer.alloc(1024));
      }).toThrow(/ENOSPC/);
      closeSync(fd);
    },
    free: () => rmSync(ballast),
    [Symbol.dispose]() {
      spawnSync('umount', [stateDir]);
      dir[Symbol.dispose]();
    },
  };
}
const NEEDS_ROOT = 'needs root, to mount a tmpfs of 8 MB';

async function readyz(gateway: TestGateway): Promise<{ status: number; body: Frame }> {
  const response = await fetch(`${gateway.httpUrl}/readyz`);
  return { status: response.status, body: await response.json() };
}

test('ST-14 a full disk: not ready with the reason, messages refused, what is there can be read; it goes on when space returns', async (ctx) => {
  using disk = smallDisk();
  if (disk === undefined) return ctx.skip(NEEDS_ROOT);
  const { stateDir } = disk;
  {
    const acknowledged: string[] = [];
    const refusals: Frame[] = [];
    {
      await using gateway = await boot({ stateDir });
      const client = await enter(gateway);
      const say = async (key: string): Promise<boolean> => {
        const res = await client.request('chat.send', { sessionKey: 'main', message: `${key}\nTEST:tokens n=2`, idempotencyKey: key });
        if (res.ok) acknowledged.push(key);
        else refusals.push(res.error);
        return res.ok;
      };
      expect(await say('before')).toBe(true);
      await client.event('chat', ({ runId, state }) => runId === 'before' && state === 'final');
      expect(await readyz(gateway)).toMatchObject({ status: 200, body: { ready: true } });

      // A long answer is under way when the disk fills.
      await send(client, 'long', 'TEST:tokens n=1000 delay=2', 'long');
      acknowledged.push('long');
      await streaming(client, 'long');
      disk.fill();
      for (let i = 0; refusals.length === 0 && i < 2000; i++) await say(`full.${i}`);
      expect(refusals[0]).toMatchObject({
        code: 'UNAVAILABLE',
        retryable: true,
        message: expect.stringContaining('No space left'),
        details: { code: 'STORE_UNAVAILABLE' },
      });
      const { status, body } = await readyz(gateway);
      expect(status).toBe(503);
      expect(body).toMatchObject({ ready: false, failing: [expect.stringContaining('No space left')] });
      const { messages } = await client.call('chat.history', { sessionKey: 'main' });
      expect(JSON.stringify(messages)).toContain('before');
      expect((await fetch(`${gateway.httpUrl}/healthz`)).status).toBe(200);

      disk.free();
      await until(async () => (await readyz(gateway)).status === 200, 5_000);
      expect(await say('after')).toBe(true);
      expect(await client.call('agent.wait', { runId: 'after', timeoutMs: 20_000 })).toMatchObject({ status: 'ok' });
      await client[Symbol.asyncDispose]();
      expect(await gateway.stop()).toEqual({ code: 0, signal: null });
    }
    for (const key of acknowledged) expect([key, onDisk(stateDir, key).status]).toEqual([key, expect.stringMatching(/^(ok|error)$/)]);
    expect(onDisk(stateDir, 'after').status).toBe('ok');
    // Its journal could not be written for a while; the answer itself was.
    expect(onDisk(stateDir, 'long')).toEqual({ status: 'ok', text: numbered(1000) });
  }
});

test('ST-14 a start on a full disk: it comes up, says that it cannot write, lets in who is known, and goes on when space returns', async (ctx) => {
  using disk = smallDisk();
  if (disk === undefined) return ctx.skip(NEEDS_ROOT);
  const { stateDir } = disk;
  const device = newDevice();
  const waits = 'waits for room\nTEST:tokens n=2';
  {
    await using gateway = await boot({ stateDir });
    const client = await enter(gateway, 4, device);
    await send(client, 'cut', 'TEST:tokens n=2000 delay=5');
    await streaming(client, 'cut');
    await send(client, 'waits', waits);
    await gateway.kill('SIGKILL');
  }
  disk.fill();
  {
    await using gateway = await boot({ stateDir });
    // The first write that has to grow the file fails: that of the run that was cut.
    await until(async () => (await readyz(gateway)).status === 503);
    const client = await enter(gateway, 4, device);
    expect(JSON.stringify(await client.call('chat.history', { sessionKey: 'main' }))).toContain('TEST:tokens n=2000');
    const stranger = await tryConnect(gateway.url, { device: newDevice(), auth: { token: gateway.token() } });
    expect(stranger.res.error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, details: { code: 'STORE_UNAVAILABLE' } });
    disk.free();
    await until(async () => (await readyz(gateway)).status === 200);
    await send(client, 'after', 'TEST:tokens n=2', 'other');
    expect(await client.call('agent.wait', { runId: 'after', timeoutMs: 20_000 })).toMatchObject({ status: 'ok' });
    // What could not be written is written: nothing is called running that does not run, and nothing was begun that could be begun again.
    await until(() => onDisk(stateDir, 'cut').status === 'interrupted', 15_000);
    await until(() => onDisk(stateDir, 'waits').status === 'error', 15_000);
    const asked = (await provider.chats()).filter(({ messages }) => String(messages.at(-1)?.content).endsWith(waits));
    expect(asked).toEqual([]);
    await client[Symbol.asyncDispose]();
    expect(await gateway.stop()).toEqual({ code: 0, signal: null });
  }
});
