import { announcedPort } from '../../config/announced-port.ts';
import { reloadPlan } from '../../config/changes.ts';
import { redactorFor } from '../../config/config-view.ts';
import { editConfig } from '../../config/edit.ts';
import type { ConfigEdit } from '../../config/edit-text.ts';
import { getPath } from '../../config/get-path.ts';
import { parseJson5 } from '../../config/json5-text.ts';
import { parsePath } from '../../config/key-path.ts';
import { type ConfigProblem, type ConfigSnapshot, issuesText, problemError } from '../../config/load.ts';
import { optionAt, reloadAt } from '../../config/lookup.ts';
import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
import { ok } from '../../lib/result.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { usableConfig } from '../target.ts';
import { usage } from '../usage.ts';

/** `openclaw config get [path]`: what holds, wherever it comes from. Secrets are replaced. */
export const get: Run = async (context) => {
  const { args, out } = context;
  const [path] = args;
  const config = await usableConfig(context);
  const redactor = await redactorFor(ok(config));
  if (path === undefined) {
    const shown = redactor.tree(config.resolved);
    out.result({ path: '', value: shown, file: config.paths.configPath, exists: config.exists });
    out.line(JSON.stringify(shown, undefined, 2));
    return EXIT.ok;
  }
  const found = getPath(config, path, redactor);
  if (!found.ok) throw usage(found.error, 'openclaw config get gateway.port');
  if (found.value === undefined) {
    throw new UserError('CONFIG_UNSET', out.text.configUnset(path), {
      fix: `openclaw config set ${path} ${isSecretPath(path) ? '-' : '<value>'}`,
      path,
    });
  }
  const { shown, source, sensitive, doc } = found.value;
  out.result({ path, value: shown, source, sensitive, ...(doc === undefined ? {} : { doc }) });
  out.line(typeof shown === 'string' ? shown : JSON.stringify(shown, undefined, 2));
  return EXIT.ok;
};

/**
 * `openclaw config set <path> <value>`. A text where the option takes one, else JSON5; checked before it is written. The value `-` is asked
 * for on a terminal and read from stdin in a pipe: a secret that is an argument stays in the shell's history and shows in `ps`.
 */
export const set: Run = async (context) => {
  const { args, flags, out } = context;
  const [path, given] = args;
  const source = flags.text('ref-source');
  if (path === undefined || (given === undefined && source === undefined))
    throw usage(out.text.pathAndValue, 'openclaw config set gateway.port 28789');
  const typed = given === '-' ? await askedFor(context, path) : (given ?? '');
  const value = source === undefined ? await valueFor(context, path, typed, flags.on('strict-json')) : reference(context, source);
  if (typeof value === 'string' && given !== '-' && isSecretPath(path)) out.warn(out.text.secretInHistory(`openclaw config set ${path} -`));
  return edit(context, { op: 'set', path, value }, (changed) => (changed ? out.text.configSet(path) : out.text.configSame(path)));
};

/** `openclaw config unset <path>` */
export const unset: Run = async (context) => {
  const [path] = context.args;
  const { text: t } = context.out;
  if (path === undefined) throw usage(t.whichKey, 'openclaw config get');
  return edit(context, { op: 'unset', path }, () => t.configTakenOut(path));
};

async function edit(context: Context, change: ConfigEdit, done: (changed: boolean) => string): Promise<number> {
  const { out, paths, env, flags } = context;
  const dryRun = flags.on('dry-run');
  const edited = await editConfig({ paths, env: env.vars }, [change], { dryRun });
  if (!edited.ok) throw refusedEdit(edited.error, change);
  const { file: where, changed, result } = edited.value;
  const path = String(change.path);
  const isUnknown = change.op === 'set' && result.ok && result.value.warnings.some((warning) => isWithin(path, warning.path));
  out.result({ path, changed, dryRun, file: where, ...(isUnknown ? { unknown: true } : {}) });
  out.line(dryRun ? out.text.wouldBeValid : `${done(changed)} (${where})`);
  if (isUnknown) out.warn(out.text.configUnknown(path));
  else if (changed && !dryRun && result.ok) sayWhatFollows(context, result.value, change);
  if (!result.ok) out.warn(out.text.stillWrong(result.error.message));
  return EXIT.ok;
}

/** What a gateway that runs does about it. */
function sayWhatFollows({ out, paths }: Context, { config: { gateway } }: ConfigSnapshot, change: ConfigEdit): void {
  const keys = parsePath(String(change.path));
  if (!keys.ok || gateway.mode === 'remote' || announcedPort(paths) === undefined) return;
  const { action, ignored } = reloadPlan([{ path: String(change.path), reload: reloadAt(keys.value) }], gateway.reload.mode);
  if (ignored.length > 0) out.line(out.todo(out.text.next, 'openclaw gateway restart'));
  else if (action === 'restart') out.line(out.paint.dim(out.text.restartsForIt));
}

const isWithin = (path: string, top: string): boolean =>
  top !== '' && (path === top || path.startsWith(`${top}.`) || path.startsWith(`${top}[`));

/** Nothing was written, so there is nothing to take out again: the fix is a value that is taken. */
function refusedEdit(error: UserError, change: ConfigEdit): UserError {
  const path = String(change.path);
  if (change.op !== 'set' || error.path === undefined || !isWithin(path, error.path)) return error;
  const keys = parsePath(path);
  const spec = keys.ok ? optionAt(keys.value)?.spec : undefined;
  const sample = spec !== undefined && 'default' in spec ? spec.default : undefined;
  const isShown = typeof sample === 'string' || typeof sample === 'number' || typeof sample === 'boolean';
  return new UserError(error.code, error.message, {
    path: error.path,
    fix: isShown ? `openclaw config set ${path} ${sample}` : 'openclaw config schema',
  });
}

/** The value that `-` stands for. On a terminal it is asked for, unseen where it is a secret. */
async function askedFor({ env, out }: Context, path: string): Promise<string> {
  if (!env.stdin.isTTY) {
    for await (const line of env.stdin.lines()) return line;
    throw usage(out.text.stdinEmpty, `openclaw config set ${path} - < file`);
  }
  out.prompt(`${path}: `);
  if (!isSecretPath(path)) {
    for await (const line of env.stdin.lines()) return line;
    throw new UserError('INTERRUPTED', out.text.interrupted, { exitCode: EXIT.interrupted });
  }
  const { readUnseen } = await import('../read-unseen.ts');
  const value = await readUnseen(env.stdin);
  out.note('');
  if (value === undefined) throw new UserError('INTERRUPTED', out.text.interrupted, { exitCode: EXIT.interrupted });
  if (value.trim() === '') throw new UserError('NOT_CONFIRMED', out.text.nothingDone, { fix: `openclaw config set ${path} -` });
  return value.trim();
}

async function valueFor({ out }: Context, path: string, given: string, strict: boolean): Promise<unknown> {
  const keys = parsePath(path);
  if (!keys.ok) throw usage(keys.error, 'openclaw config set gateway.port 28789');
  const kind = optionAt(keys.value)?.spec.kind;
  // A text option takes what was typed as it is: a token of digits is no number.
  if (!strict && (kind === 'string' || kind === 'enum' || (kind === 'secret' && !given.trimStart().startsWith('{')))) return given;
  const parsed = await parseJson5(given);
  if (parsed.ok) return parsed.value;
  if (strict) throw usage(out.text.notJson5(parsed.error.message), `openclaw config set ${path} '"text"' --strict-json`);
  return given;
}

function reference({ flags, out, args }: Context, source: string): Record<string, string> {
  const id = flags.text('ref-id');
  if (id === undefined)
    throw usage(
      out.text.needsRefId,
      `openclaw config set ${args[0] ?? 'gateway.auth.token'} --ref-source ${source} --ref-id OPENCLAW_GATEWAY_TOKEN`,
    );
  return { source, provider: flags.text('ref-provider') ?? 'default', id };
}

function isSecretPath(path: string): boolean {
  const keys = parsePath(path);
  return keys.ok && optionAt(keys.value)?.spec.sensitive === true;
}

/** `openclaw config file` */
export const file: Run = async ({ out, paths }) => {
  const exists = process.getBuiltinModule('node:fs').existsSync(paths.configPath);
  out.result({ path: paths.configPath, exists });
  out.line(paths.configPath);
  return EXIT.ok;
};

/** `openclaw config validate`: exit 1 with every wrong value, its place and its fix. */
export const validate: Run = async ({ config, out, paths }) => {
  const loaded = await config();
  const warnings = loaded.ok ? loaded.value.warnings : loaded.error.warnings;
  const shownWarnings = warnings.map(({ code, path, message, fix }) => ({ code, path, message, ...(fix === undefined ? {} : { fix }) }));
  if (loaded.ok) {
    out.result({ valid: true, path: paths.configPath, exists: loaded.value.exists, issues: [], warnings: shownWarnings });
    out.line(out.paint.green(loaded.value.exists ? out.text.configValid(paths.configPath) : out.text.configNone(paths.configPath)));
    if (warnings.length > 0) out.line(issuesText(warnings.map((warning) => ({ ...warning, path: `${out.text.warning} ${warning.path}` }))));
    return EXIT.ok;
  }
  const problem: ConfigProblem = loaded.error;
  const issues = problem.issues.map(({ path, message, fix }) => ({ path, message, ...(fix === undefined ? {} : { fix }) }));
  if (out.json)
    out.badResult({
      valid: false,
      path: paths.configPath,
      issues,
      warnings: shownWarnings,
      error: { code: problem.code, message: problem.message, fix: problem.fix },
    });
  else {
    out.failure(problemError(problem));
    if (warnings.length > 0) out.note(issuesText(warnings));
  }
  return EXIT.failure;
};

/** `openclaw config schema`: JSON Schema on stdout, with and without `--json`: it is JSON already. */
export const schema: Run = async ({ out }) => {
  const { jsonSchema } = await import('../../config/schema.ts');
  const value: unknown = jsonSchema();
  out.verbatim(`${JSON.stringify(isRecord(value) ? value : {}, undefined, 2)}\n`);
  return EXIT.ok;
};
