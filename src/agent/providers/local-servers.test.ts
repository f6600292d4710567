import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, test } from 'vitest';
import { manualClock } from '../../../test/support/manual-clock.ts';
import { startScriptedProvider } from '../../../test/support/scripted-provider.ts';
import { testAgent } from '../../../test/support/test-agent.ts';
import { systemClock } from '../../lib/clock.ts';
import type { LocalServerSpec } from '../ports.ts';
import { createLocalServers, FRESH_EMPTY_MS, FRESH_MS, PROBE_MS } from './local-servers.ts';

const look = (specs: readonly LocalServerSpec[], listenerUid: () => Promise<number | undefined> = async () => process.getuid?.() ?? 0) =>
  createLocalServers({ specs: () => specs, fetch, clock: systemClock, listenerUid }).look();

/** A server that answers everything the same way. */
async function answering(handler: http.RequestListener): Promise<{ url: string } & AsyncDisposable> {
  const server = http.createServer(handler).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describe('model servers of this machine', () => {
  test.each([
    ['ollama', { id: 'scripted:latest', contextWindow: 8192 }],
    ['lmstudio', { id: 'scripted', contextWindow: 4096 }],
    ['llamacpp', { id: 'scripted', contextWindow: 2048 }],
  ] as const)('AG-60 %s is known by its own answers, with its chat models and their context', async (kind, model) => {
    await using server = await startScriptedProvider({ flavour: kind });
    const [probe] = await look([{ kind, url: server.origin }]);
    expect(probe).toMatchObject({ state: 'found', server: { id: kind, trusted: true, models: [model] } });
    expect(probe?.state === 'found' && probe.server.models).toHaveLength(1);
  });

  test.each(['ollama', 'lmstudio', 'llamacpp'] as const)('AG-60 another program is not taken for %s', async (kind) => {
    await using page = await startScriptedProvider({ flavour: 'other' });
    await using plain = await startScriptedProvider();
    await using odd = await answering((_, res) => res.setHeader('content-type', 'application/json').end('{"models": "many", "data": {}}'));
    await using away = await answering((_, res) => res.writeHead(302, { location: page.origin }).end());
    for (const url of [page.origin, plain.origin, odd.url, away.url])
      expect(await look([{ kind, url }])).toMatchObject([{ state: 'other' }]);
    expect((await page.requests()).filter(({ path }) => path === '/')).toEqual([]);
  });

  test('AG-60 one server is not taken for another', async () => {
    await using ollama = await startScriptedProvider({ flavour: 'ollama' });
    expect(await look([{ kind: 'llamacpp', url: ollama.origin }])).toMatchObject([{ state: 'other' }]);
    expect(await look([{ kind: 'lmstudio', url: ollama.origin }])).toMatchObject([{ state: 'other' }]);
  });

  test('AG-60 silence, floods and nothing are nothing, in bounded time', async () => {
    await using silent = await answering(() => {});
    await using flood = await answering((_, res) => {
      const more = (): void => void res.write('[1,'.repeat(100_000), () => setImmediate(more));
      more();
    });
    const gone = await startScriptedProvider();
    await gone.close();
    const began = performance.now();
    const probes = await look([silent.url, flood.url, gone.origin].map((url) => ({ kind: 'ollama', url })));
    expect(probes.map(({ state }) => state)).toEqual(['nothing', 'other', 'nothing']);
    expect(performance.now() - began).toBeLessThan(PROBE_MS * 6);
  });

  test('AG-61 a server of another user is not used; one whose owner cannot be told gets no tools', async () => {
    await using server = await startScriptedProvider({ flavour: 'llamacpp' });
    const spec = { kind: 'llamacpp', url: server.origin } as const;
    expect(await look([spec], async () => 54_321)).toMatchObject([{ state: 'foreign', uid: 54_321 }]);
    expect(await look([spec], async () => undefined)).toMatchObject([{ state: 'found', server: { trusted: false } }]);
    expect(await look([spec], async () => 0)).toMatchObject([{ state: 'found', server: { trusted: true } }]);
    // As the machine really says it.
    if (process.platform === 'linux') {
      const [probe] = await createLocalServers({ specs: () => [spec], fetch, clock: systemClock }).look();
      expect(probe).toMatchObject({ state: 'found', server: { trusted: true } });
    }
  });

  test('AG-62 a look counts for a while, and for less when nothing was found', async () => {
    await using server = await startScriptedProvider({ flavour: 'ollama' });
    const clock = manualClock();
    let specs: LocalServerSpec[] = [{ kind: 'ollama', url: server.origin }];
    const servers = createLocalServers({ specs: () => specs, fetch, clock, listenerUid: async () => 0 });
    expect(servers.seen()).toEqual([]);
    await Promise.all([servers.fresh(), servers.fresh()]);
    const count = async (): Promise<number> => (await server.requests()).filter(({ path }) => path === '/api/tags').length;
    expect(await count()).toBe(1);
    await clock.advance(FRESH_MS - 1);
    await servers.fresh();
    expect(await count()).toBe(1);
    await clock.advance(1);
    specs = [];
    expect(await servers.fresh()).toEqual([]);
    specs = [{ kind: 'ollama', url: server.origin }];
    await clock.advance(FRESH_EMPTY_MS);
    expect(await servers.fresh()).toMatchObject([{ state: 'found' }]);
  });

  test('AG-60 a turn finds a server by itself and sends it no key', async () => {
    await using server = await startScriptedProvider({ flavour: 'llamacpp' });
    await using t = await testAgent({ localServers: [{ kind: 'llamacpp', url: server.origin }] });
    expect(t.agent.defaultModel()).toBeUndefined();
    expect(await t.ask('hello')).toMatchObject({ status: 'ok', provider: 'llamacpp', model: 'scripted', text: 'You said: hello' });
    expect(t.agent.defaultModel()).toMatchObject({ source: 'local-server', contextWindow: 2048 });
    expect(t.agent.models()).toMatchObject([{ provider: 'llamacpp', id: 'scripted', source: 'local-server' }]);
    for (const { headers } of await server.requests()) expect(headers['authorization']).toBeUndefined();
    // 2048 tokens hold no tools.
    expect((await server.chats())[0]?.tools).toBeUndefined();
  });

  test('AG-62 a chosen model starts at once, whatever else is looked for', async () => {
    await using server = await startScriptedProvider();
    await using silent = await answering(() => {});
    await using t = await testAgent({ provider: server.url, localServers: [{ kind: 'ollama', url: silent.url }] });
    const began = performance.now();
    expect(await t.ask('hello')).toMatchObject({ status: 'ok', provider: 'test' });
    expect(performance.now() - began).toBeLessThan(PROBE_MS);
  });
});
