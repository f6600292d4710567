import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { tryOpen } from '../gateway.ts';
import { adminTarget, usableConfig } from '../target.ts';

/**
 * Stop and restart go to whoever answers on this state dir's admin socket: that is our own gateway by construction. A port is never
 * looked at, so no foreign process can be meant by mistake.
 */
async function control(context: Context, method: 'gateway.stop' | 'gateway.restart', done: 'stopping' | 'restarting'): Promise<number> {
  const { out, paths } = context;
  const target = await adminTarget(context);
  if (target === undefined) throw await notOurs(context);
  const opened = await tryOpen(context, { scopes: [], device: 'have', only: target });
  if (!opened.ok)
    throw opened.error.fault.kind === 'unreachable' ? await notOurs(context) : faultError(opened.error.fault, target, context.out.text);
  const gateway = opened.value;
  try {
    const answer = await gateway.client.request(method, {}, { timeoutMs: 60_000 });
    // It may go down before the answer is through; then the close is the answer.
    if (!answer.ok && answer.error.kind !== 'closed') throw faultError(answer.error, gateway.target, context.out.text);
    const pid = answer.ok ? answer.value.pid : undefined;
    out.result({ action: method.slice('gateway.'.length), ...(pid === undefined ? {} : { pid }), stateDir: paths.stateDir });
    out.line(`${out.text[done]}${pid === undefined ? '' : ` (PID ${pid})`}`);
    return EXIT.ok;
  } finally {
    gateway.close();
  }
}

async function notOurs(context: Context): Promise<UserError> {
  const { out, paths } = context;
  const { text: t } = out;
  const isClient = (await usableConfig(context)).config.gateway.mode === 'remote';
  return isClient
    ? new UserError('REMOTE_CONFIG', t.isClient, { fix: t.onGateway('openclaw gateway status'), exitCode: EXIT.unreachable })
    : new UserError('GATEWAY_NOT_RUNNING', t.noneRuns(paths.stateDir), { fix: 'openclaw gateway run', exitCode: EXIT.unreachable });
}

export const stop: Run = (context) => control(context, 'gateway.stop', 'stopping');
export const restart: Run = (context) => control(context, 'gateway.restart', 'restarting');
