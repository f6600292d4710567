import { once } from 'node:events';
import path from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { DRAIN_MS } from '../../src/gateway/lifecycle.ts';
import { scriptedConfig } from '../support/crash-loop.ts';
import { startTestGateway } from '../support/gateway.ts';
import { startScriptedProvider } from '../support/scripted-provider.ts';
import { connect, newDevice } from '../support/wire.ts';

test('WS-16 an answer that takes longer than the drain is cut at its limit, and marked interrupted with all that had come', async () => {
  await using provider = await startScriptedProvider();
  await using gateway = await startTestGateway({ config: scriptedConfig(provider) });
  await using client = await connect(gateway.url, { device: newDevice(), auth: { token: gateway.token() } });
  await client.call('chat.send', { sessionKey: 'main', message: 'TEST:tokens n=2000 delay=50', idempotencyKey: 'endless' });
  await client.event('agent', ({ stream }) => stream === 'assistant');
  const exited = once(gateway.child, 'exit');
  const began = performance.now();
  gateway.child.kill('SIGTERM');
  expect(await client.event('shutdown', undefined, DRAIN_MS + 10_000)).toEqual({ reason: 'gateway stopping' });
  const took = performance.now() - began;
  expect(took).toBeGreaterThan(DRAIN_MS - 100);
  expect(took).toBeLessThan(DRAIN_MS + 5_000);
  expect(await client.closing()).toEqual({ code: 1012, reason: 'service restart' });
  expect(await exited).toEqual([0, null]);

  const shown = client.frames.findLast(({ event, payload }) => event === 'agent' && payload.stream === 'assistant').payload.data.text;
  const db = new DatabaseSync(path.join(gateway.stateDir, 'gateway', 'gateway.sqlite'), { readOnly: true });
  try {
    expect(db.prepare("SELECT status FROM runs WHERE run_id = 'endless'").get()).toEqual({ status: 'interrupted' });
    const kept = db.prepare("SELECT message ->> '$.content[0].text' AS text FROM transcript WHERE message ->> 'role' = 'assistant'").get();
    expect(String(kept?.['text']).startsWith(shown)).toBe(true);
    expect(shown.length).toBeGreaterThan(1000);
  } finally {
    db.close();
  }
}, 60_000);
