import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { oneLine } from '../format/text.ts';
import { age } from '../format/values.ts';
import { type Gateway, MANAGE, withGateway } from '../gateway.ts';
import type { Messages } from '../i18n.ts';
import { number, records, text, texts } from '../read-json.ts';
import { usage } from '../usage.ts';

const open = <T>(context: Context, use: (gateway: Gateway) => Promise<T>): Promise<T> =>
  withGateway(context, { scopes: MANAGE, device: 'make' }, use);

/** As much of an id as is shown, and as little as is taken for it. */
const SHOWN_REQUEST = 8;
const SHOWN_DEVICE = 12;
const LEAST_TYPED = 4;

/** `openclaw devices list`: who waits, who is in. */
export const list: Run = (context) =>
  open(context, async (gateway) => {
    const { out, env } = context;
    const { text: t } = out;
    const answer = await gateway.call('device.pair.list', {});
    out.result(answer);
    const now = env.clock.now();
    const pending = records(answer.pending);
    const paired = records(answer.paired);
    if (pending.length > 0) {
      out.line(out.paint.yellow(`${t.waiting} (${pending.length})`));
      out.line(pendingTable(context, pending, now));
    }
    if (paired.length > 0) {
      if (pending.length > 0) out.line();
      out.line(`${t.paired} (${paired.length})`);
      const ids = shortened(paired.map(deviceIdOf), SHOWN_DEVICE);
      out.line(
        table(
          t.pairedColumns,
          paired.map((row, i) => pairedRow(row, ids[i] ?? '?', now, t)),
          out.paint.bold,
          out.room,
        ),
      );
    } else if (pending.length === 0) out.line(t.noDevices);
    if (pending.length > 0) {
      out.line();
      out.line(out.todo(t.next, `openclaw devices approve ${pending.length === 1 ? '' : '<request>'}`.trimEnd()));
    }
    return EXIT.ok;
  });

function pendingTable({ out }: Context, pending: readonly Record<string, unknown>[], now: number): string {
  const { text: t } = out;
  const ids = shortened(pending.map(requestIdOf), SHOWN_REQUEST);
  const rows = pending.map((row, i) => {
    const at = number(row['ts']);
    const why = text(row['reason']) ?? '';
    return [
      ids[i] ?? '?',
      nameOf(row),
      text(row['role']) ?? texts(row['roles']).join(' '),
      scopes(row['scopes']),
      text(row['remoteIp']) ?? '',
      at === undefined ? '' : age(now - at),
      [t.pairingReason[why] ?? why, text(row['login'])].filter(Boolean).join(' '),
    ];
  });
  return table(t.pendingColumns, rows, out.paint.bold, out.room);
}

function pairedRow(row: Record<string, unknown>, id: string, now: number, t: Messages): string[] {
  const tokens = records(row['tokens']);
  const live = tokens.filter((token) => number(token['revokedAtMs']) === undefined);
  // A device fetches a token when it comes by its secret: where nobody noted when it was here last, its tokens did.
  const seen = Math.max(
    number(row['lastSeenAtMs']) ?? 0,
    number(row['approvedAtMs']) ?? 0,
    ...live.map((token) => Math.max(number(token['lastUsedAtMs']) ?? 0, number(token['createdAtMs']) ?? 0)),
  );
  return [
    id,
    nameOf(row),
    texts(row['roles']).join(' ') || (text(row['role']) ?? ''),
    scopes(row['approvedScopes'] ?? row['scopes']),
    text(row['remoteIp']) ?? '',
    row['connected'] === true ? t.connected : seen === 0 ? '' : t.ago(age(now - seen)),
  ];
}

const requestIdOf = (row: Record<string, unknown>): string => text(row['requestId']) ?? '?';
const deviceIdOf = (row: Record<string, unknown>): string => text(row['deviceId']) ?? '?';
const nameOf = (row: Record<string, unknown>): string =>
  text(row['displayName']) ?? text(row['clientId']) ?? deviceIdOf(row).slice(0, SHOWN_DEVICE);

const scopes = (value: unknown): string =>
  texts(value)
    .map((scope) => scope.replace(/^operator\./, ''))
    .join(' ');

/** The ids, cut to the length at which they still differ, `least` at least. */
function shortened(ids: readonly string[], least: number): string[] {
  let length = least;
  while (length < 64 && new Set(ids.map((id) => id.slice(0, length))).size < new Set(ids).size) length += 4;
  return ids.map((id) => id.slice(0, length));
}

/** The whole id of what was typed: the id itself, or a beginning that only one of them has. Throws where none or several have it. */
function idOf(typed: string, ids: readonly string[], t: Messages): string {
  if (ids.includes(typed)) return typed;
  const found = typed.length < LEAST_TYPED ? [] : ids.filter((id) => id.startsWith(typed));
  const [only] = found;
  if (only !== undefined && found.length === 1) return only;
  const shown = oneLine(typed, 80);
  throw new UserError(found.length === 0 ? 'UNKNOWN_ID' : 'AMBIGUOUS_ID', found.length === 0 ? t.noSuchId(shown) : t.manySuchIds(shown), {
    fix: 'openclaw devices list',
  });
}

/** `openclaw devices approve [requestId]`. Without an id it refuses when more than one waits: the newest may be somebody else's. */
export const approve: Run = (context) =>
  open(context, async (gateway) => {
    const { out, args, flags } = context;
    const pending = records((await gateway.call('device.pair.list', {})).pending);
    const requestId =
      args[0] === undefined ? theOneThatWaits(context, pending, flags.on('latest')) : idOf(args[0], pending.map(requestIdOf), out.text);
    const request = pending.find((row) => requestIdOf(row) === requestId) ?? {};
    const answer = await gateway.call('device.pair.approve', { requestId });
    out.result(answer);
    out.line(out.text.approved(oneLine(nameOf(request), 80), oneLine(scopes(request['scopes']), 200)));
    return EXIT.ok;
  });

function theOneThatWaits(context: Context, pending: readonly Record<string, unknown>[], latest: boolean): string {
  const { env, out } = context;
  const newest = [...pending].sort((a, b) => (number(b['ts']) ?? 0) - (number(a['ts']) ?? 0))[0];
  const id = text(newest?.['requestId']);
  if (id === undefined) throw new UserError('NOTHING_PENDING', out.text.nothingWaits, { fix: out.text.fixKnock });
  if (pending.length > 1 && !latest) {
    if (!out.json) out.note(pendingTable(context, pending, env.clock.now()));
    throw new UserError('MORE_THAN_ONE_PENDING', out.text.manyWait(pending.length), {
      fix: `openclaw devices approve ${oneLine(id, 80)}`,
      exitCode: EXIT.usage,
    });
  }
  return id;
}

/** `openclaw devices reject <requestId>` */
export const reject: Run = (context) =>
  open(context, async (gateway) => {
    const { out, args } = context;
    if (args[0] === undefined) throw usage(out.text.whichRequest, 'openclaw devices list');
    const requestId = idOf(args[0], records((await gateway.call('device.pair.list', {})).pending).map(requestIdOf), out.text);
    out.result(await gateway.call('device.pair.reject', { requestId }));
    out.line(out.text.rejected(requestId.slice(0, SHOWN_REQUEST)));
    return EXIT.ok;
  });

/** `openclaw devices remove <deviceId>` */
export const remove: Run = (context) =>
  open(context, async (gateway) => {
    const { out, args } = context;
    if (args[0] === undefined) throw usage(out.text.whichDevice, 'openclaw devices list');
    const deviceId = await deviceNamed(context, gateway, args[0]);
    out.result(await gateway.call('device.pair.remove', { deviceId }));
    out.line(out.text.removed(deviceId.slice(0, SHOWN_DEVICE)));
    return EXIT.ok;
  });

/** A device, by its id, a beginning of it, or the name it shows where only one has that. */
async function deviceNamed({ out }: Context, gateway: Gateway, typed: string): Promise<string> {
  const paired = records((await gateway.call('device.pair.list', {})).paired);
  const named = paired.filter((row) => nameOf(row) === typed);
  const [only] = named;
  return only !== undefined && named.length === 1 ? deviceIdOf(only) : idOf(typed, paired.map(deviceIdOf), out.text);
}

/** `openclaw devices rotate --device <id>`. A token for another device is never printed: it fetches its own. */
export const rotate: Run = (context) =>
  open(context, async (gateway) => {
    const { deviceId, role } = await whichToken(context, gateway, 'rotate');
    const narrowed = context.flags.all('scope');
    const answer = await gateway.call('device.token.rotate', {
      deviceId,
      role,
      ...(narrowed.length === 0 ? {} : { scopes: [...narrowed] }),
    });
    const { token: _, ...shown } = answer;
    context.out.result(shown);
    context.out.line(context.out.text.rotated(role, deviceId.slice(0, SHOWN_DEVICE)));
    return EXIT.ok;
  });

/** `openclaw devices revoke --device <id>` */
export const revoke: Run = (context) =>
  open(context, async (gateway) => {
    const { deviceId, role } = await whichToken(context, gateway, 'revoke');
    context.out.result(await gateway.call('device.token.revoke', { deviceId, role }));
    context.out.line(context.out.text.revoked(role, deviceId.slice(0, SHOWN_DEVICE)));
    return EXIT.ok;
  });

async function whichToken(context: Context, gateway: Gateway, verb: string): Promise<{ deviceId: string; role: string }> {
  const { flags, out } = context;
  const typed = flags.text('device');
  if (typed === undefined) throw usage(out.text.whichDevice, `openclaw devices ${verb} --device <id>   (openclaw devices list)`);
  return { deviceId: await deviceNamed(context, gateway, typed), role: flags.text('role') ?? 'operator' };
}
