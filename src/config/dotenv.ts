import { isRecord } from '../lib/json.ts';
import type { Env } from './env.ts';
import type { ConfigWarning } from './read.ts';
import { readTextFile } from './read-file.ts';
import { SubstitutionBudget, substituteText } from './substitute.ts';

const MAX_DOTENV_BYTES = 256 * 1024;
const NAME = /^[A-Za-z_][A-Za-z0-9_]*$/;

// Variables that make a program load code or look elsewhere for it. A file that holds settings has no business with them.
const STEERING =
  /^(NODE_OPTIONS|NODE_PATH|NODE_EXTRA_CA_CERTS|NODE_TLS_REJECT_UNAUTHORIZED|PATH|SHELL|BASH_ENV|ENV|LD_.*|DYLD_.*|OPENCLAW_(HOME|STATE_DIR|CONFIG_PATH|PROFILE))$/;

/** Variables of a file, and what is to be said about it. */
export interface FileEnv {
  readonly vars: Env;
  readonly warnings: readonly ConfigWarning[];
  readonly exists: boolean;
}

const warning = (path: string, message: string, fix?: string): ConfigWarning => ({
  code: 'DOTENV',
  path,
  message,
  ...(fix === undefined ? {} : { fix }),
  guard: true,
});

/** Reads `<state>/.env`. A file that cannot be used gives no variables and a warning. The working directory's is never looked at. */
export function readDotenv(file: string): FileEnv {
  const read = readTextFile(file, MAX_DOTENV_BYTES);
  if (!read.ok) {
    if (read.error.kind === 'absent') return { vars: {}, warnings: [], exists: false };
    return { vars: {}, warnings: [warning(file, `${read.error.message}; none of its variables are set`)], exists: true };
  }
  const warnings: ConfigWarning[] = [];
  if (process.platform !== 'win32' && (read.value.mode & 0o077) !== 0) {
    warnings.push(warning(file, 'can be read or changed by other users of this machine', `chmod 600 ${file}`));
  }
  const { vars, ignored } = admit(process.getBuiltinModule('node:util').parseEnv(read.value.text.replace(/^\uFEFF/, '')));
  for (const name of ignored) warnings.push(warning(file, `sets ${name}, which is only taken from the real environment`));
  return { vars, warnings, exists: true };
}

/** Variables of the config itself: `env.vars.NAME` and `env.NAME`. They may refer to variables that are set elsewhere. */
export function configEnv(tree: unknown, env: Env): { readonly vars: Env; readonly warnings: readonly ConfigWarning[] } {
  const block = isRecord(tree) ? tree['env'] : undefined;
  if (!isRecord(block)) return { vars: {}, warnings: [] };
  const given = { ...block, ...(isRecord(block['vars']) ? block['vars'] : {}) };
  const texts = Object.entries(given).filter((entry): entry is [string, string] => typeof entry[1] === 'string');
  const budget = new SubstitutionBudget();
  const { vars, ignored } = admit(Object.fromEntries(texts.map(([name, text]) => [name, substituteText(text, env, () => {}, budget)])));
  return {
    vars,
    warnings: ignored.map((name) => ({
      code: 'ENV_IGNORED',
      path: `env.${name}`,
      message: 'is only taken from the real environment',
      guard: true,
    })),
  };
}

function admit(given: Readonly<Record<string, string | undefined>>): { vars: Record<string, string>; ignored: string[] } {
  const vars: Record<string, string> = {};
  const ignored: string[] = [];
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || value === '') continue;
    if (!NAME.test(name) || value.includes('\0') || STEERING.test(name)) ignored.push(name);
    else vars[name] = value;
  }
  return { vars, ignored };
}

/** Earlier wins; a variable that is set but empty counts as unset. */
export function layered(...layers: readonly Env[]): Env {
  const env: Record<string, string | undefined> = {};
  for (const layer of layers.toReversed())
    for (const [name, value] of Object.entries(layer)) if (value !== undefined && value !== '') env[name] = value;
  return Object.freeze(env);
}
