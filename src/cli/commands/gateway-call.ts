import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
import type { Run } from '../command.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { safeJson } from '../format/text.ts';
import { MANAGE, withGateway } from '../gateway.ts';
import { usage } from '../usage.ts';

/** `openclaw gateway call <method>`: any method, with its answer as it came. */
export const run: Run = async (context) => {
  const { args, flags, out } = context;
  const [method] = args;
  if (method === undefined) throw usage('which method?', 'openclaw gateway call health');
  const params = parseParams(flags.text('params'));
  return withGateway(context, { scopes: MANAGE, device: 'make' }, async ({ client, target }) => {
    const timeoutMs = flags.int('timeout', { min: 1, max: 3_600_000 }) ?? 10_000;
    const answer = await client.call(method, params, {
      timeoutMs,
      expectFinal: flags.on('expect-final'),
      onProgress: (payload) => out.note(safeJson(payload)),
    });
    if (!answer.ok) throw faultError(answer.error, target, context.out.text);
    out.result({ method, result: answer.value ?? null });
    out.line(safeJson(answer.value ?? null, 2));
    return EXIT.ok;
  });
};

function parseParams(text: string | undefined): Record<string, unknown> {
  if (text === undefined) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    value = undefined;
  }
  if (isRecord(value)) return value;
  throw new UserError('PARAMS_INVALID', '--params must be a JSON object.', { fix: `--params '{"limit": 5}'`, exitCode: EXIT.usage });
}
