import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { oneLine, printable } from '../format/text.ts';
import { age, count } from '../format/values.ts';
import { MANAGE, USE, withGateway } from '../gateway.ts';
import type { Messages } from '../i18n.ts';
import { number, records, text } from '../read-json.ts';
import { usage } from '../usage.ts';

/** `openclaw sessions`: conversations, newest first. */
export const list: Run = async (context) => {
  const { out, flags, env } = context;
  const { text: t } = out;
  const activeMinutes = flags.int('active', { min: 1, max: 10_000_000 });
  const agentId = flags.text('agent');
  return withGateway(context, { scopes: USE, device: 'make' }, async (gateway) => {
    const answer = await gateway.call('sessions.list', {
      limit: flags.int('limit', { min: 1, max: 1000 }) ?? 50,
      includeDerivedTitles: true,
      ...(activeMinutes === undefined ? {} : { activeMinutes }),
      ...(agentId === undefined ? {} : { agentId }),
    });
    out.result(answer);
    const rows = records(answer['sessions']);
    if (rows.length === 0) {
      out.line(out.text.noSessions);
      return EXIT.ok;
    }
    const now = env.clock.now();
    out.line(
      table(
        t.sessionColumns,
        rows.map((row) => {
          const updated = number(row['updatedAt']);
          const total = number(row['totalTokens']);
          const context_ = number(row['contextTokens']);
          const share = total !== undefined && context_ ? ` (${Math.round((total / context_) * 100)}%)` : '';
          return [
            text(row['key']) ?? '?',
            updated === undefined ? '' : age(now - updated),
            [text(row['modelProvider']), text(row['model'])].filter(Boolean).join('/'),
            total === undefined ? '' : `${count(total)}${share}`,
            text(row['status']) ?? (row['abortedLastRun'] === true ? 'aborted' : ''),
            text(row['label']) ?? text(row['derivedTitle']) ?? text(row['displayName']) ?? '',
          ];
        }),
        out.paint.bold,
        out.room,
      ),
    );
    return EXIT.ok;
  });
};

/** `openclaw sessions preview <key>…` */
export const preview: Run = async (context) => {
  const { out, args, flags } = context;
  if (args.length === 0) throw usage('which conversation?', 'openclaw sessions preview main');
  return withGateway(context, { scopes: USE, device: 'make' }, async (gateway) => {
    const answer = await gateway.call('sessions.preview', {
      keys: [...args],
      limit: flags.int('limit', { min: 1, max: 200 }) ?? 12,
      maxChars: 2000,
    });
    const previews = records(answer['previews']);
    const missing = previews
      .filter(({ status }) => status === 'missing' || status === 'error')
      .map(({ key }) => oneLine(text(key) ?? '?', 80));
    const none = missing.length === 0 ? undefined : noSuch(missing, out.text);
    if (none === undefined) out.result(answer);
    else out.badResult({ ...answer, error: { code: none.code, message: none.message, fix: none.fix } });
    for (const item of previews) {
      if (item['status'] === 'missing' || item['status'] === 'error') continue;
      out.line(out.paint.bold(printable(text(item['key']) ?? '?')));
      for (const line of records(item['items']))
        out.line(`${out.paint.cyan(printable(text(line['role']) ?? '?'))}: ${printable(text(line['text']) ?? '')}`);
    }
    if (none === undefined) return EXIT.ok;
    if (!out.json) out.failure(none);
    return none.exitCode;
  });
};

/** `openclaw sessions reset <key>` */
export const reset: Run = async (context) => {
  const { out, args } = context;
  const [key] = args;
  if (key === undefined) throw usage('which conversation?', 'openclaw sessions reset main');
  return withGateway(context, { scopes: MANAGE, device: 'make' }, async (gateway) => {
    // A reset of a mistyped key would make a conversation of that name.
    const [known] = records((await gateway.call('sessions.preview', { keys: [key], limit: 1 }))['previews']);
    if (known?.['status'] === 'missing') throw noSuch([oneLine(key, 80)], out.text);
    const answer = await gateway.call('sessions.reset', { key, reason: 'reset' });
    out.result(answer);
    out.line(out.text.sessionReset(printable(text(answer['key']) ?? key)));
    return EXIT.ok;
  });
};

const noSuch = (keys: readonly string[], t: Messages): UserError =>
  new UserError('SESSION_MISSING', t.noSession(keys.join(', ')), { fix: 'openclaw sessions' });
