import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { tryOpen } from '../gateway.ts';
import { adminTarget } from '../target.ts';

/**
 * Stop and restart go to whoever answers on this state dir's admin socket: that is our own gateway by construction. A port is never
 * looked at, so no foreign process can be meant by mistake.
 */
async function control(context: Context, method: 'gateway.stop' | 'gateway.restart', done: string): Promise<number> {
  const { out, paths } = context;
  const target = await adminTarget(context);
  if (target === undefined) throw notOurs(context);
  const opened = await tryOpen(context, { scopes: [], device: 'have', only: target });
  if (!opened.ok) throw opened.error.fault.kind === 'unreachable' ? notOurs(context) : faultError(opened.error.fault, target);
  const gateway = opened.value;
  try {
    const answer = await gateway.client.request(method, {}, { timeoutMs: 60_000 });
    // It may go down before the answer is through; then the close is the answer.
    if (!answer.ok && answer.error.kind !== 'closed') throw faultError(answer.error, gateway.target);
    const pid = answer.ok ? answer.value.pid : undefined;
    out.result({ action: method.slice('gateway.'.length), ...(pid === undefined ? {} : { pid }), stateDir: paths.stateDir });
    out.line(`${done}${pid === undefined ? '' : ` (PID ${pid})`}`);
    return EXIT.ok;
  } finally {
    gateway.close();
  }
}

const notOurs = ({ paths }: Context): UserError =>
  new UserError('GATEWAY_NOT_RUNNING', `no gateway of ${paths.stateDir} is running here: nothing answers on its admin socket.`, {
    fix: 'openclaw gateway run   (a gateway on another machine is stopped there)',
    exitCode: EXIT.unreachable,
  });

export const stop: Run = (context) => control(context, 'gateway.stop', 'Gateway is stopping: running answers end first');
export const restart: Run = (context) => control(context, 'gateway.restart', 'Gateway is restarting');
