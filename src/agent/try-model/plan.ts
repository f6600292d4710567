import { UserError } from '../../lib/errors.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { childEnv, type Env } from '../../process/child-env.ts';
import { run } from '../../process/run.ts';
import { fs, path } from '../builtins.ts';
import { TRY_MODEL } from './package.ts';

/** Where the model lives and what it is served with. */
export interface TryModelPlace {
  /** `<gatewayDir>/models`. */
  readonly modelsDir: string;
  /** The product's `assets` directory. */
  readonly assetsDir: string;
  readonly env: Env;
}

/** What installing would do, said before anything is done. Sizes in bytes. */
export interface TryModelPlan {
  readonly title: string;
  readonly model: string;
  readonly dir: string;
  readonly installed: boolean;
  readonly packages: readonly string[];
  readonly downloadBytes: number;
  readonly diskBytes: number;
  readonly memoryBytes: number;
  /** The Python that would be used, or why none can be. */
  readonly python: Result<FoundPython, UserError>;
}
export interface FoundPython {
  readonly program: string;
  readonly version: string;
}

const PYTHON_TIMEOUT_MS = 10_000;
// One question for everything that is needed; `ensurepip` is what Debian leaves out without python3-venv.
const ASK =
  'import sys, importlib.util as u; print("%d.%d.%d" % sys.version_info[:3], u.find_spec("venv") is not None and u.find_spec("ensurepip") is not None)';

export const tryModelDir = ({ modelsDir }: Pick<TryModelPlace, 'modelsDir'>): string => path.join(modelsDir, TRY_MODEL.folder);
/** The interpreter inside the installed environment. */
export const tryModelPython = (dir: string): string =>
  process.platform === 'win32' ? path.join(dir, 'Scripts', 'python.exe') : path.join(dir, 'bin', 'python');
/** Written last: an installation that was cut is none. */
export const markerOf = (dir: string): string => path.join(dir, 'installed.json');

export function isTryModelInstalled(place: Pick<TryModelPlace, 'modelsDir'>): boolean {
  const dir = tryModelDir(place);
  return fs.existsSync(markerOf(dir)) && fs.existsSync(tryModelPython(dir));
}

/** What `openclaw models try` would do, and whether it can. Touches nothing. */
export async function planTryModel(place: TryModelPlace): Promise<TryModelPlan> {
  return {
    title: TRY_MODEL.title,
    model: `try/${TRY_MODEL.id}`,
    dir: tryModelDir(place),
    installed: isTryModelInstalled(place),
    packages: TRY_MODEL.requirements,
    downloadBytes: TRY_MODEL.downloadBytes,
    diskBytes: TRY_MODEL.diskBytes,
    memoryBytes: TRY_MODEL.memoryBytes,
    python: await findPython(place.env),
  };
}

const underWay = new WeakMap<Env, Promise<Result<FoundPython, UserError>>>();

/**
 * A Python that can make virtual environments. Errors: `PYTHON_MISSING`, `PYTHON_OLD`, `PYTHON_VENV_MISSING`, each with its fix. Who asks meanwhile
 * gets the same answer: starting a program holds the event loop for some 10 ms.
 */
export function findPython(env: Env): Promise<Result<FoundPython, UserError>> {
  let search = underWay.get(env);
  if (search === undefined) {
    search = searchPython(env).finally(() => underWay.delete(env));
    underWay.set(env, search);
  }
  return search;
}

async function searchPython(env: Env): Promise<Result<FoundPython, UserError>> {
  const [major, minor] = TRY_MODEL.minPython;
  let old: string | undefined;
  let bare: string | undefined;
  for (const program of process.platform === 'win32' ? ['python', 'py'] : ['python3', 'python']) {
    const asked = await run([program, '-I', '-c', ASK], { env: childEnv(env), timeoutMs: PYTHON_TIMEOUT_MS });
    if (!asked.ok) continue;
    const [version = '', hasVenv] = asked.value.stdout.trim().split(' ');
    const [a = 0, b = 0] = version.split('.').map(Number);
    if (!Number.isInteger(a) || a < major || (a === major && b < minor)) old ??= version;
    else if (hasVenv !== 'True') bare ??= version;
    else return ok({ program, version });
  }
  if (bare !== undefined) {
    return err(
      new UserError('PYTHON_VENV_MISSING', `Python ${bare} is here, but without the part that makes virtual environments.`, {
        fix: 'sudo apt install python3-venv',
      }),
    );
  }
  if (old !== undefined) {
    return err(
      new UserError('PYTHON_OLD', `Python ${old} is too old: the model needs ${major}.${minor} or later.`, { fix: installHint() }),
    );
  }
  return err(
    new UserError('PYTHON_MISSING', `The small local model needs Python ${major}.${minor} or later; there is none on PATH.`, {
      fix: installHint(),
    }),
  );
}

/** The same for the guide: a version, or why there is none, with its fix. */
export async function describePython(env: Env): Promise<{ readonly found: boolean; readonly text: string }> {
  const python = await findPython(env);
  if (python.ok) return { found: true, text: python.value.version };
  return { found: false, text: `${python.error.message} ${python.error.fix === undefined ? '' : `(${python.error.fix})`}`.trim() };
}

function installHint(): string {
  if (process.platform === 'darwin') return 'brew install python';
  if (process.platform === 'win32') return 'winget install Python.Python.3.12';
  return 'sudo apt install python3 python3-venv';
}
