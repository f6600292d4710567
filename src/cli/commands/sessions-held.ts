import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { oneLine, printable } from '../format/text.ts';
import { age, bytes } from '../format/values.ts';
import { MANAGE, withGateway } from '../gateway.ts';
import { number, records, text } from '../read-json.ts';
import { usage } from '../usage.ts';

/** `openclaw sessions held`: messages over which the gateway died again and again, and what can be done about them. */
export const list: Run = async (context) => {
  const { out, env } = context;
  return withGateway(context, { scopes: MANAGE, device: 'make' }, async (gateway) => {
    const answer = await gateway.call('sessions.held.list');
    out.result(answer);
    const rows = records(answer['held']);
    const [first] = rows;
    if (first === undefined) {
      out.line(out.text.noneHeld);
      return EXIT.ok;
    }
    const now = env.clock.now();
    out.line(
      table(
        out.text.heldColumns,
        rows.map((row) => [
          printable(text(row['runId']) ?? '?'),
          printable(text(row['sessionKey']) ?? '?'),
          age(now - (number(row['acceptedAt']) ?? now)),
          bytes(number(row['bytes']) ?? 0),
        ]),
        out.paint.bold,
        out.room,
      ),
    );
    const id = printable(text(first['runId']) ?? '?');
    out.line(out.todo(out.text.next, `openclaw sessions retry ${id}   |   openclaw sessions drop ${id}`));
    return EXIT.ok;
  });
};

/** `openclaw sessions retry <run id>` */
export const retry: Run = (context) => settle(context, 'retry', context.out.text.heldRetried);
/** `openclaw sessions drop <run id>` */
export const drop: Run = (context) => settle(context, 'drop', context.out.text.heldDropped);

function settle(context: Context, verb: 'retry' | 'drop', done: (id: string) => string): Promise<number> {
  const { out, args } = context;
  const [runId] = args;
  if (runId === undefined) throw usage(out.text.whichRun, 'openclaw sessions held');
  return withGateway(context, { scopes: MANAGE, device: 'make' }, async (gateway) => {
    const held = records((await gateway.call('sessions.held.list'))['held']);
    if (!held.some((row) => row['runId'] === runId))
      throw new UserError('RUN_NOT_HELD', out.text.notHeld(oneLine(runId, 80)), { fix: 'openclaw sessions held' });
    out.result(await gateway.call(`sessions.held.${verb}`, { runId }));
    out.line(done(printable(runId)));
    return EXIT.ok;
  });
}
