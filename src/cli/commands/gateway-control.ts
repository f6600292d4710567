import type { GatewayClient } from '../../client/client.ts';
import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { millis } from '../format/values.ts';
import { type Gateway, tryOpen } from '../gateway.ts';
import { adminTarget, type ResolvedTarget, usableConfig } from '../target.ts';

/** Running answers end first (30 s), then the store closes. */
const STOP_DEADLINE_MS = 45_000;
/** From the old one's end until the new one answers. */
const START_DEADLINE_MS = 15_000;
const LOOK_MS = 50;

/**
 * Stop and restart go to whoever answers on this state dir's admin socket: that is our own gateway by construction. A port is never
 * looked at, so no foreign process can be meant by mistake. They end when it is done.
 */
async function ownGateway(context: Context): Promise<{ gateway: Gateway; target: ResolvedTarget }> {
  const target = await adminTarget(context);
  if (target === undefined) throw await notOurs(context);
  const opened = await tryOpen(context, { scopes: [], device: 'have', only: target });
  if (opened.ok) return { gateway: opened.value, target };
  throw opened.error.fault.kind === 'unreachable' ? await notOurs(context) : faultError(opened.error.fault, target, context.out.text);
}

async function notOurs(context: Context): Promise<UserError> {
  const { out, paths } = context;
  const { text: t } = out;
  const isClient = (await usableConfig(context)).config.gateway.mode === 'remote';
  return isClient
    ? new UserError('REMOTE_CONFIG', t.isClient, { fix: t.onGateway('openclaw gateway status'), exitCode: EXIT.unreachable })
    : new UserError('GATEWAY_NOT_RUNNING', t.noneRuns(paths.stateDir), { fix: 'openclaw gateway run', exitCode: EXIT.unreachable });
}

/** Asks it to go; its pid where it tells one. It may go down before the answer is through; then the close is the answer. */
async function ask({ out }: Context, { client, target }: Gateway, method: 'gateway.stop' | 'gateway.restart'): Promise<number | undefined> {
  const answer = await client.request(method, {}, { timeoutMs: 60_000 });
  if (!answer.ok && answer.error.kind !== 'closed') throw faultError(answer.error, target, out.text);
  return answer.ok ? answer.value.pid : undefined;
}

/** `openclaw gateway stop` */
export const stop: Run = async (context) => {
  const { out, paths } = context;
  const { gateway } = await ownGateway(context);
  const pid = await stopAndWait(context, gateway, (text) => out.line(text));
  out.result({ action: 'stop', ...(pid === undefined ? {} : { pid }), stateDir: paths.stateDir });
  out.line(out.text.stopped);
  return EXIT.ok;
};

/** Stops the gateway of this connection and waits until its process has gone. The connection is closed. Throws when it does not go. */
export async function stopAndWait(context: Context, gateway: Gateway, say: (text: string) => void): Promise<number | undefined> {
  const { out, env } = context;
  const ended = closed(gateway.client);
  const keep = env.keepAlive();
  try {
    const pid = await ask(context, gateway, 'gateway.stop');
    say(`${out.text.stopping}${pid === undefined ? '' : ` (PID ${pid})`}`);
    const end = env.clock.monotonic() + STOP_DEADLINE_MS;
    if ((await within(context, ended, STOP_DEADLINE_MS)) && (pid === undefined || (await becomes(context, () => !isAlive(pid), end))))
      return pid;
    throw new UserError('GATEWAY_STILL_RUNNING', out.text.stillRunning(STOP_DEADLINE_MS / 1000), { fix: 'openclaw gateway status' });
  } finally {
    keep();
    gateway.close();
  }
}

/** `openclaw gateway restart` */
export const restart: Run = async (context) => {
  const { out, env, paths } = context;
  const { gateway, target } = await ownGateway(context);
  const ended = closed(gateway.client);
  const keep = env.keepAlive();
  try {
    const pid = await ask(context, gateway, 'gateway.restart');
    out.line(`${out.text.restarting}${pid === undefined ? '' : ` (PID ${pid})`}`);
    const isGone = await within(context, ended, STOP_DEADLINE_MS);
    const started = env.clock.monotonic();
    const isBack =
      isGone &&
      (await becomes(
        context,
        async () => {
          const again = await tryOpen(context, { scopes: [], device: 'have', only: target, timeoutMs: 1_000 });
          if (again.ok) again.value.close();
          return again.ok;
        },
        started + START_DEADLINE_MS,
      ));
    if (!isBack) throw new UserError('GATEWAY_NOT_BACK', out.text.notBack, { fix: 'openclaw logs', exitCode: EXIT.unreachable });
    const tookMs = env.clock.monotonic() - started;
    out.result({ action: 'restart', ...(pid === undefined ? {} : { pid }), stateDir: paths.stateDir, tookMs: Math.round(tookMs) });
    out.line(out.text.isBack(millis(tookMs)));
    return EXIT.ok;
  } finally {
    keep();
    gateway.close();
  }
};

const closed = (client: GatewayClient): Promise<true> =>
  new Promise((resolve) => {
    client.onState(({ kind }) => {
      if (kind !== 'open') resolve(true);
    });
  });

const within = ({ env }: Context, event: Promise<true>, ms: number): Promise<boolean> =>
  Promise.race([event, new Promise<false>((resolve) => env.clock.after(ms, () => resolve(false)))]);

/** Looks again and again, until `end` on the monotonic clock. */
async function becomes({ env }: Context, isTrue: () => boolean | Promise<boolean>, end: number): Promise<boolean> {
  while (!(await isTrue())) {
    if (env.clock.monotonic() > end) return false;
    await new Promise<void>((resolve) => env.clock.after(LOOK_MS, resolve));
  }
  return true;
}

/** Asks only: signal 0. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
