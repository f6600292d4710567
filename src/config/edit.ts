import { syncDir } from '../files/private-files.ts';
import { UserError } from '../lib/errors.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { crypto, fs, path } from './builtins.ts';
import { applyEdits, type ConfigEdit } from './edit-text.ts';
import type { Env } from './env.ts';
import { type KeyPath, parsePath } from './key-path.ts';
import { type ConfigProblem, type ConfigSnapshot, hashOf, loadConfig, MAX_CONFIG_BYTES, problemError } from './load.ts';
import { withConfigLock } from './lock.ts';
import type { Paths } from './paths.ts';
import { readTextFile } from './read-file.ts';
import { substitute } from './substitute.ts';
import { sameJson, valueAt } from './tree.ts';

export interface EditTarget {
  readonly paths: Paths;
  readonly env: Env;
}

export interface EditOptions {
  /** The hash of the text that the change was made against; another one on disk refuses it. */
  readonly baseHash?: string;
  /** Refuse a change of an existing file that names no hash (`config.set` of remote clients). */
  readonly requireBaseHash?: boolean;
  /** Judge everything, write nothing. */
  readonly dryRun?: boolean;
}

export interface EditOutcome {
  /** The file that was written: the target, where the config is a symlink. */
  readonly file: string;
  readonly raw: string;
  readonly hash: string;
  /** false: the text was already so. */
  readonly changed: boolean;
  /** What holds now, or why the file is still wrong elsewhere: it was so before, and the edit did not add to it. */
  readonly result: Result<ConfigSnapshot, ConfigProblem>;
}

export type EditErrorCode =
  | 'CONFIG_MANAGED'
  | 'CONFIG_LOCKED'
  | 'CONFIG_CHANGED'
  | 'CONFIG_HASH_REQUIRED'
  | 'CONFIG_UNREADABLE'
  | 'CONFIG_INVALID'
  | 'CONFIG_INCLUDED'
  | 'CONFIG_EDIT'
  | 'CONFIG_WRITE';

/** Why nothing was written. */
export class EditError extends UserError {
  declare readonly code: EditErrorCode;
  /** The whole finding, for CONFIG_INVALID. */
  readonly problem: ConfigProblem | undefined;
  constructor(
    code: EditErrorCode,
    message: string,
    options: { fix?: string; path?: string; cause?: unknown; problem?: ConfigProblem } = {},
  ) {
    super(code, message, options);
    this.problem = options.problem;
  }
}

/**
 * Changes keys of the config file. All of it or nothing: the whole result is judged first, then replaces the file in one
 * step (temporary file, fsync, rename), 0600. Comments stay.
 */
export function editConfig(
  target: EditTarget,
  edits: readonly ConfigEdit[],
  options: EditOptions = {},
): Promise<Result<EditOutcome, EditError>> {
  return change(target, options, edits, async (raw) => {
    const text = await applyEdits(raw, edits);
    if (text.ok) return text;
    const { code, path: at, message } = text.error;
    return err(
      new EditError('CONFIG_EDIT', `${at} ${message}.`, {
        path: at,
        fix: code === 'EDIT_ABSENT' ? 'openclaw config get' : 'openclaw config file',
      }),
    );
  });
}

/** Replaces the whole text of the config file, by the same rules. */
export function writeConfig(target: EditTarget, text: string, options: EditOptions = {}): Promise<Result<EditOutcome, EditError>> {
  return change(target, options, [], async () => ok(text));
}

/**
 * Changes the text by a function, which may run again: an editor that takes no lock may have written meanwhile, and its
 * text is never overwritten unseen.
 */
export async function change(
  target: EditTarget,
  options: EditOptions,
  edits: readonly ConfigEdit[],
  rewrite: (raw: string) => Promise<Result<string, EditError>>,
): Promise<Result<EditOutcome, EditError>> {
  const { paths, env } = target;
  if (env['OPENCLAW_NIX_MODE'] === '1') {
    return err(
      new EditError('CONFIG_MANAGED', `${paths.configPath} is managed elsewhere (OPENCLAW_NIX_MODE=1) and is not written from here.`, {
        fix: 'Change it where it is managed',
      }),
    );
  }
  try {
    const done = await withConfigLock(paths, () => attempt(target, options, edits, rewrite, 5));
    return (
      done ?? err(new EditError('CONFIG_LOCKED', 'Another process has been changing the config for 10 seconds.', { fix: 'Try again' }))
    );
  } catch (thrown) {
    if (thrown instanceof EditError) return err(thrown);
    if (thrown instanceof UserError)
      return err(
        new EditError('CONFIG_WRITE', thrown.message, { cause: thrown, ...(thrown.fix === undefined ? {} : { fix: thrown.fix }) }),
      );
    const code = (thrown as NodeJS.ErrnoException).code;
    // No error of the system means a bug of ours.
    if (typeof code !== 'string') throw thrown;
    return err(
      new EditError('CONFIG_WRITE', `${paths.configPath} cannot be written (${code}).`, {
        cause: thrown,
        fix: `ls -ld ${path.dirname(paths.configPath)}`,
      }),
    );
  }
}

async function attempt(
  target: EditTarget,
  options: EditOptions,
  edits: readonly ConfigEdit[],
  rewrite: (raw: string) => Promise<Result<string, EditError>>,
  tries: number,
): Promise<Result<EditOutcome, EditError>> {
  const { paths, env } = target;
  const file = realTarget(paths.configPath);
  const before = currentText(file);
  if (!before.ok) return before;
  const hash = hashOf(before.value ?? '');
  if (options.baseHash !== undefined && options.baseHash !== hash) return err(changedError(paths));
  if (options.requireBaseHash && options.baseHash === undefined && before.value !== undefined) {
    return err(
      new EditError('CONFIG_HASH_REQUIRED', 'The base hash is required: the config exists already.', {
        fix: 'Read it again (config.get) and send its hash',
      }),
    );
  }

  const text = await rewrite(before.value ?? '');
  if (!text.ok) return text;
  const result = await loadConfig({ paths, env, text: text.value });
  if (!result.ok) {
    const old = before.value === undefined ? undefined : await loadConfig({ paths, env, text: before.value });
    const known = new Set(old?.ok === false ? old.error.issues.map((issue) => `${issue.path}\n${issue.message}`) : []);
    // A file with several faults may be mended one by one, but no edit adds one.
    if (
      result.error.code !== 'CONFIG_INVALID' ||
      result.error.parsed === undefined ||
      result.error.issues.some((issue) => !known.has(`${issue.path}\n${issue.message}`))
    ) {
      const shown = problemError(result.error);
      return err(
        new EditError('CONFIG_INVALID', `Nothing was changed. ${shown.message}`, {
          problem: result.error,
          fix: result.error.fix,
          ...(shown.path === undefined ? {} : { path: shown.path }),
        }),
      );
    }
  } else {
    const foreign = await overruled(edits, result.value);
    if (foreign !== undefined) {
      return err(
        new EditError('CONFIG_INCLUDED', `${foreign} is set by an included file too, so the change would not hold.`, {
          path: foreign,
          fix: `Edit it there: ${result.value.files.filter((f) => f !== paths.configPath && f !== paths.dotenvPath).join(', ')}`,
        }),
      );
    }
  }

  const outcome: EditOutcome = { file, raw: text.value, hash: hashOf(text.value), changed: text.value !== before.value, result };
  if (!outcome.changed || options.dryRun) return ok(outcome);
  if (!replaceFile(file, text.value, before.value)) {
    if (options.baseHash !== undefined || tries <= 1) return err(changedError(paths));
    return attempt(target, options, edits, rewrite, tries - 1);
  }
  return ok(outcome);
}

const changedError = (paths: Paths): EditError =>
  new EditError('CONFIG_CHANGED', `${paths.configPath} has changed since it was read.`, { fix: 'Read it again and repeat the change' });

// The real file behind a symlink: people keep their config in a repository and link it here.
function realTarget(configPath: string): string {
  let stat: ReturnType<typeof fs.lstatSync>;
  try {
    stat = fs.lstatSync(configPath);
  } catch {
    return configPath;
  }
  if (!stat.isSymbolicLink()) return configPath;
  try {
    return fs.realpathSync(configPath);
  } catch {
    throw new EditError('CONFIG_UNREADABLE', `${configPath} is a symbolic link to a file that does not exist.`, {
      fix: `ls -l ${configPath}`,
    });
  }
}

function currentText(file: string): Result<string | undefined, EditError> {
  const read = readTextFile(file, MAX_CONFIG_BYTES);
  if (read.ok) return ok(read.value.text);
  if (read.error.kind === 'absent') return ok(undefined);
  return err(new EditError('CONFIG_UNREADABLE', `${file} ${read.error.message}.`, { fix: `ls -l ${file}` }));
}

// Values that an include overrules or adds to: the file says what was asked for, and the config does not.
async function overruled(edits: readonly ConfigEdit[], snapshot: ConfigSnapshot): Promise<string | undefined> {
  for (const edit of edits) {
    const keys = typeof edit.path === 'string' ? parsePath(edit.path) : ok(edit.path as KeyPath);
    if (!keys.ok || (edit.op === 'unset' && keys.value.some((key) => typeof key === 'number'))) continue;
    // Of several edits a later one may rightly undo an earlier: then the file itself disagrees, not an include.
    if (edit.op === 'set' && !sameJson(valueAt(snapshot.parsed, keys.value), edit.value)) continue;
    const wanted = edit.op === 'set' ? (await substitute(edit.value, snapshot.env)).value : undefined;
    if (edit.op === 'set' && mentionsInclude(edit.value)) continue;
    if (edit.op === 'unset' && valueAt(snapshot.parsed, keys.value) !== undefined) continue;
    if (!sameJson(valueAt(snapshot.resolved, keys.value), wanted)) return typeof edit.path === 'string' ? edit.path : edit.path.join('.');
  }
  return undefined;
}

const mentionsInclude = (value: unknown): boolean => JSON.stringify(value)?.includes('"$include"') ?? false;

/** @returns false when the file no longer holds `expected` */
function replaceFile(file: string, text: string, expected: string | undefined): boolean {
  const dir = path.dirname(file);
  fs.mkdirSync(dir, { recursive: true, mode: 0o700 });
  const temporary = path.join(dir, `.${path.basename(file)}.${process.pid}.${crypto().randomBytes(6).toString('hex')}.tmp`);
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = fs.constants;
  const fd = fs.openSync(temporary, O_WRONLY | O_CREAT | O_EXCL | (O_NOFOLLOW ?? 0), 0o600);
  try {
    try {
      fs.writeFileSync(fd, text);
      keepOwner(fd, file);
      fs.fsyncSync(fd);
    } finally {
      fs.closeSync(fd);
    }
    const now = currentText(file);
    if (!now.ok || now.value !== expected) return false;
    fs.renameSync(temporary, file);
  } finally {
    // Gone already when the rename succeeded.
    fs.rmSync(temporary, { force: true });
  }
  syncDir(dir);
  return true;
}

// `sudo openclaw config set` must not take the file away from the user whose gateway reads it.
function keepOwner(fd: number, file: string): void {
  if (process.getuid?.() !== 0) return;
  const stat = fs.statSync(file, { throwIfNoEntry: false }) ?? fs.statSync(path.dirname(file));
  if (stat.uid !== 0) fs.fchownSync(fd, stat.uid, stat.gid);
}
