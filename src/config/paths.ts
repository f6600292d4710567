import { UserError } from '../lib/errors.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { fs, os, path } from './builtins.ts';
import { type Env, envText } from './env.ts';
import { socketPath } from './socket-path.ts';

/** Where everything of one installation lies. Absolute paths; none of them need exist. */
export interface Paths {
  readonly home: string;
  readonly stateDir: string;
  readonly configPath: string;
  /** `<state>/gateway`: all that is ours, 0700. The rest of the state dir may belong to a reference install. */
  readonly gatewayDir: string;
  readonly dbPath: string;
  /** The generated token of this state dir's own gateway. */
  readonly tokenPath: string;
  readonly logsDir: string;
  readonly modelsDir: string;
  /** Contents of attachments whose runs have not ended. */
  readonly attachmentsDir: string;
  readonly compileCacheDir: string;
  /** The default workspace of the agent; `agents.defaults.workspace` overrides it. */
  readonly workspace: string;
  /** The admin socket; elsewhere than in `gatewayDir` where that path would be too long for a socket. */
  readonly socketPath: string;
  /** Environment variables for the gateway that live in a file: `<state>/.env`. */
  readonly dotenvPath: string;
  /** `dev` with `--dev`; suffix of service names. */
  readonly profile: string | undefined;
  /** The port when neither flag, environment nor config names one. */
  readonly defaultPort: number;
}

export interface PathFlags {
  /** `--profile NAME` */
  readonly profile?: string;
  /** `--dev` */
  readonly dev?: boolean;
}

export const DEFAULT_PORT = 18789;
export const DEV_PORT = 19001;

const PROFILE = /^[A-Za-z0-9_-]{1,32}$/;
// Earlier names of the product. Theirs count only where they exist and today's does not.
const LEGACY_DIRS = ['.clawdbot', '.moldbot', '.moltbot'];
const LEGACY_FILES = ['clawdbot.json', 'moldbot.json', 'moltbot.json'];

const isWindows = process.platform === 'win32';
const AT_HOME = isWindows ? /^~(?=$|[/\\])/ : /^~(?=$|\/)/;

/** The home directory: `OPENCLAW_HOME`, `HOME`, `USERPROFILE`, then the system's own list of users. */
function homeDir(env: Env): Result<string, UserError> {
  const own = envText(env, 'OPENCLAW_HOME');
  if (own !== undefined && !AT_HOME.test(own)) return wholePath('OPENCLAW_HOME', own);
  const name = ['HOME', 'USERPROFILE'].find((each) => envText(env, each) !== undefined);
  const system = name === undefined ? listedHome() : wholePath(name, envText(env, name) ?? '');
  return system.ok && own !== undefined ? ok(path.resolve(expandHome(own, system.value))) : system;
}

/** Not `os.homedir()`, which gives back a `HOME` that is empty: the working directory. */
function listedHome(): Result<string, UserError> {
  try {
    return wholePath('HOME', os.userInfo().homedir);
  } catch {
    return err(
      new UserError('HOME_MISSING', 'HOME is not set, and the system lists no home directory for this user.', {
        fix: 'export HOME=/home/you   (an existing directory of this user; or name the state dir: OPENCLAW_STATE_DIR)',
        path: 'HOME',
      }),
    );
  }
}

/** Whole on this system: `C:\x` elsewhere than on Windows, `/x` there, and anything relative would lie in the working directory. */
const isWhole = (value: string): boolean => (isWindows ? /^([A-Za-z]:[/\\]|[/\\]{2})/.test(value) : path.isAbsolute(value));

function wholePath(name: string, value: string): Result<string, UserError> {
  if (isWhole(value)) return ok(path.resolve(value));
  return err(
    new UserError('PATH_NOT_ABSOLUTE', `${name} is ${JSON.stringify(value.slice(0, 200))}, which is no absolute path on this system.`, {
      fix:
        name === 'HOME' ? 'export HOME=/home/you   (an existing directory of this user)' : `unset ${name}   (or give it an absolute path)`,
      path: name,
    }),
  );
}

/** `~` and `~/…` at the start of a path value become `home`. Other text, `~user` too, stays. */
export function expandHome(value: string, home: string): string {
  return AT_HOME.test(value) ? home + value.slice(1) : value;
}

/**
 * Where state, config and everything else lie. A flag beats the environment, the environment beats a default:
 * `--dev`/`--profile`, then `OPENCLAW_STATE_DIR` and `OPENCLAW_CONFIG_PATH`, then `OPENCLAW_PROFILE`, then `~/.openclaw`.
 *
 * Cheap on purpose, every command begins here: a handful of string joins, and `stat` only where no `~/.openclaw` exists.
 *
 * @returns an error value: `PROFILE_INVALID` for a profile name that could leave the home directory, `PATH_NOT_ABSOLUTE` and `HOME_MISSING`
 * for variables that name no place or one in the working directory
 */
export function resolvePaths(env: Env, flags: PathFlags = {}): Result<Paths, UserError> {
  const found = homeDir(env);
  if (!found.ok) return found;
  const home = found.value;
  const named = flags.dev ? 'dev' : (flags.profile ?? envText(env, 'OPENCLAW_PROFILE'));
  const profile = named === undefined || named === 'default' ? undefined : named;
  if (profile !== undefined && !PROFILE.test(profile)) {
    return err(
      new UserError(
        'PROFILE_INVALID',
        `The profile name ${JSON.stringify(profile.slice(0, 64))} has characters that a directory name may not have here.`,
        {
          fix: 'Use 1 to 32 letters, digits, "-" or "_": openclaw --profile work',
        },
      ),
    );
  }

  const byFlag = flags.dev === true || flags.profile !== undefined;
  const stateEnv = byFlag ? undefined : envText(env, 'OPENCLAW_STATE_DIR');
  const configEnv = byFlag ? undefined : envText(env, 'OPENCLAW_CONFIG_PATH');

  const stateGiven = stateEnv === undefined ? undefined : wholePath('OPENCLAW_STATE_DIR', expandHome(stateEnv, home));
  const configGiven = configEnv === undefined ? undefined : wholePath('OPENCLAW_CONFIG_PATH', expandHome(configEnv, home));
  if (stateGiven?.ok === false) return stateGiven;
  if (configGiven?.ok === false) return configGiven;

  let stateDir: string;
  if (stateGiven !== undefined) stateDir = stateGiven.value;
  else if (profile !== undefined) stateDir = path.join(home, `.openclaw-${profile}`);
  else stateDir = firstExisting(home, '.openclaw', LEGACY_DIRS);

  const configPath = configGiven?.value ?? firstExisting(stateDir, 'openclaw.json', LEGACY_FILES);
  const gatewayDir = path.join(stateDir, 'gateway');
  return ok({
    home,
    stateDir,
    configPath,
    gatewayDir,
    dbPath: path.join(gatewayDir, 'gateway.sqlite'),
    tokenPath: path.join(gatewayDir, 'token'),
    logsDir: path.join(gatewayDir, 'logs'),
    modelsDir: path.join(gatewayDir, 'models'),
    attachmentsDir: path.join(gatewayDir, 'attachments'),
    compileCacheDir: path.join(gatewayDir, 'compile-cache'),
    workspace: workspaceOf(home, stateDir, stateEnv !== undefined, profile),
    socketPath: socketPath(gatewayDir, home, env),
    dotenvPath: path.join(stateDir, '.env'),
    profile,
    defaultPort: flags.dev || profile === 'dev' ? DEV_PORT : DEFAULT_PORT,
  });
}

// Profiles share one directory of workspaces (`~/.openclaw/workspace-NAME`); a state dir named outright keeps its own inside.
function workspaceOf(home: string, stateDir: string, named: boolean, profile: string | undefined): string {
  if (profile !== undefined && !named) return path.join(home, '.openclaw', `workspace-${profile}`);
  return path.join(stateDir, profile === undefined ? 'workspace' : `workspace-${profile}`);
}

function firstExisting(dir: string, today: string, earlier: readonly string[]): string {
  const wanted = path.join(dir, today);
  if (fs.existsSync(wanted) || !fs.existsSync(dir)) return wanted;
  const legacy = earlier.map((name) => path.join(dir, name)).find((candidate) => fs.existsSync(candidate));
  return legacy ?? wanted;
}
