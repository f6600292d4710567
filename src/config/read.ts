import { isRecord } from '../lib/json.ts';
import { shownUrl } from '../lib/shown-url.ts';
import { formatPath, type KeyPath } from './key-path.ts';
import { specialOptions } from './lookup.ts';
import { nearestName } from './near.ts';
import { CONFIG, type Config } from './options.ts';
import type { SecretInput, Spec } from './spec.ts';
import { hasPlaceholder } from './substitute.ts';
import { deepFreeze, valueAt, withValue } from './tree.ts';

/** A wrong value: the config as a whole does not count. */
export interface ConfigIssue {
  /** `gateway.port`, or where the value came from: `--port`, `OPENCLAW_GATEWAY_PORT`. */
  readonly path: string;
  /** Reads on after the path. */
  readonly message: string;
  readonly fix?: string;
  /** The value guards access, so nothing may run on a guess. */
  readonly guard: boolean;
}

/** Something that works and deserves a look. */
export interface ConfigWarning {
  readonly code:
    | 'UNKNOWN_KEY'
    | 'DEPRECATED'
    | 'ALIAS_CONFLICT'
    | 'VARIABLE_UNSET'
    | 'FILE_MODE'
    | 'FILE_OWNER'
    | 'DOTENV'
    | 'ENV_IGNORED'
    | 'NOT_USED';
  readonly path: string;
  readonly message: string;
  readonly fix?: string;
  /** It stands among values that guard access. */
  readonly guard: boolean;
}

export interface ReadConfig {
  /** Every wrong value replaced by its default. Only to be used where there are no issues, or none that guards access. */
  readonly config: Config;
  readonly issues: readonly ConfigIssue[];
  readonly warnings: readonly ConfigWarning[];
}

/**
 * Reads a tree (includes and variables already in) against the option table: types, values, unknown keys, defaults.
 * Total: any tree gives an answer.
 */
export function readConfig(tree: unknown): ReadConfig {
  const reader = new Reader();
  const config = reader.read(CONFIG, withAliases(tree, reader.warnings), [], false) as Config;
  return { config, issues: reader.issues, warnings: reader.warnings };
}

/** What is wrong with one value of one option, for values that come from elsewhere than the file. */
export function checkValue(spec: Spec, value: unknown): Omit<ConfigIssue, 'path' | 'guard'> | undefined {
  const reader = new Reader();
  reader.read(spec, value, [], spec.guard === true);
  return reader.issues[0];
}

/** What an option holds when the file says nothing. Frozen: most of every config is this, and shared. */
function defaultsOf(spec: Spec): unknown {
  if (spec.kind === 'map') return NOTHING;
  if (spec.kind !== 'object' || spec.optional) return spec.default;
  let made = madeDefaults.get(spec);
  if (made === undefined) {
    const values: Record<string, unknown> = {};
    for (const key in spec.fields) values[key] = defaultsOf(spec.fields[key] as Spec);
    made = deepFreeze(values);
    madeDefaults.set(spec, made);
  }
  return made;
}
const NOTHING = Object.freeze({});
const madeDefaults = new Map<Spec, unknown>();

/** Of each, as many are told one by one: nobody reads on, and each costs a comparison with every name that is known. */
const MAX_TOLD = 100;

class Reader {
  readonly issues: ConfigIssue[] = [];
  readonly warnings: ConfigWarning[] = [];

  /** What was found beyond the bound is told as one; that one of them guards access is never lost. */
  #tell<T extends { readonly path: string; readonly message: string; readonly guard: boolean }>(list: T[], one: T): void {
    if (list.length < MAX_TOLD) list.push(one);
    else {
      const last = list[MAX_TOLD];
      if (last === undefined) list.push({ ...one, message: `${one.message} (and more of the kind)` });
      else if (one.guard && !last.guard) list[MAX_TOLD] = { ...last, guard: true };
    }
  }

  read(spec: Spec, value: unknown, keys: KeyPath, guarded: boolean): unknown {
    const guard = guarded || spec.guard === true;
    if (value !== undefined && spec.deprecated !== undefined && value !== spec.default) {
      this.#tell<ConfigWarning>(this.warnings, {
        code: 'DEPRECATED',
        path: formatPath(keys),
        message: `is of an older version: ${spec.deprecated}`,
        guard,
      });
    }
    switch (spec.kind) {
      case 'object':
        return this.readObject(spec, value, keys, guard);
      case 'map':
        if (value === undefined) return {};
        if (!isRecord(value)) return this.wrong(spec, value, keys, guard, 'must be an object', {});
        return Object.fromEntries(
          Object.entries(value).map(([name, item]) => [name, this.read(spec.of ?? spec, item, [...keys, name], guard)]),
        );
      case 'list':
        if (value === undefined) return spec.default;
        if (!Array.isArray(value)) return this.wrong(spec, value, keys, guard, 'must be a list', spec.default);
        return value.map((item, i) => {
          if (item !== undefined && item !== null) return this.read(spec.of ?? spec, item, [...keys, i], guard);
          return this.wrong(spec.of ?? spec, item, [...keys, i], guard, 'must have a value', undefined);
        });
      case 'open':
        if (value !== undefined && !isRecord(value)) return this.wrong(spec, value, keys, guard, 'must be an object', undefined);
        return value;
      case 'either':
        return this.readEither(spec, value, keys, guard);
      default:
        return this.readLeaf(spec, value, keys, guard);
    }
  }

  private readObject(spec: Spec, value: unknown, keys: KeyPath, guard: boolean): unknown {
    const fields = spec.fields ?? {};
    if (value === undefined && spec.optional) return undefined;
    if (value !== undefined && !isRecord(value))
      return this.wrong(spec, value, keys, guard, 'must be an object', this.read(spec, spec.optional ? undefined : {}, keys, guard));
    const given = value ?? {};
    const result: Record<string, unknown> = {};
    for (const key in fields) {
      const field = fields[key] as Spec;
      result[key] = Object.hasOwn(given, key) ? this.read(field, given[key], [...keys, key], guard) : defaultsOf(field);
    }
    for (const key of Object.keys(given)) {
      if (Object.hasOwn(fields, key)) continue;
      if (spec.rest !== undefined) result[key] = this.read(spec.rest, given[key], [...keys, key], guard);
      else this.unknown(key, Object.keys(fields), keys, guard);
    }
    return result;
  }

  private unknown(key: string, names: readonly string[], keys: KeyPath, guard: boolean): void {
    const near = this.warnings.length < MAX_TOLD ? nearestName(key, names) : undefined;
    this.#tell<ConfigWarning>(this.warnings, {
      code: 'UNKNOWN_KEY',
      path: formatPath([...keys, key]),
      message: near === undefined ? 'is not known to this version and is ignored' : `is not known and is ignored; did you mean "${near}"?`,
      ...(near === undefined ? {} : { fix: `Rename it to ${formatPath([...keys, near])}` }),
      guard,
    });
  }

  private readEither(spec: Spec, value: unknown, keys: KeyPath, guard: boolean): unknown {
    if (value === undefined) return undefined;
    const attempts = (spec.choices ?? []).map((choice) => {
      const reader = new Reader();
      return { result: reader.read(choice, value, keys, guard), reader, choice };
    });
    // A value of the right kind with a fault in it is told of that fault, not that it could have been something else.
    const best =
      attempts.find(({ reader }) => reader.issues.length === 0) ??
      attempts.find(({ choice }) => choice.kind === 'object' && isRecord(value));
    if (best === undefined) {
      const kinds = (spec.choices ?? []).map(expectation);
      return this.wrong(spec, value, keys, guard, `must be ${kinds.join(', or ')}`, undefined);
    }
    for (const issue of best.reader.issues) this.#tell(this.issues, issue);
    for (const warning of best.reader.warnings) this.#tell(this.warnings, warning);
    return best.result;
  }

  private readLeaf(spec: Spec, value: unknown, keys: KeyPath, guard: boolean): unknown {
    if (value === undefined) return spec.default;
    if (!isRightType(spec, value)) return this.wrong(spec, value, keys, guard, `must be ${expectation(spec)}`, spec.default);
    const complaint = (spec.check as ((value: unknown) => { message: string; fix?: string } | undefined) | undefined)?.(value);
    if (complaint !== undefined)
      return this.wrong({ ...spec, hint: (v) => spec.hint?.(v) ?? complaint.fix }, value, keys, guard, complaint.message, spec.default);
    return spec.tidy === undefined ? value : (spec.tidy as (value: unknown) => unknown)(value);
  }

  private wrong<T>(spec: Spec, value: unknown, keys: KeyPath, guard: boolean, message: string, instead: T): T {
    const fix = fixFor(spec, value, keys);
    this.#tell(this.issues, {
      path: formatPath(keys) || 'the file',
      message: `${message}; it is ${shown(spec, value)}`,
      ...(fix === undefined ? {} : { fix }),
      guard,
    });
    return instead;
  }
}

const PROVIDER_NAME = /^[a-z][a-z0-9_-]{0,63}$/;
const REF_ID = {
  env: /^[A-Z][A-Z0-9_]{0,127}$/,
  file: /^(value|(\/([^~/]|~[01])*)+)$/,
  exec: /^(?!.*(^|\/)\.{1,2}(\/|$))[A-Za-z0-9][A-Za-z0-9._:/-]{0,255}$/,
} as const;

/** Whether a value has the shape of a secret: a text, or `{source, provider?, id}` with sound names. */
export function isSecretInput(value: unknown): value is SecretInput {
  if (typeof value === 'string') return true;
  if (!isRecord(value)) return false;
  const { source, provider, id } = value;
  if (source !== 'env' && source !== 'file' && source !== 'exec') return false;
  if (provider !== undefined && (typeof provider !== 'string' || !PROVIDER_NAME.test(provider))) return false;
  return typeof id === 'string' && REF_ID[source].test(id);
}

function isRightType(spec: Spec, value: unknown): boolean {
  switch (spec.kind) {
    case 'boolean':
      return typeof value === 'boolean';
    case 'integer':
      return Number.isSafeInteger(value) && inRange(spec, value as number);
    case 'number':
      return typeof value === 'number' && Number.isFinite(value) && inRange(spec, value);
    case 'string':
      return typeof value === 'string' && !value.includes('\0');
    case 'enum':
      return typeof value === 'string' && (spec.values ?? []).includes(value);
    case 'secret':
      return isSecretInput(value);
    default:
      return false;
  }
}

const inRange = (spec: Spec, value: number): boolean =>
  value >= (spec.min ?? Number.NEGATIVE_INFINITY) && value <= (spec.max ?? Number.POSITIVE_INFINITY);

/** What an option takes, in words: `a whole number from 1 to 65535`, `one of "off", "serve", "funnel"`. */
export function expectation(spec: Spec): string {
  switch (spec.kind) {
    case 'boolean':
      return 'true or false';
    case 'integer':
    case 'number': {
      const name = spec.kind === 'integer' ? 'a whole number' : 'a number';
      if (spec.min !== undefined && spec.max !== undefined) return `${name} from ${spec.min} to ${spec.max}`;
      return spec.min === undefined ? name : `${name} of at least ${spec.min}`;
    }
    case 'string':
      return 'a text';
    case 'enum':
      return `one of ${(spec.values ?? []).map((value) => `"${value}"`).join(', ')}`;
    case 'secret':
      return 'a text or a reference {source: "env" | "file", provider?, id}';
    case 'list':
      return 'a list';
    case 'either':
      return (spec.choices ?? []).map(expectation).join(', or ');
    default:
      return 'an object';
  }
}

function fixFor(spec: Spec, value: unknown, keys: KeyPath): string | undefined {
  const path = formatPath(keys);
  const hint = spec.hint?.(value);
  if (hint !== undefined) return hint;
  if (typeof value === 'string') {
    const text = value.trim();
    if (hasPlaceholder(value) && spec.sensitive !== true)
      return `Set ${/\$\{([A-Z_][A-Z0-9_]{0,255})\}/.exec(value)?.[1]} in the environment or in the .env file of the state dir, or write the value itself`;
    if ((spec.kind === 'integer' || spec.kind === 'number') && isNearMiss(spec, text) && isRightType(spec, Number(text)))
      return `Without quotes: ${path}: ${Number(text)}`;
    if (spec.kind === 'boolean' && /^(true|false)$/i.test(text)) return `Without quotes: ${path}: ${text.toLowerCase()}`;
    if (spec.kind === 'enum') {
      const near = (spec.values ?? []).find((name) => name === text.toLowerCase()) ?? nearestName(text, spec.values ?? []);
      if (near !== undefined) return `${path}: "${near}"`;
    }
    if (spec.kind === 'list')
      return `In brackets: ${path}: [${!spec.sensitive && isNearMiss(spec, value) ? JSON.stringify(value) : '"…"'}]`;
  }
  if (value === null && path !== '') return `Remove it: openclaw config unset ${quoteForShell(path)}`;
  if (spec.kind === 'string' && typeof value === 'number') return `In quotes: ${path}: "${value}"`;
  if (spec.kind === 'enum') return `${path}: "${spec.default ?? spec.values?.[0] ?? ''}"`;
  return path === '' ? undefined : `Correct it, or take it out: openclaw config unset ${quoteForShell(path)}`;
}

const quoteForShell = (text: string): string => (/^[A-Za-z0-9_.@%+=:,/-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`);

/**
 * The value as it stands in messages: short, on one line, and never a secret. A text that is no near miss of what belongs there is not
 * repeated: it may be a secret in the wrong place. Its type says what is wrong with it.
 */
export function shown(spec: Spec, value: unknown): string {
  if (value === null) return 'null';
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value === 'object') return 'an object';
  if (spec.sensitive) return `a ${typeof value} (not shown)`;
  if (typeof value !== 'string') return String(value);
  if (value.includes('://')) return `the URL ${shownUrl(value)}`;
  return isNearMiss(spec, value) ? JSON.stringify(value) : value.trim() === '' ? 'blank' : 'a text';
}

function isNearMiss(spec: Spec, value: string): boolean {
  const text = value.trim();
  if (text.length > 40) return false;
  if (/^\$\{[A-Z_][A-Z0-9_]{0,63}\}$/.test(text) || /^(true|false|null|on|off|yes|no)$/i.test(text)) return true;
  // A number or an address, by their looks; longer ones may be anything.
  if (/^-?\d{1,9}(\.\d{1,3})?$/.test(text) || /^\d{1,3}(\.\d{1,3}){3}(\/\d{1,2})?$/.test(text)) return true;
  return spec.kind === 'enum' && (nearestName(text, spec.values ?? []) !== undefined || spec.hint?.(value) !== undefined);
}

/** Whether a text is what an option takes, so that it was meant for this place. */
export function isRightText(spec: Spec, text: string): boolean {
  switch (spec.kind) {
    case 'string':
      return (spec.check as ((value: string) => unknown) | undefined)?.(text) === undefined;
    case 'either':
      return (spec.choices ?? []).some((choice) => isRightText(choice, text));
    default:
      return isRightType(spec, text);
  }
}

// ---- keys of other versions ----------------------------------------------------------------------------------------

function withAliases(tree: unknown, warnings: ConfigWarning[]): unknown {
  let result = tree;
  for (const { keys: from, target: to } of specialOptions().aliases) {
    const value = valueAt(tree, from);
    if (value === undefined) continue;
    if (valueAt(tree, to) === undefined) result = withValue(result, to, value);
    else
      warnings.push({
        code: 'ALIAS_CONFLICT',
        path: formatPath(from),
        message: `is ignored: ${formatPath(to)} is set too, and it counts`,
        guard: true,
      });
  }
  return result;
}
