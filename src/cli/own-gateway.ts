import { type RunningGateway, runningGateway } from '../config/running-gateway.ts';
import { UserError } from '../lib/errors.ts';
import type { Holder } from '../net/held-by.ts';
import type { Context } from './context.ts';
import { ELSEWHERE, NOT_YOURS } from './errors.ts';
import { EXIT } from './exit-codes.ts';
import type { ResolvedTarget } from './target.ts';

/**
 * Who may be shown a secret on this machine's own port. What the gateway made for itself: the process that holds this state dir's lock and no
 * other, not even another one of this user (the near end of a tunnel leads to somebody else's gateway). What the owner configured: any process
 * of this user, or of root, because a tunnel or a container's proxy may hold the port; never a third user's, who would be handed the key of the
 * gateway that is meant. Given by hand, or with a URL that was named: whoever is there.
 */
export function holderFor(secret: 'generated' | 'configured', own: RunningGateway | undefined): Holder {
  const uid = process.getuid?.();
  if (secret === 'configured') return { uids: uid === undefined ? [] : [uid, 0] };
  return { uids: uid === undefined ? [] : [uid], pid: own?.pid ?? 0, ...(own?.port === undefined ? {} : { port: own.port }) };
}

/** Why the secret for this target must not be sent now, or undefined. The connection itself is looked at again: see `Endpoint.holder`. */
export async function strangerAt(
  context: Context,
  { endpoint, secret }: Pick<ResolvedTarget, 'endpoint' | 'secret'>,
  own: RunningGateway | undefined,
): Promise<UserError | undefined> {
  const url = URL.parse(endpoint.url);
  if (secret === undefined || url === null) return undefined;
  const { text: t } = context.out;
  const port = Number(url.port || (url.protocol === 'wss:' ? 443 : 80));
  const { verdict, who } = await context.env.doors.listener(url.hostname.replace(/^\[|\]$/g, ''), port, holderFor(secret, own));
  if (verdict !== 'wrong') return undefined;
  const isElsewhere = own?.port !== undefined && own.port !== port;
  return new UserError(isElsewhere ? ELSEWHERE : NOT_YOURS, t.notYours(port, who, own?.port), {
    fix: isElsewhere ? t.fixElsewhere : t.fixNotYours,
    exitCode: EXIT.unreachable,
  });
}

/** The endpoint with its pin, for one attempt. Throws what `strangerAt` found. */
export async function pinned(context: Context, target: ResolvedTarget): Promise<ResolvedTarget> {
  if (target.secret === undefined) return target;
  const own = runningGateway(context.paths);
  const stranger = await strangerAt(context, target, own);
  if (stranger !== undefined) throw stranger;
  return { ...target, endpoint: { ...target.endpoint, holder: holderFor(target.secret, own) } };
}
