import { describe, expect, test } from 'vitest';
import { connect, newDevice, type RawClient } from '../support/wire.ts';
import { openHouse } from './support/house.ts';
import { type Line, recordedConnect, recording, type Value } from './support/recording.ts';
import { expectDenseSeq, type Replay, replay } from './support/replay.ts';

/** What connected clients of both lines are told when the gateway stops or restarts. */

/** The last event. For the restart it was recorded, for the stop described; of the latter the newer line leaves out the time. */
const SHUTDOWN: Readonly<Record<string, Readonly<Record<Line, Value>>>> = {
  SIGTERM: { '3': { reason: 'gateway stopping', restartExpectedMs: null }, '9': { reason: 'gateway stopping' } },
  SIGUSR1: {
    '3': recording('v3-stop-SIGUSR1').find(({ frame }) => frame?.event === 'shutdown')?.frame.payload,
    '9': { reason: 'gateway restarting', restartExpectedMs: 1_500 },
  },
};

async function nodeOf(house: { gateway: { url: string; port: number; token(): string } }, line: Line, admin: RawClient): Promise<Replay> {
  const recorded = recordedConnect(`v${line}-node-run`);
  const credentials = { token: house.gateway.token(), device: newDevice() };
  await expect(replay(house.gateway, recorded, credentials)).rejects.toThrow();
  const { requestId } = await admin.event('device.pair.requested', (p) => p.deviceId === credentials.device.id);
  await admin.call('device.pair.approve', { requestId });
  return replay(house.gateway, recorded, credentials);
}

describe.each(['SIGTERM', 'SIGUSR1'] as const)('WS-43 %s', (signal) => {
  test('is told to operators and nodes of both lines; then 1012', async () => {
    await using house = await openHouse();
    const { gateway } = house;
    const token = gateway.token();
    const admin = await connect(gateway.url, { protocol: 4, auth: { token } });
    const devices = { '3': newDevice(), '9': newDevice() };
    const operators = {
      '3': await replay(gateway, recordedConnect('v3-tui'), { token, device: devices['3'] }),
      '9': await replay(gateway, recordedConnect('v9-tui'), { token, device: devices['9'] }),
    };
    const nodes = { '3': await nodeOf(house, '3', admin), '9': await nodeOf(house, '9', admin) };
    for (const line of ['3', '9'] as const) {
      const runId = `before-${line}`;
      await operators[line].request('chat.send', {
        sessionKey: `agent:main:stop-${line}`,
        message: 'TEST:text kept',
        idempotencyKey: runId,
      });
      await operators[line].ended(runId);
    }

    gateway.child.kill(signal);
    for (const line of ['3', '9'] as const) {
      for (const client of [operators[line], nodes[line]]) {
        expect(await client.client.closing()).toEqual({ code: 1012, reason: 'service restart' });
        const shutdown = client.frames.filter((f) => f.event === 'shutdown');
        expect(shutdown.length).toBe(1);
        expect(shutdown[0].payload).toEqual(SHUTDOWN[signal]?.[line]);
        expect(client.frames.at(-1)).toBe(shutdown[0]);
        expectDenseSeq(client.frames);
      }
    }
    if (signal === 'SIGTERM') {
      expect(await gateway.stop()).toMatchObject({ code: 0 });
      return;
    }
    // The same process, the same port? A port that was chosen freely is chosen anew: it is announced again.
    await expect.poll(() => gateway.output().match(/listening on ws:\/\/127\.0\.0\.1:(\d+)/g)?.length, { timeout: 10_000 }).toBe(2);
    const port = Number([...gateway.output().matchAll(/listening on ws:\/\/127\.0\.0\.1:(\d+)/g)].at(-1)?.[1]);
    const again = { url: `ws://127.0.0.1:${port}/`, port };
    for (const line of ['3', '9'] as const) {
      const { deviceToken } = operators[line].hello.auth;
      const recorded = recordedConnect(`v${line}-tui`);
      const params = { ...recorded.params, auth: { deviceToken: '<deviceToken>' } };
      await using back = await replay(again, { ...recorded, params }, { deviceToken, device: devices[line] });
      expect(back.hello.server.version).toBe(operators[line].hello.server.version);
      expect(back.hello.server.buildId).toBe(operators[line].hello.server.buildId);
      if (line === '9') expect(back.hello.server.bootId).not.toBe(operators[line].hello.server.bootId);
      const history = await back.request('chat.history', { sessionKey: `agent:main:stop-${line}`, limit: 10 });
      expect(history.payload.messages.at(-1).content).toEqual([{ type: 'text', text: 'kept' }]);
    }
    expect(await gateway.stop()).toMatchObject({ code: 0 });
  });
});

test('SIGTERM lets a running answer end first', async () => {
  await using house = await openHouse();
  const { gateway } = house;
  await using client = await replay(gateway, recordedConnect('v9-tui'), { token: gateway.token(), device: newDevice() });
  await client.request('chat.send', { sessionKey: 'agent:main:stop', message: 'TEST:tokens n=30 delay=30', idempotencyKey: 'running' });
  await client.client.frame((f) => f.event === 'chat' && f.payload.state === 'delta', 'a delta');
  gateway.child.kill('SIGTERM');
  expect((await client.ended('running')).payload.state).toBe('final');
  await client.client.closing();
  expect(client.frames.at(-1)).toMatchObject({ event: 'shutdown', payload: { reason: 'gateway stopping' } });
  expectDenseSeq(client.frames);
});
