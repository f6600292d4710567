import { editConfig } from '../../config/edit.ts';
import type { ConfigEdit } from '../../config/edit-text.ts';
import { getPath } from '../../config/get-path.ts';
import { parseJson5 } from '../../config/json5-text.ts';
import { parsePath } from '../../config/key-path.ts';
import { type ConfigProblem, issuesText, problemError } from '../../config/load.ts';
import { optionAt } from '../../config/lookup.ts';
import { redactTree } from '../../config/redact.ts';
import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
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
  if (path === undefined) {
    const shown = redactTree(config.resolved);
    out.result({ path: '', value: shown, file: config.paths.configPath, exists: config.exists });
    out.line(JSON.stringify(shown, undefined, 2));
    return EXIT.ok;
  }
  const found = getPath(config, path);
  if (!found.ok) throw usage(found.error, 'openclaw config get gateway.port');
  if (found.value === undefined) {
    throw new UserError('CONFIG_UNSET', `${path} is not set, and has no default.`, { fix: `openclaw config set ${path} <value>`, path });
  }
  const { shown, source, sensitive, doc } = found.value;
  out.result({ path, value: shown, source, sensitive, ...(doc === undefined ? {} : { doc }) });
  out.line(typeof shown === 'string' ? shown : JSON.stringify(shown, undefined, 2));
  return EXIT.ok;
};

/** `openclaw config set <path> <value>`. A text where the option takes one, else JSON5; checked before it is written. */
export const set: Run = async (context) => {
  const { args, flags, out } = context;
  const [path, given] = args;
  const source = flags.text('ref-source');
  if (path === undefined || (given === undefined && source === undefined))
    throw usage('a path and a value, please', 'openclaw config set gateway.port 28789');
  const value = source === undefined ? await valueFor(path, given ?? '', flags.on('strict-json')) : reference(context, source);
  if (typeof value === 'string' && isSecretPath(path)) {
    out.warn('a secret on the command line stays in your shell history; better: --ref-source env --ref-id NAME');
  }
  return edit(context, { op: 'set', path, value }, (changed) => `${path} is ${changed ? 'set' : 'set already'}.`);
};

/** `openclaw config unset <path>` */
export const unset: Run = async (context) => {
  const [path] = context.args;
  if (path === undefined) throw usage('which key?', 'openclaw config get');
  return edit(context, { op: 'unset', path }, () => `${path} is taken out.`);
};

async function edit(context: Context, change: ConfigEdit, done: (changed: boolean) => string): Promise<number> {
  const { out, paths, env, flags } = context;
  const dryRun = flags.on('dry-run');
  const edited = await editConfig({ paths, env: env.vars }, [change], { dryRun });
  if (!edited.ok) throw edited.error;
  const { file: where, changed, result } = edited.value;
  out.result({ path: String(change.path), changed, dryRun, file: where });
  out.line(dryRun ? `It would be valid. Nothing was written.` : `${done(changed)} (${where})`);
  if (!result.ok) out.warn(`the file is still wrong elsewhere: ${result.error.message}`);
  return EXIT.ok;
}

async function valueFor(path: string, given: string, strict: boolean): Promise<unknown> {
  const keys = parsePath(path);
  if (!keys.ok) throw usage(keys.error, 'openclaw config set gateway.port 28789');
  const kind = optionAt(keys.value)?.spec.kind;
  // A text option takes what was typed as it is: a token of digits is no number.
  if (!strict && (kind === 'string' || kind === 'enum' || (kind === 'secret' && !given.trimStart().startsWith('{')))) return given;
  const parsed = await parseJson5(given);
  if (parsed.ok) return parsed.value;
  if (strict) throw usage(`the value is not JSON5: ${parsed.error.message}`, `openclaw config set ${path} '"text"' --strict-json`);
  return given;
}

function reference({ flags }: Context, source: string): Record<string, string> {
  const id = flags.text('ref-id');
  if (id === undefined) throw usage('a reference needs --ref-id', '--ref-source env --ref-id OPENCLAW_GATEWAY_TOKEN');
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
    out.line(out.paint.green(loaded.value.exists ? `${paths.configPath} is valid.` : `There is no ${paths.configPath}: defaults apply.`));
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
