import { renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Cancel, Clock } from '../lib/clock.ts';
import { changedPaths, reloadPlan } from './changes.ts';
import type { ConfigProblem } from './load.ts';
import { type StateDir, stateDir } from './testing.ts';
import { type ConfigChange, type ConfigWatch, POLL_MS, watchConfig } from './watch.ts';

class ManualClock implements Clock {
  #now = 0;
  readonly #timers = new Set<{ at: number; every: number | undefined; task: () => void }>();
  now = (): number => this.#now;
  monotonic = (): number => this.#now;
  after = (ms: number, task: () => void): Cancel => this.#add(ms, undefined, task);
  every = (ms: number, task: () => void): Cancel => this.#add(ms, ms, task);
  #add(ms: number, every: number | undefined, task: () => void): Cancel {
    const timer = { at: this.#now + ms, every, task };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
  get waiting(): number {
    return [...this.#timers].filter((timer) => timer.every === undefined).length;
  }
  advance(ms: number): void {
    this.#now += ms;
    for (const timer of [...this.#timers]) {
      if (timer.at > this.#now) continue;
      if (timer.every === undefined) this.#timers.delete(timer);
      else timer.at = this.#now + timer.every;
      timer.task();
    }
  }
}

interface Watched {
  readonly clock: ManualClock;
  readonly watch: ConfigWatch;
  readonly changes: ConfigChange[];
  readonly problems: ConfigProblem[];
}
async function watched(state: StateDir): Promise<Watched> {
  const clock = new ManualClock();
  const changes: ConfigChange[] = [];
  const problems: ConfigProblem[] = [];
  const watch = watchConfig({
    current: await state.snapshot(),
    load: (generation) => state.load({ generation }),
    clock,
    onChange: (change) => changes.push(change),
    onProblem: (problem) => problems.push(problem),
  });
  return { clock, watch, changes, problems };
}

async function until(condition: () => boolean): Promise<void> {
  const deadline = performance.now() + 5_000;
  while (!condition()) {
    if (performance.now() > deadline) throw new Error('it did not happen within 5 s');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe('watchConfig', () => {
  test('CF-34 an atomic replacement is seen, after the quiet time, as a new generation', async () => {
    using state = stateDir('{ gateway: { auth: { mode: "token" } } }');
    const { clock, watch, changes } = await watched(state);
    const temporary = state.write('new.tmp', '{ gateway: { auth: { mode: "password" }, port: 5 }, ui: { seamColor: "red" } }');
    renameSync(temporary, state.paths.configPath);
    await until(() => clock.waiting === 1);
    expect(changes).toEqual([]);
    clock.advance(300);
    await until(() => changes.length === 1);
    expect(changes[0]).toMatchObject({
      snapshot: { generation: 2 },
      changed: [
        { path: 'gateway.port', reload: 'restart' },
        { path: 'gateway.auth.mode', reload: 'hot' },
        { path: 'ui.seamColor', reload: 'none' },
      ],
    });
    expect(watch.current()).toBe(changes[0]?.snapshot);
    watch.stop();
  });

  test('CF-35 a wrong text changes nothing, is reported once, and the next right one counts', async () => {
    using state = stateDir('{ gateway: { port: 1 } }');
    const { watch, changes, problems } = await watched(state);
    state.write('openclaw.json', '{ gateway: { port: 2, bind: "everywhere" } }');
    await watch.reload();
    await watch.reload();
    expect(problems).toEqual([expect.objectContaining({ code: 'CONFIG_INVALID' })]);
    expect([watch.current().config.gateway.port, watch.current().generation, changes.length]).toEqual([1, 1, 0]);
    state.write('openclaw.json', '{ gateway: { port: 3');
    await watch.reload();
    expect(problems.map((problem) => problem.code)).toEqual(['CONFIG_INVALID', 'CONFIG_SYNTAX']);
    state.write('openclaw.json', '{ gateway: { port: 4 } }');
    await watch.reload();
    expect(changes.map((change) => [change.snapshot.config.gateway.port, change.snapshot.generation])).toEqual([[4, 2]]);
    watch.stop();
  });

  test('CF-34 a change of comments only is no change, and edits are made against the new text', async () => {
    using state = stateDir('{}');
    const { watch, changes } = await watched(state);
    state.write('openclaw.json', '{ /* new */ }');
    await watch.reload();
    expect(changes).toEqual([]);
    expect(watch.current()).toMatchObject({ raw: '{ /* new */ }', generation: 1 });
    watch.stop();
  });

  test('CF-34 .env, includes, and a file that comes or goes count too; the poll sees what no watch told', async () => {
    using state = stateDir();
    const { clock, watch, changes } = await watched(state);
    state.write('.env', 'OPENCLAW_GATEWAY_TOKEN=x\n');
    await watch.reload();
    expect(changes.at(-1)?.changed).toEqual([{ path: 'env.OPENCLAW_GATEWAY_TOKEN', reload: 'hot' }]);
    state.write('inc.json', '{ "port": 5 }');
    state.write('openclaw.json', '{ gateway: { $include: "inc.json" } }');
    await watch.reload();
    expect(changes.at(-1)?.changed).toEqual([{ path: 'gateway.port', reload: 'restart' }]);
    writeFileSync(join(state.paths.stateDir, 'inc.json'), '{ "port": 66 }');
    clock.advance(POLL_MS);
    clock.advance(300);
    await until(() => watch.current().config.gateway.port === 66);
    rmSync(state.paths.configPath);
    await watch.reload();
    expect(watch.current().exists).toBe(false);
    watch.stop();
  });

  test('CF-34 after stop nothing is told', async () => {
    using state = stateDir('{}');
    const { clock, watch, changes } = await watched(state);
    state.write('openclaw.json', '{ gateway: { port: 9 } }');
    const reading = watch.reload();
    watch.stop();
    clock.advance(POLL_MS);
    await reading;
    expect(changes).toEqual([]);
    expect(clock.waiting).toBe(0);
  });
});

describe('what a change asks for', () => {
  test.each([
    ['{ gateway: { remote: { url: "ws://127.0.0.1:1" } } }', 'gateway.remote.url', 'none'],
    ['{ gateway: { reload: { mode: "off" } } }', 'gateway.reload.mode', 'none'],
    ['{ gateway: { auth: { token: "x" } } }', 'gateway.auth.token', 'hot'],
    ['{ gateway: { bind: "lan" } }', 'gateway.bind', 'restart'],
    ['{ gateway: { tls: { enabled: true } } }', 'gateway.tls.enabled', 'restart'],
    ['{ gateway: { channelHealthCheckMinutes: 1 } }', 'gateway.channelHealthCheckMinutes', 'hot'],
    ['{ agents: { defaults: { model: "a/b" } } }', 'agents.defaults.model', 'hot'],
    ['{ agents: { defaults: { workspace: "/w" } } }', 'agents.defaults.workspace', 'none'],
    ['{ models: { providers: { a: { apiKey: "k" } } } }', 'models.providers.a.apiKey', 'hot'],
    ['{ tools: { deny: ["x"] } }', 'tools.deny', 'none'],
    ['{ discovery: { mdns: { mode: "off" } } }', 'discovery.mdns.mode', 'restart'],
    ['{ channels: { a: {} } }', 'channels.a', 'hot'],
    ['{ plugins: { a: 1 } }', 'plugins.a', 'restart'],
  ])('CF-36 %s: %s is %s', async (raw, path, reload) => {
    using before = stateDir();
    using after = stateDir(raw);
    const changes = changedPaths(await before.snapshot(), await after.snapshot({ env: before.env }));
    expect(changes.filter((change) => change.path === path)).toEqual([{ path, reload }]);
  });

  test('CF-36 modes', () => {
    const none = { path: 'ui', reload: 'none' } as const;
    const hot = { path: 'models', reload: 'hot' } as const;
    const restart = { path: 'gateway.port', reload: 'restart' } as const;
    expect(reloadPlan([], 'hybrid')).toEqual({ action: 'nothing', ignored: [] });
    expect(reloadPlan([none, hot], 'hybrid')).toEqual({ action: 'apply', ignored: [] });
    expect(reloadPlan([none, restart], 'hybrid')).toEqual({ action: 'restart', ignored: [] });
    expect(reloadPlan([hot, restart], 'hot')).toEqual({ action: 'apply', ignored: ['gateway.port'] });
    expect(reloadPlan([restart], 'hot')).toEqual({ action: 'nothing', ignored: ['gateway.port'] });
    expect(reloadPlan([none, hot], 'restart')).toEqual({ action: 'restart', ignored: [] });
    expect(reloadPlan([none, hot, restart], 'off')).toEqual({ action: 'nothing', ignored: ['models', 'gateway.port'] });
  });
});
