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

/**
 * The home directory: `OPENCLAW_HOME`, `HOME`, `USERPROFILE`, then what the system says.
 * A relative value is resolved against the working directory, as the shell would.
 */
export function homeDir(env: Env): string {
  const own = envText(env, 'OPENCLAW_HOME');
  const system = envText(env, 'HOME') ?? envText(env, 'USERPROFILE') ?? os.homedir();
  return path.resolve(own === undefined ? system : expandHome(own, system));
}

/** `~` and `~/…` at the start of a path value become `home`. Other text, `~user` too, stays. */
export function expandHome(value: string, home: string): string {
  return /^~(?=$|[/\\])/.test(value) ? home + value.slice(1) : value;
}

/**
 * Where state, config and everything else lie. A flag beats the environment, the environment beats a default:
 * `--dev`/`--profile`, then `OPENCLAW_STATE_DIR` and `OPENCLAW_CONFIG_PATH`, then `OPENCLAW_PROFILE`, then `~/.openclaw`.
 *
 * Cheap on purpose, every command begins here: a handful of string joins, and `stat` only where no `~/.openclaw` exists.
 *
 * @returns an error value (`PROFILE_INVALID`) for a profile name that could leave the home directory
 */
export function resolvePaths(env: Env, flags: PathFlags = {}): Result<Paths, UserError> {
  const home = homeDir(env);
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

  let stateDir: string;
  if (stateEnv !== undefined) stateDir = path.resolve(expandHome(stateEnv, home));
  else if (profile !== undefined) stateDir = path.join(home, `.openclaw-${profile}`);
  else stateDir = firstExisting(home, '.openclaw', LEGACY_DIRS);

  const configPath =
    configEnv === undefined ? firstExisting(stateDir, 'openclaw.json', LEGACY_FILES) : path.resolve(expandHome(configEnv, home));
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
