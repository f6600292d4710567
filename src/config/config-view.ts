import { isRecord } from '../lib/json.ts';
import type { Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import type { Env } from './env.ts';
import type { ConfigProblem, ConfigSnapshot, Tree } from './load.ts';
import type { ConfigIssue, ConfigWarning } from './read.ts';
import { redactRaw } from './redact.ts';
import { isReference, Redactor, secretsOf } from './redactor.ts';
import { looksSecret } from './secret-places.ts';

/** The answer of `config.get`; no secret in it. `config` is without defaults, because forms send it back as the file. */
export interface ConfigView {
  readonly path: string;
  readonly exists: boolean;
  readonly raw: string;
  readonly parsed: unknown;
  readonly resolved: unknown;
  readonly valid: boolean;
  readonly config: unknown;
  readonly hash: string;
  readonly issues: readonly Pick<ConfigIssue, 'path' | 'message'>[];
  readonly warnings: readonly Pick<ConfigWarning, 'path' | 'message'>[];
  readonly legacyIssues: readonly never[];
}

/** A longer text is not answered over the wire, which carries it six times: `openclaw config file` says where it lies. */
export const MAX_VIEW_CHARS = 512 * 1024;

/** What takes the secrets out of everything that is said of a config. `known`: those that come from elsewhere, as the generated token. */
export async function redactorFor(
  result: Result<ConfigSnapshot, ConfigProblem>,
  known: Iterable<string> = [],
  pauses: Pauses = new Pauses(),
): Promise<Redactor> {
  const from = result.ok ? result.value : result.error;
  const parsed: Tree = from.parsed ?? {};
  const usable = result.ok ? result.value : result.error.usable;
  return new Redactor([
    ...known,
    ...(await secretsOf(parsed, pauses)),
    ...(usable === undefined
      ? []
      : [...(await secretsOf(usable.resolved, pauses)), ...(await secretsOf(usable.config, pauses)), ...fromEnv(parsed, usable.env)]),
  ]);
}

/** Variables that are named like a secret, or that a reference of the file asks for. */
function fromEnv(tree: unknown, env: Env): string[] {
  const names = new Set(Object.keys(env).filter((name) => looksSecret(name)));
  const stack: unknown[] = [tree];
  for (let value = stack.pop(); stack.length > 0 || value !== undefined; value = stack.pop()) {
    if (typeof value !== 'object' || value === null) continue;
    if (isRecord(value) && isReference(value) && value['source'] === 'env') names.add(String(value['id']));
    else for (const child of Object.values(value)) if (typeof child === 'object') stack.push(child);
  }
  return [...names].flatMap((name) => env[name] ?? []);
}

/** A config, or what is wrong with it, as a client may see it. Made in slices. */
export async function configView(result: Result<ConfigSnapshot, ConfigProblem>, known: Iterable<string> = []): Promise<ConfigView> {
  const from = result.ok ? result.value : result.error;
  const parsed: Tree = from.parsed ?? {};
  const full: Tree = result.ok ? result.value.resolved : parsed;
  const pauses = new Pauses();
  const redactor = await redactorFor(result, known, pauses);
  await pauses.here();
  const resolved = await redactor.treeInSlices(full, pauses);
  const say = ({ path, message }: { path: string; message: string }) => ({
    path: redactor.loose(path, 'long'),
    message: redactor.loose(message, 'long'),
  });
  return {
    path: from.paths.configPath,
    exists: result.ok ? result.value.exists : true,
    raw: await redactRaw(from.raw ?? '', redactor, pauses),
    parsed: full === parsed ? resolved : await redactor.treeInSlices(parsed, pauses),
    resolved,
    valid: result.ok,
    config: resolved,
    hash: from.hash ?? '',
    issues: from.issues.map(say),
    warnings: from.warnings.map(say),
    legacyIssues: [],
  };
}
