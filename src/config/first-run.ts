import { fs, path } from './builtins.ts';
import type { Env } from './env.ts';
import type { Paths } from './paths.ts';

/** The first config: small, and every line says why it is there. */
export const FIRST_CONFIG = `// The settings of your OpenClaw gateway. The file is JSON5: comments and trailing commas are fine.
// Everything that is not named here has a safe default: it listens on 127.0.0.1:18789 and asks for a token.
//   openclaw config schema     every setting
//   openclaw config validate   what is wrong, if anything
{
  gateway: {
    // This machine runs the gateway. "remote" would make it a client of another one.
    mode: "local",

    http: {
      endpoints: {
        // The OpenAI-compatible API: POST /v1/chat/completions and GET /v1/models.
        // It always asks for the gateway's token or password. Remove these lines to switch it off.
        chatCompletions: { enabled: true },
      },
    },
  },
}
`;

/**
 * Writes the first config, where there is none and nobody else manages it. Never replaces a file, nor follows a link in
 * its place. Throws what the file system throws.
 *
 * @returns whether it was written
 */
export function writeFirstConfig(paths: Paths, env: Env): boolean {
  if (env['OPENCLAW_NIX_MODE'] === '1') return false;
  fs.mkdirSync(path.dirname(paths.configPath), { recursive: true, mode: 0o700 });
  let fd: number;
  try {
    fd = fs.openSync(paths.configPath, 'wx', 0o600);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw thrown;
  }
  try {
    fs.writeSync(fd, FIRST_CONFIG);
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
  return true;
}
