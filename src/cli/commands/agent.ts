import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { printable } from '../format/text.ts';
import { USE, withGateway } from '../gateway.ts';
import { record, records, text } from '../read-json.ts';
import { usage } from '../usage.ts';

const DEFAULT_RUN_SECONDS = 600;

/**
 * `openclaw agent -m`: one message, one answer. On a terminal the text appears as it is written; in a pipe the answer comes once, whole;
 * with `--json` the final result. Ctrl-C stops the run on the gateway too.
 */
export const run: Run = async (context) => {
  const { flags, out, env } = context;
  const message = await messageText(context);
  const seconds = flags.int('timeout', { min: 1, max: 86_400 }) ?? DEFAULT_RUN_SECONDS;
  const agentId = flags.text('agent');
  const session = flags.text('session');
  const sessionId = flags.text('session-id');
  const thinking = flags.text('thinking');
  const streams = env.stdout.isTTY && !out.json;

  return withGateway(context, { scopes: USE, device: 'make', timeoutMs: 10_000, events: streams }, async (gateway) => {
    const { client, target } = gateway;
    const runId = env.randomId();
    let shown = '';
    // What a terminal shows is never taken back: a text that was replaced (the provider failed and was asked again) begins on a new line.
    const show = (whole: string): void => {
      const safe = printable(whole);
      if (safe.startsWith(shown)) out.raw(safe.slice(shown.length));
      else out.raw(`${shown === '' ? '' : '\n'}${safe}`);
      shown = safe;
    };
    if (streams) {
      client.on('chat', (payload) => {
        if (!isRecord(payload) || payload['runId'] !== runId) return;
        const soFar = messageOf(payload['message']);
        if (payload['state'] === 'delta' && soFar !== undefined) show(soFar);
      });
      client.on('agent', (payload) => {
        if (!isRecord(payload) || payload['runId'] !== runId || payload['stream'] !== 'assistant') return;
        const soFar = text(record(payload['data'])['text']);
        if (soFar !== undefined) show(soFar);
      });
    }

    let sessionKey: string | undefined;
    let interrupted = false;
    const control = new AbortController();
    const stopListening = env.onInterrupt(() => {
      // A second Ctrl-C leaves at once.
      if (interrupted) control.abort();
      interrupted = true;
      void client.call('chat.abort', { sessionKey: sessionKey ?? session ?? 'main', runId }, { timeoutMs: 3_000 }).then((answer) => {
        if (!answer.ok) control.abort();
      });
    });
    const answer = await client.request(
      'agent',
      {
        message,
        idempotencyKey: runId,
        deliver: false,
        timeout: seconds,
        ...(agentId === undefined ? {} : { agentId }),
        ...(session === undefined ? {} : { sessionKey: session }),
        ...(sessionId === undefined ? {} : { sessionId }),
        ...(session === undefined && sessionId === undefined && agentId === undefined ? { sessionKey: 'main' } : {}),
        ...(thinking === undefined ? {} : { thinking }),
      },
      {
        expectFinal: true,
        // The gateway ends the run itself; this is for a gateway that does not.
        timeoutMs: (seconds + 30) * 1000,
        signal: control.signal,
        onProgress: (payload) => {
          sessionKey = text(record(payload)['sessionKey']) ?? sessionKey;
        },
      },
    );
    stopListening();

    if (!answer.ok) {
      if (shown !== '') out.raw('\n');
      if (interrupted || answer.error.kind === 'aborted')
        throw new UserError('INTERRUPTED', out.text.chatAborted, { exitCode: EXIT.interrupted });
      const failed = answer.error.kind === 'refused' ? record(answer.error.payload) : {};
      if (text(failed['status']) === 'error' && answer.error.kind === 'refused') {
        const { message: why, details } = answer.error.error;
        const told = runFailure(printable(text(failed['summary']) ?? why));
        throw new UserError('RUN_FAILED', told.message, {
          fix: text(record(details)['fix']) ?? told.fix ?? 'openclaw logs',
        });
      }
      // What had been said is in the gateway's journal, whatever became of the gateway.
      if (answer.error.kind === 'closed' || answer.error.kind === 'offline') {
        throw new UserError('RUN_LOST', out.text.runLost, {
          fix: `openclaw sessions preview ${sessionKey ?? session ?? 'main'}   (${out.text.noteKept})`,
          exitCode: EXIT.unreachable,
        });
      }
      throw faultError(answer.error, target, context.out.text);
    }
    const result = record(answer.value['result']);
    const whole = records(result['payloads'])
      .map((payload) => text(payload['text']) ?? '')
      .join('\n\n');
    out.result(answer.value);
    if (streams) {
      if (whole !== '') show(whole);
      out.raw('\n');
    } else out.line(printable(whole));
    if (isAborted(answer.value)) throw new UserError('RUN_ABORTED', out.text.runAborted, { exitCode: EXIT.interrupted });
    return EXIT.ok;
  });
};

const isAborted = (answer: Readonly<Record<string, unknown>>): boolean => record(record(answer['result'])['meta'])['aborted'] === true;

/** A failed run as gateways tell it: what happened, and in brackets at the end what to do. */
export function runFailure(told: string): { readonly message: string; readonly fix: string | undefined } {
  const starts = [...told.matchAll(/ \((?=\p{Lu})/gu)];
  const at = starts.at(-1)?.index ?? 0;
  if (at === 0 || !told.endsWith(')')) return { message: told, fix: undefined };
  return { message: told.slice(0, at), fix: told.slice(at + 2, -1) };
}

/** The text of a chat message: its text parts, joined. */
export function messageOf(message: unknown): string | undefined {
  const content = record(message)['content'];
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return undefined;
  return records(content)
    .filter((part) => part['type'] === 'text')
    .map((part) => text(part['text']) ?? '')
    .join('');
}

async function messageText({ flags, env, out }: Context): Promise<string> {
  const given = flags.text('message');
  if (given === undefined || given.trim() === '') throw usage(out.text.whatToSay, 'openclaw agent -m "Hello"');
  if (given !== '-') return given;
  const lines: string[] = [];
  for await (const line of env.stdin.lines()) lines.push(line);
  const whole = lines.join('\n').trim();
  if (whole === '') throw usage(out.text.stdinEmpty, 'echo "Hello" | openclaw agent -m -');
  return whole;
}
