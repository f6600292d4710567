import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { oneLine, printable } from '../format/text.ts';
import { age } from '../format/values.ts';
import { type Gateway, withGateway } from '../gateway.ts';
import { number, records, text, texts } from '../read-json.ts';
import { usage } from '../usage.ts';

const open = <T>(context: Context, use: (gateway: Gateway) => Promise<T>): Promise<T> =>
  withGateway(context, { scopes: ['operator.pairing', 'operator.read'], device: 'make' }, use);

/** `openclaw devices list`: who waits, who is in. */
export const list: Run = (context) =>
  open(context, async (gateway) => {
    const { out, env } = context;
    const answer = await gateway.call('device.pair.list', {});
    out.result(answer);
    const now = env.clock.now();
    const pending = records(answer.pending);
    const paired = records(answer.paired);
    if (pending.length > 0) {
      out.line(out.paint.yellow(`Waiting for approval (${pending.length})`));
      out.line(
        table(
          ['Request', 'Device', 'Role', 'Scopes', 'From', 'Age', 'Why'],
          pending.map((row) => pendingRow(row, now)),
          out.paint.bold,
        ),
      );
      out.line();
    }
    out.line(`Paired (${paired.length})`);
    if (paired.length > 0)
      out.line(
        table(
          ['Device', 'Name', 'Roles', 'Scopes', 'From', 'Last seen', 'Tokens'],
          paired.map((row) => pairedRow(row, now)),
          out.paint.bold,
        ),
      );
    if (pending.length > 0) out.line(`${out.text.next} openclaw devices approve ${pending.length === 1 ? '' : '<Request>'}`.trimEnd());
    return EXIT.ok;
  });

function pendingRow(row: Record<string, unknown>, now: number): string[] {
  const at = number(row['ts']);
  return [
    text(row['requestId']) ?? '?',
    text(row['displayName']) ?? text(row['clientId']) ?? shortId(row['deviceId']),
    text(row['role']) ?? texts(row['roles']).join(' '),
    scopes(row['scopes']),
    text(row['remoteIp']) ?? '',
    at === undefined ? '' : age(now - at),
    [text(row['reason']), text(row['login']), row['isRepair'] === true ? 'repair' : undefined].filter(Boolean).join(' '),
  ];
}

function pairedRow(row: Record<string, unknown>, now: number): string[] {
  const seen = number(row['lastSeenAtMs']);
  const tokens = records(row['tokens']);
  const live = tokens.filter((token) => number(token['revokedAtMs']) === undefined).length;
  return [
    text(row['deviceId']) ?? '?',
    text(row['displayName']) ?? text(row['clientId']) ?? '',
    texts(row['roles']).join(' ') || (text(row['role']) ?? ''),
    scopes(row['approvedScopes'] ?? row['scopes']),
    text(row['remoteIp']) ?? '',
    row['connected'] === true ? 'connected' : seen === undefined ? '' : `${age(now - seen)} ago`,
    tokens.length === 0 ? 'none' : `${live} of ${tokens.length}`,
  ];
}

const scopes = (value: unknown): string =>
  texts(value)
    .map((scope) => scope.replace(/^operator\./, ''))
    .join(' ');
const shortId = (value: unknown): string => (text(value) ?? '?').slice(0, 12);

/** `openclaw devices approve [requestId]`. Without an id it refuses when more than one waits: the newest may be somebody else's. */
export const approve: Run = (context) =>
  open(context, async (gateway) => {
    const { out, args, flags } = context;
    const requestId = args[0] ?? (await theOneThatWaits(context, gateway, flags.on('latest')));
    const answer = await gateway.call('device.pair.approve', { requestId });
    out.result(answer);
    const device = answer['device'];
    const name = typeof device === 'object' && device !== null ? text((device as Record<string, unknown>)['displayName']) : undefined;
    out.line(`Approved ${printable(name ?? requestId)}. It is in with its next try.`);
    return EXIT.ok;
  });

async function theOneThatWaits({ env, out }: Context, gateway: Gateway, latest: boolean): Promise<string> {
  const pending = records((await gateway.call('device.pair.list', {})).pending);
  const newest = [...pending].sort((a, b) => (number(b['ts']) ?? 0) - (number(a['ts']) ?? 0))[0];
  const id = text(newest?.['requestId']);
  if (id === undefined) {
    throw new UserError('NOTHING_PENDING', 'no device waits for approval.', {
      fix: 'Connect from the other device first; a request lives a few minutes',
    });
  }
  if (pending.length > 1 && !latest) {
    out.note(
      table(
        ['Request', 'Device', 'Role', 'Scopes', 'From', 'Age', 'Why'],
        pending.map((row) => pendingRow(row, env.clock.now())),
        out.paint.bold,
      ),
    );
    throw new UserError('MORE_THAN_ONE_PENDING', `${pending.length} devices wait for approval: say which one.`, {
      fix: `openclaw devices approve ${oneLine(id, 80)}`,
      exitCode: EXIT.usage,
    });
  }
  return id;
}

/** `openclaw devices reject <requestId>` */
export const reject: Run = (context) =>
  open(context, async (gateway) => {
    const requestId = context.args[0];
    if (requestId === undefined) throw usage('which request?', 'openclaw devices list');
    context.out.result(await gateway.call('device.pair.reject', { requestId }));
    context.out.line(`Turned away ${printable(requestId)}.`);
    return EXIT.ok;
  });

/** `openclaw devices remove <deviceId>` */
export const remove: Run = (context) =>
  open(context, async (gateway) => {
    const deviceId = context.args[0];
    if (deviceId === undefined) throw usage('which device?', 'openclaw devices list');
    context.out.result(await gateway.call('device.pair.remove', { deviceId }));
    context.out.line(`Removed ${printable(deviceId)}. Its connections are closed.`);
    return EXIT.ok;
  });

/** `openclaw devices rotate --device <id>`. A token for another device is never printed: it fetches its own. */
export const rotate: Run = (context) =>
  open(context, async (gateway) => {
    const { deviceId, role } = whichToken(context, 'rotate');
    const narrowed = context.flags.all('scope');
    const answer = await gateway.call('device.token.rotate', {
      deviceId,
      role,
      ...(narrowed.length === 0 ? {} : { scopes: [...narrowed] }),
    });
    const { token: _, ...shown } = answer;
    context.out.result(shown);
    context.out.line(`Replaced the ${role} token of ${printable(deviceId)}. The device gets the new one when it connects.`);
    return EXIT.ok;
  });

/** `openclaw devices revoke --device <id>` */
export const revoke: Run = (context) =>
  open(context, async (gateway) => {
    const { deviceId, role } = whichToken(context, 'revoke');
    context.out.result(await gateway.call('device.token.revoke', { deviceId, role }));
    context.out.line(`Revoked the ${role} token of ${printable(deviceId)}. Its connections are closed.`);
    return EXIT.ok;
  });

function whichToken({ flags }: Context, verb: string): { deviceId: string; role: string } {
  const deviceId = flags.text('device');
  if (deviceId === undefined) throw usage('which device?', `openclaw devices ${verb} --device <id>   (ids: openclaw devices list)`);
  return { deviceId, role: flags.text('role') ?? 'operator' };
}
