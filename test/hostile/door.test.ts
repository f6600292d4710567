import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { DEVICE_LIMITS } from '../../src/auth/device-limits.ts';
import { SLOWED } from '../../src/auth/rate-limit.ts';
import { newStateDir } from '../support/gateway.ts';
import { ownerCall } from '../support/knocker.ts';
import { connect, type Frame, newDevice, tryConnect } from '../support/wire.ts';
import { expectWithinBounds, startWatchedGateway, type WatchedGateway } from './support/attack.ts';

/** Attacks on the door: guesses, new keys, names and addresses without end, noise from a program that holds the secret. */

const TOKEN = `ocg_${'a-token-of-this-attack'.padEnd(43, '0')}`;
const PASSWORD = 'a pass phrase of this attack';
const STRANGER = { 'X-Forwarded-For': '203.0.113.5' };
/** A gateway whose generated token is `secret`: the harness's neighbour takes it from there, and a password counts as a token too. */
function start(gateway: object, secret: string): Promise<WatchedGateway> {
  const stateDir = newStateDir();
  mkdirSync(join(stateDir, 'gateway'), { mode: 0o700 });
  writeFileSync(join(stateDir, 'gateway', 'token'), secret, { mode: 0o600 });
  const config = { gateway: { http: { endpoints: { chatCompletions: { enabled: true } } }, ...gateway } };
  return startWatchedGateway({ stateDir, config: JSON.stringify(config) });
}
const codeOf = (res: Frame): string => (res.ok ? 'in' : res.error.details.code);

/** `count` tasks, `at` a time. */
async function crowd(count: number, at: number, task: (n: number) => Promise<void>): Promise<void> {
  let next = 0;
  await Promise.all(
    Array.from({ length: at }, async () => {
      while (next < count) await task(next++);
    }),
  );
}

async function knock(gateway: WatchedGateway, options: Parameters<typeof tryConnect>[1]): Promise<Frame> {
  const { client, res } = await tryConnect(gateway.url, options);
  await client[Symbol.asyncDispose]();
  return res;
}

describe('guesses beside honest ones', () => {
  test.each([
    ['token', TOKEN],
    ['password', PASSWORD],
  ])('AU-121: fifty wrong %s guesses a second: each right one gets in, ten wrong ones a second are answered', async (kind, secret) => {
    await using gateway = await start(kind === 'password' ? { auth: { mode: kind, password: secret } } : {}, secret);
    const device = newDevice();
    const first = await connect(gateway.url, { device, auth: { [kind]: secret } });
    const { deviceToken } = first.hello.auth;
    await first[Symbol.asyncDispose]();
    const seconds = 6;
    let wrong = 0;
    let limited = 0;
    const honest: string[] = [];
    const took: number[] = [];
    const figures = await gateway.under(`50 wrong ${kind} guesses a second`, async () => {
      const guesses: Promise<unknown>[] = [];
      const began = performance.now();
      for (let i = 0; i < seconds * 50; i++) {
        await pause(Math.max(0, began + i * 20 - performance.now()));
        const guess = `wrong ${i} `.padEnd(40, 'x');
        const code =
          i % 2 === 0
            ? knock(gateway, { auth: { [kind]: guess } }).then(codeOf)
            : fetch(`${gateway.httpUrl}/v1/models`, { headers: { Authorization: `Bearer ${guess}` } }).then(({ status }) => String(status));
        guesses.push(
          code
            .then((said) => {
              if (performance.now() - began > seconds * 1_000) return;
              if (said === '429' || said === 'AUTH_RATE_LIMITED') limited++;
              else wrong++;
            })
            // Pushed out before it was answered.
            .catch(() => {}),
        );
        if (i % 15 !== 0) continue;
        const from = performance.now();
        const answers = await Promise.all([
          knock(gateway, { auth: { [kind]: secret } }).then(codeOf),
          knock(gateway, { device, auth: { deviceToken } }).then(codeOf),
          fetch(`${gateway.httpUrl}/v1/models`, { headers: { Authorization: `Bearer ${secret}` } }).then(({ status }) => String(status)),
          fetch(`${gateway.httpUrl}/v1/models`, { headers: { Authorization: `Bearer ${deviceToken}` } }).then(({ status }) =>
            String(status),
          ),
        ]);
        took.push(performance.now() - from);
        honest.push(answers.join());
      }
      await Promise.all(guesses);
    });
    took.sort((a, b) => a - b);
    console.log(
      `${kind}: ${wrong} wrong and ${limited} limited answers in ${seconds} s; four right ones took at most ${took.at(-1)?.toFixed(0)} ms`,
    );
    expect(honest).toEqual(honest.map(() => 'in,in,200,200'));
    expect(wrong).toBeLessThanOrEqual((seconds * 1_000) / SLOWED.intervalMs + 2);
    expectWithinBounds(figures);
  });
});

test('PA-52: a pending device with another name at every knock: one request, one event', async () => {
  await using gateway = await start({}, TOKEN);
  await using observer = await connect(gateway.url, { auth: { token: TOKEN } });
  const device = newDevice();
  const ids = new Set<string>();
  const began = performance.now();
  const figures = await gateway.under('1,000 names of one pending device', () =>
    crowd(1_000, 8, async (n) => {
      const client = { displayName: `name ${n}`, ...(n % 3 === 0 && { platform: `platform ${n}` }) };
      const scopes = n % 5 === 0 ? ['operator.admin'] : ['operator.read'];
      const res = await knock(gateway, { device, client, scopes, auth: { token: TOKEN }, headers: STRANGER });
      ids.add(res.error.details.requestId);
    }),
  );
  const minutes = Math.ceil((performance.now() - began) / 60_000);
  const events = observer.frames.filter((frame) => frame.event === 'device.pair.requested');
  console.log(`1,000 knocks: ${events.length} events, ${ids.size} ids`);
  expect(events.length).toBeLessThanOrEqual(minutes);
  expect(ids.size).toBeLessThanOrEqual(minutes);
  expect((await ownerCall(gateway.stateDir, 'device.pair.list')).pending).toHaveLength(1);
  expectWithinBounds(figures);
});

test('PA-53: new keys without end from one address, and the list asked for on and on', async () => {
  await using gateway = await start({}, TOKEN);
  const mine = newDevice();
  const first = await connect(gateway.url, { device: mine, auth: { token: TOKEN } });
  const { deviceToken } = first.hello.auth;
  await first[Symbol.asyncDispose]();
  const said = new Map<string, number>();
  const keys = Array.from({ length: DEVICE_LIMITS.perLetIn + 150 }, newDevice);
  const figures = await gateway.under('new keys', () =>
    crowd(keys.length, 8, async (n) => {
      const code = codeOf(await knock(gateway, { device: keys[n] as ReturnType<typeof newDevice>, auth: { token: TOKEN } }));
      said.set(code, (said.get(code) ?? 0) + 1);
    }),
  );
  console.log(`new keys: ${JSON.stringify([...said])}`);
  expect([...said.keys()].sort()).toEqual(['DEVICE_LIMIT', 'in']);
  expectWithinBounds(figures);
  expect(codeOf(await knock(gateway, { device: mine, auth: { deviceToken } }))).toBe('in');
  const { paired } = await ownerCall(gateway.stateDir, 'device.pair.list');
  expect(paired).toHaveLength(DEVICE_LIMITS.perLetIn);

  await using reader = await connect(gateway.url, { auth: { token: TOKEN } });
  const listing = await gateway.under('device.pair.list 300 times at the bound, devices changing beside it', async () => {
    await Promise.all([
      crowd(300, 2, async () => void (await reader.call('device.pair.list'))),
      crowd(
        40,
        2,
        async (n) => void (await knock(gateway, { device: keys[n % 20] as ReturnType<typeof newDevice>, auth: { token: TOKEN } })),
      ),
    ]);
  });
  expectWithinBounds(listing);
});

test('AU-125: a noisy program with the secret does not use up what others have: its owner, over WebSocket and on the socket', async () => {
  await using gateway = await start({}, TOKEN);
  await using owner = await connect(gateway.url, { auth: { token: TOKEN } });
  const noisy = await Promise.all([1, 2, 3].map(() => connect(gateway.url, { auth: { token: TOKEN } })));
  const abort = { sessionKey: 'agent:main:main' };
  let noise = 0;
  let passed = 0;
  const honest: boolean[] = [];
  const began = performance.now();
  const figures = await gateway.under('three noisy connections', async () => {
    let isOver = false;
    const noises = noisy.map(async (client) => {
      while (!isOver) {
        const answers = await Promise.all(Array.from({ length: 20 }, () => client.request('chat.abort', abort)));
        noise += answers.length;
        passed += answers.filter(({ ok }) => ok).length;
        client.frames.length = 0;
        await pause(5);
      }
    });
    await pause(2_000);
    for (let i = 0; i < 20; i++) {
      honest.push((await owner.request('chat.abort', abort)).ok);
      await ownerCall(gateway.stateDir, 'chat.abort', abort);
      await pause(50);
    }
    isOver = true;
    await Promise.all(noises);
  });
  const seconds = (performance.now() - began) / 1_000;
  console.log(
    `${noise} noisy calls, ${passed} passed in ${seconds.toFixed(1)} s; ${honest.filter(Boolean).length} of ${honest.length} honest ones`,
  );
  expect(honest).toEqual(honest.map(() => true));
  expect(passed).toBeLessThanOrEqual(600 + 600 + 80 * seconds);
  expectWithinBounds(figures);
  // Over HTTP, from the same lane and without a share: it gets to its end, the owner's WebSocket does not.
  const run = (headers: object) =>
    fetch(`${gateway.httpUrl}/v1/chat/completions`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${TOKEN}`, ...headers },
      body: '{}',
    });
  const said: number[] = [];
  await crowd(1_000, 4, async () => {
    const answer = await run({});
    said.push(answer.status);
    if (answer.status === 429) expect(Number(answer.headers.get('Retry-After'))).toBeGreaterThan(0);
    await answer.body?.cancel();
  });
  console.log(`1,000 runs over HTTP: ${said.filter((status) => status !== 429).length} taken up`);
  expect(said.filter((status) => status !== 429).length).toBeLessThan(400);
  // So is a program that opens a connection for each call.
  let came = 0;
  await crowd(400, 8, async () => {
    await using client = await connect(gateway.url, { auth: { token: TOKEN } });
    for (let i = 0; i < 10; i++) if ((await client.request('chat.abort', abort)).ok) came++;
  });
  console.log(`4,000 calls of 400 connections: ${came} taken up`);
  expect((await owner.request('chat.abort', abort)).ok).toBe(true);
  for (const client of noisy) await client[Symbol.asyncDispose]();
});

test('AU-24 addresses without end through a listed proxy, with wrong secrets, right ones and new keys', async () => {
  await using gateway = await start({ trustedProxies: ['127.0.0.1'] }, TOKEN);
  const address = (n: number): string =>
    n % 2 === 0
      ? `198.${18 + (n >> 17)}.${(n >> 8) & 255}.${n & 255}`
      : `2001:db8:${(n >> 8).toString(16)}:${(n & 255).toString(16)}::${n.toString(16)}`;
  const before = gateway.rssMiB();
  // A neighbour on this very machine would be the proxy: it comes by its own address, as all do here.
  const figures = await gateway.under('10,000 addresses', async () => {
    await crowd(10_000, 16, async (n) => {
      const headers = { Authorization: `Bearer wrong-${n}`, 'X-Forwarded-For': address(n) };
      const { status, body } = await fetch(`${gateway.httpUrl}/v1/models`, { headers });
      await body?.cancel();
      expect([401, 429]).toContain(status);
    });
    await crowd(600, 8, async (n) => {
      const res = await knock(gateway, { device: newDevice(), auth: { token: TOKEN }, headers: { 'X-Forwarded-For': address(n * 7) } });
      expect(['PAIRING_REQUIRED', 'AUTH_RATE_LIMITED']).toContain(codeOf(res));
    });
  });
  console.log(`memory ${before.toFixed(0)} → ${gateway.rssMiB().toFixed(0)} MiB`);
  expect((await ownerCall(gateway.stateDir, 'device.pair.list')).pending.length).toBeLessThanOrEqual(100);
  expectWithinBounds(figures);
});
