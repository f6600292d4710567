import type { Credentials } from '../client/credentials.ts';
import type { Endpoint } from '../client/socket.ts';
import { announcedPort } from '../config/announced-port.ts';
import { envText } from '../config/env.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import { UserError } from '../lib/errors.ts';
import { shownUrl } from '../lib/shown-url.ts';
import type { Context } from './context.ts';
import type { Explicit, UrlKind } from './credentials.ts';
import { EXIT } from './exit-codes.ts';
import { configMayPointElsewhere, dotenvMayPointElsewhere } from './points-elsewhere.ts';

/** Which gateway, through which door, with what, and why that one. */
export interface ResolvedTarget {
  readonly endpoint: Endpoint;
  /** The endpoint for people and for `--json`: a socket's path, or the URL without user, query and fragment. */
  readonly shown: string;
  readonly credentials: Credentials;
  /** Set where the credentials are for this state dir's own gateway, so that no stranger on its port may see them. */
  readonly secret?: 'generated' | 'configured';
  /** A stored device token may follow a refused secret there: loopback, or a pinned certificate. */
  readonly trusted: boolean;
  /** For people: `admin socket`, `cli --url`, `env OPENCLAW_GATEWAY_URL`, `config gateway.remote.url`, `local loopback`. */
  readonly source: string;
  readonly mode: 'local' | 'remote';
  readonly configPath: string;
  readonly bind?: string;
}

/** `--url --token --password` as given; a blank one counts as not given. */
export function explicitFlags(context: Context): Explicit {
  const { flags } = context;
  const given = (name: 'url' | 'token' | 'password'): string | undefined => {
    const text = flags.text(name)?.trim();
    return text === undefined || text === '' ? undefined : text;
  };
  const url = given('url');
  const token = given('token');
  const password = given('password');
  return {
    ...(url === undefined ? {} : { url }),
    ...(token === undefined ? {} : { token }),
    ...(password === undefined ? {} : { password }),
  };
}

/** Whether flags or the environment name a way of their own, so that this state dir's admin socket is not on it. */
export function isPointed(context: Context): boolean {
  const { url, token, password } = explicitFlags(context);
  return (
    url !== undefined || token !== undefined || password !== undefined || envText(context.env.vars, 'OPENCLAW_GATEWAY_URL') !== undefined
  );
}

/**
 * The admin socket of this state dir's own gateway, or undefined where something points elsewhere: an explicit URL or credential, the
 * environment, or `mode: "remote"`. Reads no more than it must, because `openclaw health` is this and one round trip.
 */
export async function adminTarget(context: Context): Promise<ResolvedTarget | undefined> {
  const { paths } = context;
  if (isPointed(context)) return undefined;
  if (!isOwnSocket(paths.socketPath)) return undefined;
  const [file, dotenv] = [textOf(paths.configPath), textOf(paths.dotenvPath)];
  if (file === undefined || dotenv === undefined || configMayPointElsewhere(file) || dotenvMayPointElsewhere(dotenv)) {
    const config = await usableConfig(context);
    if (config.config.gateway.mode === 'remote' || envText(config.env, 'OPENCLAW_GATEWAY_URL') !== undefined) return undefined;
  }
  return {
    endpoint: { door: 'admin', url: paths.socketPath },
    shown: paths.socketPath,
    credentials: {},
    trusted: true,
    source: 'admin socket',
    mode: 'local',
    configPath: paths.configPath,
  };
}

/** A socket that this user or root made; for root, anybody's. What another user put there would hear what is said to our gateway. */
function isOwnSocket(file: string): boolean {
  if (process.platform === 'win32') return true;
  const uid = process.getuid?.();
  const stat = process.getBuiltinModule('node:fs').lstatSync(file, { throwIfNoEntry: false });
  return stat !== undefined && (uid === 0 || stat.uid === uid || stat.uid === 0);
}

/** The text of a file, `''` where there is none, undefined where it cannot be read. */
function textOf(file: string): string | undefined {
  try {
    return process.getBuiltinModule('node:fs').readFileSync(file, 'utf8');
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ENOENT' ? '' : undefined;
  }
}

/** The config, or what of it can be used where a value is wrong that guards nothing. Throws what is wrong with it otherwise. */
export async function usableConfig(context: Context): Promise<ConfigSnapshot> {
  const loaded = await context.config();
  if (loaded.ok) return loaded.value;
  const { usable } = loaded.error;
  if (usable === undefined) throw (await import('../config/load.ts')).problemError(loaded.error);
  context.out.warn(loaded.error.message);
  return usable;
}

/**
 * The gateway by its URL: `--url`, `OPENCLAW_GATEWAY_URL`, `gateway.remote.url` where the mode is remote, else this machine's own.
 * Refused before any connection: an override without credentials of its own, and plain `ws://` to where others could listen.
 */
export async function urlTarget(context: Context): Promise<ResolvedTarget> {
  const { env, paths } = context;
  const explicit = explicitFlags(context);
  const config = await usableConfig(context);
  const { gateway } = config.config;
  const [{ checkTarget }, { clientCredentials }] = await Promise.all([import('../net/url-safety.ts'), import('./credentials.ts')]);

  const envUrl = envText(env.vars, 'OPENCLAW_GATEWAY_URL') ?? envText(config.env, 'OPENCLAW_GATEWAY_URL');
  const { url, source, kind } = await chooseUrl();
  const safe = checkTarget(url, {
    allowInsecurePrivate: env.vars['OPENCLAW_ALLOW_INSECURE_PRIVATE_WS'] === '1',
    ownAddresses: () => env.doors.ownAddresses(),
  });
  if (!safe.ok) throw safe.error;
  const { credentials, secret } = await clientCredentials({ config, explicit, kind });
  const pin = gateway.mode === 'remote' && kind !== 'cli' ? gateway.remote.tlsFingerprint : undefined;
  if (pin !== undefined && !safe.value.isSecure) {
    throw new UserError('PIN_NEEDS_TLS', `gateway.remote.tlsFingerprint pins a certificate, but ${shownUrl(safe.value.url)} has none.`, {
      fix: 'Use a wss:// URL, or: openclaw config unset gateway.remote.tlsFingerprint',
      path: 'gateway.remote.tlsFingerprint',
    });
  }
  const { allowedAs } = safe.value;
  return {
    endpoint: { door: 'ws', url: safe.value.url, ...(pin === undefined ? {} : { tlsFingerprint: pin }) },
    shown: shownUrl(safe.value.url),
    credentials,
    ...(secret === undefined ? {} : { secret }),
    trusted: allowedAs === 'loopback' || allowedAs === 'own-address' || pin !== undefined,
    source,
    mode: kind === 'remote' || kind === 'cli' || kind === 'env' ? 'remote' : 'local',
    configPath: paths.configPath,
    ...(kind === 'local' ? { bind: gateway.bind } : {}),
  };

  async function chooseUrl(): Promise<{ url: string; source: string; kind: UrlKind }> {
    if (explicit.url !== undefined) return { url: explicit.url, source: 'cli --url', kind: 'cli' };
    if (envUrl !== undefined) return { url: envUrl, source: 'env OPENCLAW_GATEWAY_URL', kind: 'env' };
    if (gateway.mode === 'remote') {
      const { url: remote } = gateway.remote;
      if (remote === undefined || remote.trim() === '') {
        throw new UserError('REMOTE_URL_MISSING', 'gateway.mode is "remote", but gateway.remote.url is not set.', {
          fix: 'openclaw config set gateway.remote.url ws://127.0.0.1:18789   (or: openclaw config set gateway.mode local)',
          path: 'gateway.remote.url',
        });
      }
      return { url: remote, source: 'config gateway.remote.url', kind: 'remote' };
    }
    return { ...(await localUrl(config)), kind: 'local' };
  }
}

/** The URL of this machine's own gateway, from its bind: never another address than the one it listens on. */
export async function localUrl(config: ConfigSnapshot): Promise<{ url: string; source: string }> {
  const { bind, customBindHost, tls } = config.config.gateway;
  // What was asked for by flag or environment, else where it really listens.
  const port =
    config.sourceOf('gateway.port') === 'env' ? config.config.gateway.port : (announcedPort(config.paths) ?? config.config.gateway.port);
  const scheme = tls.enabled ? 'wss' : 'ws';
  if (bind === 'loopback' || bind === 'auto' || bind === 'lan') return { url: `${scheme}://127.0.0.1:${port}`, source: 'local loopback' };
  const [{ planBind, localDialHost }, { listInterfaces }, { formatAuthority }] = await Promise.all([
    import('../net/bind.ts'),
    import('../net/interfaces.ts'),
    import('../net/hosts.ts'),
  ]);
  const host = localDialHost(planBind({ mode: bind, customHost: customBindHost, port, interfaces: listInterfaces() }));
  if (host === undefined) {
    throw new UserError(
      'LOCAL_ADDRESS_MISSING',
      `gateway.bind is "${bind}", and this machine has no such address now: the gateway waits for it.`,
      {
        fix: 'tailscale status   (its admin socket works meanwhile: openclaw status)',
        path: 'gateway.bind',
        exitCode: EXIT.unreachable,
      },
    );
  }
  return { url: `${scheme}://${formatAuthority(host, port)}`, source: `local ${bind} address` };
}
