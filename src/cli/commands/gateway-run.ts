import { readSecretFile } from '../../config/secrets.ts';
import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { tryOpen } from '../gateway.ts';
import { adminTarget } from '../target.ts';
import { usage } from '../usage.ts';

const MAX_PASSWORD_BYTES = 4096;

/** `openclaw gateway`: runs the gateway in this terminal until it is told to stop. Flags beat environment and config. */
export const run: Run = async (context) => {
  const { flags, out, env, paths } = context;
  const port = flags.int('port', { min: 0, max: 65_535 });
  const token = flags.text('token');
  if (token !== undefined)
    out.warn('--token is visible to every user of this machine in the process list; OPENCLAW_GATEWAY_TOKEN or the config is not.');
  const password = await passwordOf(context);
  const given = (path: string, name: string): Record<string, unknown> => {
    const value = flags.text(name);
    return value === undefined ? {} : { [path]: value };
  };
  const config = {
    ...given('gateway.bind', 'bind'),
    ...given('gateway.auth.mode', 'auth'),
    ...given('gateway.tailscale.mode', 'tailscale'),
    ...(flags.on('tailscale-reset-on-exit') ? { 'gateway.tailscale.resetOnExit': true } : {}),
    // Port 0 (take a free one) is no setting that could stand in the file.
    ...(port === undefined || port === 0 ? {} : { 'gateway.port': port }),
  };
  if (flags.on('force')) await stopOwn(context);
  const { runGateway } = await import('../../gateway/start.ts');
  // Whoever started it by hand is told how to go on, once it listens; a service's log has no use for that.
  let isTold = !(flags.on('first-run') || env.stdout.isTTY) || out.json;
  const goOn = (line: string): void => {
    if (isTold || !line.startsWith('listening on')) return;
    isTold = true;
    env.clock.after(0, () => out.line(out.todo(out.text.next, `openclaw chat   (${out.text.noteRunning})`)));
  };
  return runGateway({
    paths,
    env: env.vars,
    flags: { config, port, token, password, verbose: flags.on('verbose') },
    firstRun: flags.on('first-run'),
    out: {
      info: (line) => {
        out.line(line);
        goOn(line);
      },
      error: (line) => out.note(line.trimEnd()),
    },
  });
};

async function passwordOf({ flags, out }: Context): Promise<string | undefined> {
  const file = flags.text('password-file');
  const password = flags.text('password');
  if (file !== undefined && password !== undefined)
    throw usage('--password and --password-file exclude each other', 'openclaw gateway --password-file ~/.openclaw/password');
  if (password !== undefined) {
    out.warn('--password is visible to every user of this machine in the process list; use --password-file or OPENCLAW_GATEWAY_PASSWORD.');
    return password;
  }
  if (file === undefined) return undefined;
  const read = await readSecretFile(file, MAX_PASSWORD_BYTES);
  if (!read.ok) {
    const isThere = process.getBuiltinModule('node:fs').existsSync(file);
    throw new UserError('PASSWORD_FILE', `--password-file: ${read.error}`, {
      fix: isThere ? `chmod 600 ${file}` : `(umask 077; openssl rand -base64 24 > ${file})`,
    });
  }
  const text = read.value.replace(/\r?\n$/, '');
  if (text === '')
    throw new UserError('PASSWORD_FILE', `--password-file ${file} is empty.`, { fix: `(umask 077; openssl rand -base64 24 > ${file})` });
  return text;
}

/** `--force`: the gateway that answers on this state dir's admin socket is ours, and only that one is asked to stop. */
async function stopOwn(context: Context): Promise<void> {
  const target = await adminTarget(context);
  if (target === undefined) return;
  const opened = await tryOpen(context, { scopes: [], device: 'have', only: target });
  if (!opened.ok) return;
  const { stopAndWait } = await import('./gateway-control.ts');
  await stopAndWait(context, opened.value, (text) => context.out.note(text));
}
