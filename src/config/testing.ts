import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Env } from './env.ts';
import { type ConfigProblem, type ConfigSnapshot, type LoadOptions, loadConfig } from './load.ts';
import { type Paths, resolvePaths } from './paths.ts';

/** A state dir of its own for one test, gone afterwards: `using state = stateDir()`. */
export interface StateDir {
  readonly dir: string;
  readonly env: Env;
  readonly paths: Paths;
  /** Writes a file of the state dir, 0600. */
  write(name: string, text: string | Uint8Array): string;
  load(options?: Partial<LoadOptions>): ReturnType<typeof loadConfig>;
  /** Loads, and fails the test where the config is wrong. */
  snapshot(options?: Partial<LoadOptions>): Promise<ConfigSnapshot>;
  /** Loads, and fails the test where the config is right. */
  problem(options?: Partial<LoadOptions>): Promise<ConfigProblem>;
  [Symbol.dispose](): void;
}

export function stateDir(config?: string, extraEnv: Env = {}): StateDir {
  const dir = mkdtempSync(join(tmpdir(), 'openclaw-config-'));
  const env: Env = { HOME: dir, OPENCLAW_STATE_DIR: join(dir, 'state'), ...extraEnv };
  const paths = resolvePaths(env);
  if (!paths.ok) throw paths.error;
  mkdirSync(paths.value.stateDir, { mode: 0o700 });
  const state: StateDir = {
    dir,
    env,
    paths: paths.value,
    write(name, text) {
      const file = join(paths.value.stateDir, name);
      writeFileSync(file, text, { mode: 0o600 });
      return file;
    },
    load: (options = {}) => loadConfig({ paths: paths.value, env, ...options }),
    async snapshot(options) {
      const result = await state.load(options);
      if (!result.ok) throw new Error(`the config is wrong: ${result.error.message}`);
      return result.value;
    },
    async problem(options) {
      const result = await state.load(options);
      if (result.ok) throw new Error('the config is right, a problem was expected');
      return result.error;
    },
    [Symbol.dispose]: () => rmSync(dir, { recursive: true, force: true }),
  };
  if (config !== undefined) state.write('openclaw.json', config);
  return state;
}
