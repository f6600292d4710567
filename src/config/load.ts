import { UserError } from '../lib/errors.ts';
import { isRecord } from '../lib/json.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import { crypto } from './builtins.ts';
import { configEnv, layered, readDotenv } from './dotenv.ts';
import { type Env, envText } from './env.ts';
import { resolveIncludes } from './include.ts';
import { countNodes, MAX_CONFIG_NODES, parseJson5 } from './json5-text.ts';
import { type KeyPath, parsePath } from './key-path.ts';
import { configuredPath } from './local-path.ts';
import { optionAt, specialOptions } from './lookup.ts';
import type { Config } from './options.ts';
import type { Paths } from './paths.ts';
import { type ConfigIssue, type ConfigWarning, checkValue, expectation, readConfig, shown } from './read.ts';
import { readTextFile } from './read-file.ts';
import type { Spec } from './spec.ts';
import { type Missing, SUBSTITUTION_LIMITS, substitute } from './substitute.ts';
import { deepFreeze, treeFlaw, valueAt, withValue } from './tree.ts';

export const MAX_CONFIG_BYTES = 5 * 1024 * 1024;

export type ValueSource = 'flag' | 'env' | 'file' | 'default';
export type Tree = { readonly [key: string]: unknown };

/** What the product runs on: immutable, complete (defaults in), with its origin. */
export interface ConfigSnapshot {
  /** 1 at start, one more at every change that was taken over. */
  readonly generation: number;
  readonly paths: Paths;
  /** Whether there is a file at all. */
  readonly exists: boolean;
  readonly config: Config;
  /** The file's text, `''` when absent. Holds secrets. */
  readonly raw: string;
  /** As written. */
  readonly parsed: Tree;
  /** With includes and variables in, without defaults, flags and environment. Holds secrets. */
  readonly resolved: Tree;
  /** SHA-256 of `raw`, hex: what an edit says it was made against. */
  readonly hash: string;
  /** Always empty: a snapshot is valid. (`ConfigProblem` has the same field.) */
  readonly issues: readonly ConfigIssue[];
  readonly warnings: readonly ConfigWarning[];
  /** `${NAME}` that stayed because the variable is unset. */
  readonly unresolved: readonly Missing[];
  /** Process environment, then `<state>/.env`, then the config's own `env`; earlier wins. Holds secrets. */
  readonly env: Env;
  /** Every file that was read. */
  readonly files: readonly string[];
  /** Which source gave the value at a path like `gateway.port`. */
  sourceOf(path: string): ValueSource;
}

export type ConfigProblemCode = 'CONFIG_UNREADABLE' | 'CONFIG_TOO_LARGE' | 'CONFIG_SYNTAX' | 'CONFIG_INCLUDE' | 'CONFIG_INVALID';

/** Why there is no snapshot. Nothing was changed. */
export interface ConfigProblem {
  readonly code: ConfigProblemCode;
  /** One line for people, with the file in it. */
  readonly message: string;
  readonly fix: string;
  /** The config file. */
  readonly file: string;
  readonly paths: Paths;
  /** 1-based, for CONFIG_SYNTAX. */
  readonly line?: number;
  readonly column?: number;
  readonly issues: readonly ConfigIssue[];
  readonly warnings: readonly ConfigWarning[];
  /** The file's text as far as it could be read. Holds secrets. */
  readonly raw?: string;
  readonly parsed?: Tree;
  readonly hash?: string;
  /**
   * For commands that help to find the fault (`status`, `doctor`, `logs`): the config with every wrong value at its default.
   * Only there when no wrong value guards access, so that a guess can never open a door or send a secret astray.
   */
  readonly usable?: ConfigSnapshot;
}

export interface LoadOptions {
  readonly paths: Paths;
  readonly env: Env;
  /** Values given as flags, by path: `{'gateway.port': '18790', 'gateway.bind': 'lan'}`. Texts are read by the option's type. */
  readonly flags?: Readonly<Record<string, unknown>>;
  /** Default 1. */
  readonly generation?: number;
  /** Read this text instead of the file, as if it were there: to judge an edit before it is written. */
  readonly text?: string;
}

/** Reads and checks the config. A missing file is a valid one with nothing in it. */
export async function loadConfig(options: LoadOptions): Promise<Result<ConfigSnapshot, ConfigProblem>> {
  const { paths } = options;
  const warnings: ConfigWarning[] = [];
  const dotenv = readDotenv(paths.dotenvPath);
  warnings.push(...dotenv.warnings);
  const files = dotenv.exists ? [paths.dotenvPath] : [];
  const base = layered(options.env, dotenv.vars);

  const file =
    options.text === undefined ? readTextFile(paths.configPath, MAX_CONFIG_BYTES) : ok({ text: options.text, mode: 0o600, uid: -1 });
  if (!file.ok && file.error.kind === 'absent') {
    return judge({ ...options, exists: false, raw: '', parsed: {}, resolved: {}, missing: [], env: base, files, warnings });
  }
  if (!file.ok) {
    const code = file.error.kind === 'too-large' ? 'CONFIG_TOO_LARGE' : 'CONFIG_UNREADABLE';
    const fix = file.error.kind === 'too-large' ? 'Keep settings in it and data elsewhere' : `ls -l ${paths.configPath}`;
    return err({ code, message: `${paths.configPath} ${file.error.message}.`, fix, file: paths.configPath, paths, issues: [], warnings });
  }
  const raw = file.value.text;
  files.unshift(paths.configPath);
  if (options.text === undefined) warnings.push(...modeWarnings(paths.configPath, file.value.mode, file.value.uid));
  const problem = (
    code: ConfigProblemCode,
    message: string,
    fix: string,
    more: Partial<ConfigProblem> = {},
  ): Result<never, ConfigProblem> =>
    err({ code, message, fix, file: paths.configPath, paths, issues: [], warnings, raw, hash: hashOf(raw), ...more });

  if (Buffer.byteLength(raw) > MAX_CONFIG_BYTES) {
    return problem(
      'CONFIG_TOO_LARGE',
      `${paths.configPath} would be larger than ${MAX_CONFIG_BYTES} bytes.`,
      'Keep settings in it and data elsewhere',
    );
  }
  const nodes = countNodes(raw);
  if (nodes > MAX_CONFIG_NODES) {
    return problem(
      'CONFIG_TOO_LARGE',
      `${paths.configPath} has more than ${MAX_CONFIG_NODES} keys, values and comments.`,
      'Keep settings in it and data elsewhere',
      { issues: [{ path: 'the file', message: `has more than ${MAX_CONFIG_NODES} keys, values and comments`, guard: true }] },
    );
  }
  const pauses = new Pauses();
  const parsed = await parseJson5(raw, pauses);
  if (!parsed.ok) {
    const { line, column, message } = parsed.error;
    return problem(
      'CONFIG_SYNTAX',
      `${paths.configPath} is not valid JSON5 at line ${line}, column ${column}: ${message}.`,
      `Correct line ${line}: openclaw config file prints the path`,
      {
        line,
        column,
        issues: [{ path: `line ${line}, column ${column}`, message, guard: true }],
      },
    );
  }
  await pauses.here();
  const flaw = isRecord(parsed.value) ? treeFlaw(parsed.value) : { path: '', message: 'must be an object: { … }' };
  if (flaw !== undefined || !isRecord(parsed.value)) {
    const { path: at, message } = flaw ?? { path: '', message: '' };
    return problem('CONFIG_INVALID', `${paths.configPath}: ${at === '' ? 'it' : at} ${message}.`, 'Correct it by hand', {
      issues: [{ path: at || 'the file', message, guard: true }],
    });
  }
  const included = await resolveIncludes(parsed.value, paths.configPath, { bytes: raw.length, nodes }, pauses);
  if (!included.ok) {
    const { path: at, message } = included.error;
    return problem(
      'CONFIG_INCLUDE',
      `${paths.configPath}: ${at === '' ? '' : `${at}: `}${message}.`,
      'Included files lie beside the config or below it',
      {
        parsed: parsed.value,
        issues: [{ path: at || 'the file', message, guard: true }],
      },
    );
  }
  files.push(...included.value.files);

  // The config's own variables first: the rest of the file may use them.
  const own = configEnv(included.value.value, base);
  warnings.push(...own.warnings);
  const env = layered(base, own.vars);
  const { value: resolved, missing, isOver } = await substitute(included.value.value, env, pauses);
  if (isOver) {
    const { references, chars } = SUBSTITUTION_LIMITS;
    const message = `has more than ${references} references to variables, or they put more than ${chars} characters into it`;
    return problem('CONFIG_TOO_LARGE', `${paths.configPath} ${message}.`, 'Name a long variable once', {
      issues: [{ path: 'the file', message, guard: true }],
    });
  }
  await pauses.here();
  return judge({
    ...options,
    exists: true,
    raw,
    parsed: parsed.value,
    resolved: isRecord(resolved) ? resolved : {},
    missing,
    env,
    files,
    warnings,
  });
}

interface Gathered extends LoadOptions {
  readonly exists: boolean;
  readonly raw: string;
  readonly parsed: Tree;
  readonly resolved: Tree;
  readonly missing: readonly Missing[];
  readonly env: Env;
  readonly files: readonly string[];
  readonly warnings: readonly ConfigWarning[];
}

function judge(gathered: Gathered): Result<ConfigSnapshot, ConfigProblem> {
  const { paths, raw, parsed, resolved, missing } = gathered;
  const overlay = overlays(gathered);
  let tree: unknown = resolved;
  for (const { keys, value } of overlay.values) if (isOpenTo(tree, keys)) tree = withValue(tree, keys, value);
  if (isOpenTo(tree, ['gateway', 'port']) && valueAt(tree, ['gateway', 'port']) === undefined)
    tree = withValue(tree, ['gateway', 'port'], paths.defaultPort);

  const read = readConfig(tree);
  const issues = [...overlay.issues, ...read.issues];
  const warnings = [...gathered.warnings, ...read.warnings, ...missing.map(unsetWarning)];
  if (read.config.env.shellEnv.enabled) {
    warnings.push({
      code: 'NOT_USED',
      path: 'env.shellEnv.enabled',
      message: 'is not used by this version: put the variables into the .env file of the state dir',
      guard: false,
    });
  }

  const origins = new Map<string, ValueSource>(overlay.values.map(({ name, source }) => [name, source]));
  const snapshot: ConfigSnapshot = Object.freeze({
    generation: gathered.generation ?? 1,
    paths,
    exists: gathered.exists,
    config: deepFreeze(read.config),
    raw,
    parsed: deepFreeze(parsed),
    resolved: deepFreeze(resolved),
    // Asked for by few callers, and crypto is not free to load.
    get hash() {
      return hashOf(raw);
    },
    issues: [],
    warnings,
    unresolved: missing,
    env: gathered.env,
    files: gathered.files,
    sourceOf(name: string): ValueSource {
      const keys = parsePath(name);
      return origins.get(name) ?? (keys.ok && valueAt(resolved, keys.value) !== undefined ? 'file' : 'default');
    },
  });
  if (issues.length === 0) return ok(snapshot);

  const [first] = issues;
  const more = issues.length === 1 ? '' : ` (and ${issues.length - 1} more)`;
  return err({
    code: 'CONFIG_INVALID',
    message: `${paths.configPath}: ${first?.path} ${first?.message}${more}.`,
    fix: first?.fix ?? 'openclaw config validate',
    file: paths.configPath,
    paths,
    issues,
    warnings,
    raw,
    parsed,
    get hash() {
      return hashOf(raw);
    },
    ...(issues.some((issue) => issue.guard) ? {} : { usable: snapshot }),
  });
}

/** Whether nothing but objects, or nothing at all, stands on the way: a text there is wrong, and must not be written over unseen. */
const isOpenTo = (tree: unknown, keys: readonly string[]): boolean =>
  keys.every((_, i) => {
    const above = valueAt(tree, keys.slice(0, i));
    return above === undefined || isRecord(above);
  });

const unsetWarning = ({ path: at, name }: Missing): ConfigWarning => ({
  code: 'VARIABLE_UNSET',
  path: at,
  message: `refers to \${${name}}, which is not set; the text stays as it is`,
  fix: `Set ${name} in the environment or in the .env file of the state dir`,
  guard: parsedGuard(at),
});

function parsedGuard(name: string): boolean {
  const keys = parsePath(name);
  return keys.ok && optionAt(keys.value)?.guard === true;
}

interface Overlay {
  readonly name: string;
  readonly keys: readonly string[];
  readonly value: unknown;
  readonly source: 'flag' | 'env';
}

// Values that beat the file. A wrong one is an issue of its own, named as the person wrote it.
function overlays(gathered: Gathered): { values: Overlay[]; issues: ConfigIssue[] } {
  const values: Overlay[] = [];
  const issues: ConfigIssue[] = [];
  const add = (name: string, keys: KeyPath, given: unknown, source: 'flag' | 'env', shownAs: string): void => {
    const option = optionAt(keys);
    if (option === undefined) throw new Error(`no such option: ${name}`);
    const value = typeof given === 'string' ? fromText(option.spec, given) : given;
    const flaw = checkValue(option.spec, value);
    if (flaw === undefined) values.push({ name, keys: keys.map(String), value, source });
    else
      issues.push({
        path: shownAs,
        message: `must be ${expectation(option.spec)}; it is ${shown(option.spec, given)}`,
        guard: option.guard,
        fix: `For example ${example(option.spec, shownAs)}`,
      });
  };
  for (const { keys, spec } of specialOptions().env) {
    const text = spec.env === undefined ? undefined : envText(gathered.env, spec.env);
    const name = keys.join('.');
    if (text !== undefined && gathered.flags?.[name] === undefined) add(name, keys, text, 'env', spec.env ?? name);
  }
  for (const [name, given] of Object.entries(gathered.flags ?? {})) {
    const keys = parsePath(name);
    if (!keys.ok) throw new Error(`bad path of a flag: ${name}`);
    if (given !== undefined) add(name, keys.value, given, 'flag', optionAt(keys.value)?.spec.flag ?? name);
  }
  return { values, issues };
}

const example = (spec: Spec, name: string): string => {
  const value = spec.default ?? spec.values?.[0] ?? 'true';
  return name.startsWith('--') ? `${name} ${value}` : `${name}=${value}`;
};

function fromText(spec: Spec, text: string): unknown {
  const trimmed = text.trim();
  if ((spec.kind === 'integer' || spec.kind === 'number') && /^-?\d+(\.\d+)?$/.test(trimmed)) return Number(trimmed);
  if (spec.kind === 'boolean' && /^(1|true|yes|on)$/i.test(trimmed)) return true;
  if (spec.kind === 'boolean' && /^(0|false|no|off)$/i.test(trimmed)) return false;
  return spec.kind === 'enum' ? trimmed : text;
}

function modeWarnings(file: string, mode: number, uid: number): ConfigWarning[] {
  const own = process.getuid?.();
  if (own === undefined) return [];
  const warnings: ConfigWarning[] = [];
  if (uid !== own && uid !== 0)
    warnings.push({
      code: 'FILE_OWNER',
      path: file,
      message: `belongs to user ${uid}, who can change it`,
      fix: `sudo chown ${own} ${file}`,
      guard: true,
    });
  if ((mode & 0o022) !== 0)
    warnings.push({
      code: 'FILE_MODE',
      path: file,
      message: 'can be changed by other users of this machine',
      fix: `chmod 600 ${file}`,
      guard: true,
    });
  else if ((mode & 0o044) !== 0)
    warnings.push({
      code: 'FILE_MODE',
      path: file,
      message: 'can be read by other users of this machine',
      fix: `chmod 600 ${file}`,
      guard: true,
    });
  return warnings;
}

/** SHA-256 of a config text, hex. */
export const hashOf = (text: string): string => crypto().hash('sha256', text, 'hex');

/** The workspace of agents without one of their own, absolute. */
export function defaultWorkspace(snapshot: ConfigSnapshot): string {
  const configured = snapshot.config.agents.defaults.workspace?.trim();
  return configured ? configuredPath(configured, snapshot.paths) : snapshot.paths.workspace;
}

/** One line per issue, each with its fix on the next. */
export function issuesText(issues: readonly Pick<ConfigIssue, 'path' | 'message' | 'fix'>[]): string {
  return issues.map(({ path: at, message, fix }) => `${at} ${message}${fix === undefined ? '' : `\n  fix: ${fix}`}`).join('\n');
}

/** The problem as an error that ends a command. Exit code 1. */
export function problemError(problem: ConfigProblem): UserError {
  const [first] = problem.issues;
  return new UserError(
    problem.code,
    problem.issues.length > 1 ? `${problem.file} has wrong values:\n${issuesText(problem.issues)}` : problem.message,
    {
      fix: problem.fix,
      ...(first === undefined ? {} : { path: first.path }),
    },
  );
}
