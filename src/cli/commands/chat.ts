import { faultText } from '../../client/fault.ts';
import { isRecord } from '../../lib/json.ts';
import { Conversation, type Ending, type View } from '../chat/conversation.ts';
import { LineEditor } from '../chat/line-editor.ts';
import { Screen } from '../chat/screen.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine, printable } from '../format/text.ts';
import { count } from '../format/values.ts';
import { type Gateway, openGateway } from '../gateway.ts';
import { number, record, records, text } from '../read-json.ts';

/**
 * `openclaw chat`: on a terminal a conversation with streaming and keys; in a pipe one message per line of stdin, each answered before the
 * next is sent.
 */
export const run: Run = async (context) => {
  const { env, flags, out } = context;
  const isInteractive = env.stdin.isTTY && env.stdout.isTTY && !out.json;
  const gateway = await openGateway(context, {
    scopes: ['operator.admin', 'operator.read', 'operator.write'],
    caps: ['tool-events'],
    device: 'make',
    timeoutMs: 10_000,
    reconnect: true,
    events: true,
    mode: 'cli',
  });
  try {
    return await (isInteractive ? interactive(context, gateway) : piped(context, gateway));
  } finally {
    gateway.close();
  }

  async function piped(_: Context, via: Gateway): Promise<number> {
    const stderr = (line: string): void => out.note(line);
    let answered = '';
    const view: View = {
      answer: (more) => {
        answered += more;
      },
      answerEnd: () => {},
      answerRestart: () => {
        answered = '';
      },
      message: () => {},
      tool: (name) => stderr(`· ${name}`),
      notice: stderr,
      problem: (message, fix) => stderr(`${out.text.error} ${message}${fix === undefined ? '' : `\n  ${out.text.fix} ${fix}`}`),
    };
    const talk = conversation(via, view);
    await talk.start(0);
    const keep = env.keepAlive();
    watchConnection(context, via, talk, view);
    let code: number = EXIT.ok;
    const say = async (message: string): Promise<void> => {
      answered = '';
      const ending = await Promise.race([talk.send(message), lostForGood(via)]);
      if (ending.state !== 'final') code = EXIT.failure;
      if (out.json) {
        if (ending.state === 'error') out.badResult({ error: { code: 'RUN_FAILED', message: ending.message, fix: 'openclaw logs' } });
        else out.result({ text: answered, state: ending.state });
      } else if (ending.state !== 'error') out.line(answered);
    };
    const first = flags.text('message');
    if (first !== undefined) await say(first);
    for await (const line of env.stdin.lines()) if (line.trim() !== '') await say(line);
    keep();
    return code;
  }

  function conversation(via: Gateway, view: View): Conversation {
    return new Conversation(via, view, {
      sessionKey: flags.text('session') ?? 'main',
      newId: () => env.randomId(),
      thinking: flags.text('thinking'),
      timeoutMs: flags.int('timeout-ms', { min: 1, max: 86_400_000 }),
    });
  }

  async function interactive(_: Context, via: Gateway): Promise<number> {
    const { paint, text: t } = out;
    const screen = new Screen(env.stdout, paint.cyan);
    const editor = new LineEditor();
    const view: View = {
      answer: (more) => screen.stream(more),
      answerEnd: () => screen.endStream(),
      answerRestart: () => screen.print(paint.dim('…')),
      message: (role, body) => screen.print(role === 'user' ? paint.cyan(`› ${body}`) : body),
      tool: (name) => screen.print(paint.dim(`· ${name}`)),
      notice: (body) => screen.print(paint.dim(body)),
      problem: (message, fix) =>
        screen.print(`${paint.red(t.error)} ${message}${fix === undefined ? '' : `\n  ${paint.bold(t.fix)} ${fix}`}`),
    };
    const talk = conversation(via, view);
    env.stdout.write('\u001b[?2004h');
    screen.print(paint.dim(t.chatWelcome));
    await talk.start(flags.int('history-limit', { min: 0, max: 1000 }) ?? 20);
    watchConnection(context, via, talk, view);
    await noteModel(via, view);

    return new Promise<number>((resolve) => {
      let warned = false;
      const keep = env.keepAlive();
      const leave = (): void => {
        cancelKeys();
        keep();
        screen.leave();
        env.stdout.write('\u001b[?2004l');
        resolve(EXIT.ok);
      };
      const stop = (): void =>
        void talk.abort().then((stopped) => {
          if (stopped) view.notice(t.chatAborted);
        });
      const submit = async (line: string): Promise<void> => {
        const message = line.trim();
        if (message === '') return;
        if (message.startsWith('/') && (await command(message))) return;
        screen.print(paint.cyan(`› ${printable(message)}`));
        if (via.client.state.kind !== 'open') view.notice(t.chatQueued);
        void talk.send(message);
      };
      const command = async (line: string): Promise<boolean> => {
        const [name = '', ...rest] = line.split(/\s+/);
        switch (name) {
          case '/exit':
          case '/quit':
            leave();
            return true;
          case '/help':
            screen.print(HELP);
            return true;
          case '/abort':
          case '/stop':
            stop();
            return true;
          case '/new':
          case '/reset':
            await attempt(view, () => talk.reset().then(() => view.notice(t.chatNewSession)));
            return true;
          case '/status':
            await attempt(view, async () => screen.print(await statusText(via, talk)));
            return true;
          case '/model':
            await attempt(view, async () => screen.print(await modelCommand(via, talk, rest[0])));
            return true;
          default:
            view.problem(t.chatUnknownCommand(oneLine(name, 40)));
            return true;
        }
      };
      const cancelKeys = env.stdin.keys((keys) => {
        for (const action of editor.feed(keys)) {
          switch (action.kind) {
            case 'submit':
              void submit(action.text);
              break;
            case 'escape':
              stop();
              break;
            case 'interrupt':
              if (talk.activeRun !== undefined) stop();
              else if (editor.text !== '') editor.clear();
              else if (warned) return leave();
              else {
                warned = true;
                view.notice(t.chatLeave);
                continue;
              }
              break;
            case 'end':
              return leave();
            case 'redraw':
              screen.input(editor.text, editor.cursorColumn);
              continue;
          }
          warned = false;
        }
      });
      screen.input('', 0);
      const first = flags.text('message');
      if (first !== undefined) void submit(first);
    });
  }
};

const HELP = `/new      begin a new conversation (the old one is kept)
/status   gateway, model, tokens of this conversation
/model    list models; /model provider/id chooses one here
/abort    stop the answer (also Esc)
/exit     leave (also Ctrl-D); the agent goes on`;

async function attempt(view: View, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (thrown) {
    const fix = isRecord(thrown) ? text(thrown['fix']) : undefined;
    view.problem(thrown instanceof Error ? printable(thrown.message) : 'failed', fix);
  }
}

/** Says when the connection is lost and when it is back, with what was missed. */
function watchConnection({ env, out }: Context, via: Gateway, talk: Conversation, view: View): void {
  let wasLost = false;
  via.client.onState((state) => {
    if (state.kind === 'waiting' && !wasLost) {
      wasLost = true;
      view.notice(
        out.text.chatReconnecting(Math.max(1, Math.round((state.untilMs - env.clock.now()) / 1000)), printable(faultText(state.why))),
      );
    } else if (state.kind === 'paused') {
      const { message, fix } = faultError(state.why, via.target);
      view.problem(message, fix);
    } else if (state.kind === 'open' && wasLost) {
      wasLost = false;
      void talk.resume().then((missed) => view.notice(out.text.chatBack(missed)));
    }
  });
  // Events that were lost on a living connection are made good the same way.
  via.client.onGap(() => void talk.resume());
}

/** A connection that only a person can mend ends a pipe. */
const lostForGood = (via: Gateway): Promise<Ending> =>
  new Promise((resolve) => {
    const check = (): void => {
      const { state } = via.client;
      if (state.kind === 'paused') resolve({ state: 'error', message: printable(faultText(state.why)) });
    };
    via.client.onState(check);
    check();
  });

async function noteModel(via: Gateway, view: View): Promise<void> {
  const answer = await via.client.request('models.list', {});
  if (answer.ok && records(answer.value.models).every((model) => model['provider'] === 'builtin')) {
    view.notice('No model is connected: the built-in guide answers. openclaw models try gives you a small real one.');
  }
}

async function statusText(via: Gateway, talk: Conversation): Promise<string> {
  const [status, sessions] = await Promise.all([via.call('status', {}), via.call('sessions.list', { limit: 200 })]);
  const row = records(sessions['sessions']).find((session) => session['key'] === talk.sessionKey);
  const model = [text(row?.['modelProvider']), text(row?.['model'])].filter(Boolean).join('/');
  const fact = record(record(status['gateway'])['model']);
  const standard = [text(fact['provider']), text(fact['id'])].filter(Boolean).join('/');
  const used = number(row?.['totalTokens']);
  const limit = number(row?.['contextTokens']);
  return [
    `Gateway  ${oneLine(text(status['runtimeVersion']) ?? '?', 40)} via ${via.target.endpoint.url}`,
    `Session  ${printable(talk.sessionKey)}`,
    `Model    ${oneLine(model || standard || 'none', 80)}`,
    `Tokens   ${used === undefined ? '0' : count(used)}${limit ? ` of ${count(limit)}` : ''}`,
  ].join('\n');
}

async function modelCommand(via: Gateway, talk: Conversation, ref: string | undefined): Promise<string> {
  if (ref === undefined) {
    const models = records((await via.call('models.list', {})).models).map(
      (model) => `  ${oneLine(`${String(model['provider'])}/${String(model['id'])}`, 100)}`,
    );
    if (models.length === 0) return 'No model is connected: the built-in guide answers. openclaw models try';
    return `${models.join('\n')}\n/model provider/id chooses one for this conversation, /model default takes it back`;
  }
  const model = ref === 'default' ? null : ref;
  // The admin socket has a method of its own; over the wire it is a change of the session, which needs admin.
  const answer =
    via.target.endpoint.door === 'admin'
      ? await via.client.request('models.set', { sessionKey: talk.sessionKey, model })
      : await via.client.call('sessions.patch', { key: talk.sessionKey, model });
  if (!answer.ok) throw faultError(answer.error, via.target);
  return `model: ${oneLine(model ?? 'default', 100)}`;
}
