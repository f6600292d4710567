import { ensurePrivateDir, isPrivateDir, writeFileAtomic } from '../files/private-files.ts';
import { crypto, fs, path } from './builtins.ts';
import { type Env, envText } from './env.ts';

// `sun_path` holds 108 bytes on Linux and 104 on macOS, with the closing NUL.
const MAX_SOCKET_BYTES = 100;
const RECORD = 'admin.sock.path';

const fits = (file: string): boolean => Buffer.byteLength(file) <= MAX_SOCKET_BYTES;

/**
 * The path of the admin socket: `<gatewayDir>/admin.sock`, or, where that is too long for a socket, a short one in
 * `$XDG_RUNTIME_DIR` or `~/.openclaw-run`. Never in `/tmp`, which everybody shares. The gateway records a short path in
 * `<gatewayDir>/admin.sock.path`, and the record wins: a login over SSH may have another `XDG_RUNTIME_DIR` than the service.
 * On Windows: a pipe whose name carries a hash of the directory.
 */
export function socketPath(gatewayDir: string, home: string, env: Env): string {
  if (process.platform === 'win32') return `\\\\.\\pipe\\openclaw-${digest(gatewayDir)}`;
  const inside = path.join(gatewayDir, 'admin.sock');
  return fits(inside) ? inside : (recordedSocketPath(gatewayDir) ?? shortSocketPath(gatewayDir, home, env));
}

function shortSocketPath(gatewayDir: string, home: string, env: Env): string {
  const name = `${digest(gatewayDir)}.sock`;
  const runtime = envText(env, 'XDG_RUNTIME_DIR');
  if (runtime !== undefined && path.isAbsolute(runtime) && isPrivateDir(runtime)) {
    const file = path.join(runtime, 'openclaw', name);
    if (fits(file)) return file;
  }
  return path.join(home, '.openclaw-run', name);
}

// Believed only where nobody else could have put the socket it names.
function recordedSocketPath(gatewayDir: string): string | undefined {
  try {
    const file = fs.readFileSync(path.join(gatewayDir, RECORD), 'utf8').trim();
    return path.isAbsolute(file) && fits(file) && isPrivateDir(path.dirname(file)) ? file : undefined;
  } catch {
    return undefined;
  }
}

/**
 * For the gateway, before it listens: makes the directory of the socket (0700) and records a path that lies elsewhere.
 * Throws what the file system throws.
 */
export function prepareSocketPath(paths: { readonly gatewayDir: string; readonly socketPath: string }): void {
  if (process.platform === 'win32') return;
  const dir = path.dirname(paths.socketPath);
  ensurePrivateDir(paths.gatewayDir);
  if (dir === paths.gatewayDir) return;
  ensurePrivateDir(dir);
  writeFileAtomic(path.join(paths.gatewayDir, RECORD), `${paths.socketPath}\n`);
}

const digest = (text: string): string => crypto().hash('sha256', text, 'hex').slice(0, 16);
