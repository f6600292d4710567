import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { table } from '../format/table.ts';
import { printable } from '../format/text.ts';
import { age, count } from '../format/values.ts';
import { withGateway } from '../gateway.ts';
import { number, record, records, text } from '../read-json.ts';
import { usage } from '../usage.ts';

/** `openclaw sessions`: conversations, newest first. */
export const list: Run = async (context) => {
  const { out, flags, env } = context;
  const activeMinutes = flags.int('active', { min: 1, max: 10_000_000 });
  const agentId = flags.text('agent');
  return withGateway(context, { scopes: ['operator.read'], device: 'make' }, async (gateway) => {
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
        ['Key', 'Age', 'Model', 'Tokens', 'Status', 'Title'],
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
      ),
    );
    return EXIT.ok;
  });
};

/** `openclaw sessions preview <key>…` */
export const preview: Run = async (context) => {
  const { out, args, flags } = context;
  if (args.length === 0) throw usage('which conversation?', 'openclaw sessions preview main');
  return withGateway(context, { scopes: ['operator.read'], device: 'make' }, async (gateway) => {
    const answer = await gateway.call('sessions.preview', {
      keys: [...args],
      limit: flags.int('limit', { min: 1, max: 200 }) ?? 12,
      maxChars: 2000,
    });
    out.result(answer);
    let isMissing = false;
    for (const item of records(answer['previews'])) {
      const status = text(item['status']) ?? '';
      if (status === 'missing' || status === 'error') isMissing = true;
      out.line(out.paint.bold(`${printable(text(item['key']) ?? '?')}${status === 'ok' ? '' : ` (${printable(status)})`}`));
      for (const line of records(item['items']))
        out.line(`${out.paint.cyan(printable(text(line['role']) ?? '?'))}: ${printable(text(line['text']) ?? '')}`);
    }
    return isMissing ? EXIT.failure : EXIT.ok;
  });
};

/** `openclaw sessions reset <key>` */
export const reset: Run = async (context) => {
  const { out, args } = context;
  const [key] = args;
  if (key === undefined) throw usage('which conversation?', 'openclaw sessions reset main');
  return withGateway(context, { scopes: ['operator.admin'], device: 'make' }, async (gateway) => {
    const answer = await gateway.call('sessions.reset', { key, reason: 'reset' });
    out.result(answer);
    out.line(`${printable(text(answer['key']) ?? key)} begins anew${sessionId(answer)}; the old transcript is kept.`);
    return EXIT.ok;
  });
};

function sessionId(answer: Readonly<Record<string, unknown>>): string {
  const id = text(record(answer['entry'])['sessionId']);
  return id === undefined ? '' : ` (session ${printable(id)})`;
}
