import { refusalCode } from '../../client/fault.ts';
import { UserError } from '../../lib/errors.ts';
import { isRecord } from '../../lib/json.ts';
import { Conversation, type Ending, type View } from '../chat/conversation.ts';
import { LineEditor } from '../chat/line-editor.ts';
import { Screen } from '../chat/screen.ts';
import type { Run } from '../command.ts';
import type { Context } from '../context.ts';
import { faultError, faultLine } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { pairs } from '../format/table.ts';
import { oneLine, printable } from '../format/text.ts';
import { count } from '../format/values.ts';
import { type Gateway, MANAGE, openGateway, USE, withGateway } from '../gateway.ts';
import type { Messages } from '../i18n.ts';
import { lead } from '../output.ts';
import { number, record, records, text } from '../read-json.ts';
import { usage } from '../usage.ts';

/**
 * `openclaw chat`: on a terminal a conversation with streaming and keys; in a pipe one message per line of stdin, each answered before the
 * next is sent.
 */
export const run: Run = async (context) => {
  const { env, flags, out } = context;
  const isInteractive = env.stdin.isTTY && env.stdout.isTTY && !out.json;
  const gateway = await openGateway(context, {
    scopes: USE,
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
      busy: () => {},
      notice: stderr,
      problem: (message, fix) => {
        stderr(`${lead(out.text.error, out.text.error)}${message}`);
        if (fix !== undefined) stderr(out.todo(out.text.fix, fix, '  '));
      },
    };
    const talk = conversation(via, view);
    await talk.start(0);
    const keep = env.keepAlive();
    watchConnection(context, via, talk, view);
    let code: number = EXIT.ok;
    const say = async (message: string): Promise<void> => {
      answered = '';
      const ending = await Promise.race([talk.send(message), lostForGood(via, out.text)]);
      if (ending.state !== 'final') code = EXIT.failure;
      if (out.json) {
        if (ending.state === 'error') out.badResult({ error: { code: 'RUN_FAILED', message: ending.message, fix: 'openclaw logs' } });
        else out.result({ text: answered, state: ending.state });
      } else if (ending.state !== 'error') out.line(answered);
    };
    const first = flags.text('message');
    let isAsked = first !== undefined;
    if (first !== undefined) await say(first);
    for await (const line of env.stdin.lines()) {
      if (line.trim() === '') continue;
      isAsked = true;
      await say(line);
    }
    keep();
    if (!isAsked) throw usage(out.text.stdinEmpty, "printf 'hello\\n' | openclaw chat");
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
      message: (role, body) => (role === 'user' ? said(body) : screen.print(body)),
      tool: (name) => screen.print(`· ${name}`, paint.dim),
      busy: (isBusy) => screen.busy(isBusy ? paint.dim('…') : ''),
      notice: (body) => screen.print(body, paint.dim),
      problem: (message, fix) => {
        screen.print(`${lead(t.error, t.error)}${message}`, (row, n) => (n === 0 ? row.replace(t.error, paint.red(t.error)) : row));
        if (fix !== undefined)
          screen.print(`  ${lead(t.fix, t.fix)}${fix}`, (row, n) => (n === 0 ? row.replace(t.fix, paint.bold(t.fix)) : row));
      },
    };
    const said = (body: string): void => screen.print(`\n› ${body}`, (row) => (row === '' ? '' : paint.cyan(row)));
    // Talking needs no more than read and write. What manages is asked on a connection of its own, when it is asked: nobody waits for an
    // approval of more than they use.
    const manage: Gateway['call'] = (name, params, options) =>
      via.target.endpoint.door === 'admin'
        ? via.call(name, params, options)
        : withGateway(context, { scopes: MANAGE, device: 'make' }, (gateway) => gateway.call(name, params, options));
    const talk = conversation(via, view);
    env.stdout.write('\u001b[?2004h');
    await talk.start(flags.int('history-limit', { min: 0, max: 1000 }) ?? 20);
    watchConnection(context, via, talk, view);
    screen.print(`\n${await whereText(via, talk, t)}\n${t.chatWelcome}`, paint.dim);

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
        said(printable(message));
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
            screen.print(t.chatHelp);
            return true;
          case '/abort':
          case '/stop':
            stop();
            return true;
          case '/new':
          case '/reset':
            await attempt(view, () => talk.reset(manage).then(() => view.notice(t.chatNewSession)));
            return true;
          case '/status':
            await attempt(view, async () => screen.print(await statusText(via, talk, t)));
            return true;
          case '/model':
            await attempt(view, async () => screen.print(await modelCommand({ via, talk, manage, t }, rest[0])));
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

async function attempt(view: View, task: () => Promise<void>): Promise<void> {
  try {
    await task();
  } catch (thrown) {
    const fix = isRecord(thrown) ? text(thrown['fix']) : undefined;
    view.problem(thrown instanceof Error ? printable(thrown.message) : 'failed', fix);
  }
}

/** How often a device that waits for approval knocks. Its request stays the same. */
const KNOCK_MS = 2_000;

/** Says when the connection is lost and when it is back, with what was missed. Where an approval is all that is missing, goes on by itself. */
function watchConnection({ env, out }: Context, via: Gateway, talk: Conversation, view: View): void {
  let wasLost = false;
  let told = '';
  via.client.onState((state) => {
    if (state.kind === 'waiting' && !wasLost) {
      wasLost = true;
      view.notice(
        out.text.chatReconnecting(Math.max(1, Math.round((state.untilMs - env.clock.now()) / 1000)), faultLine(state.why, out.text)),
      );
    } else if (state.kind === 'paused') {
      const { message, fix } = faultError(state.why, via.target, out.text);
      if (`${message} ${fix}` !== told) view.problem(message, fix);
      told = `${message} ${fix}`;
      if (refusalCode(state.why) === 'PAIRING_REQUIRED') env.clock.after(KNOCK_MS, () => void via.client.connect());
      wasLost = true;
    } else if (state.kind === 'open' && wasLost) {
      wasLost = false;
      told = '';
      void talk.resume().then((missed) => view.notice(out.text.chatBack(missed)));
    }
  });
  // Events that were lost on a living connection are made good the same way.
  via.client.onGap(() => void talk.resume());
}

/** A connection that only a person can mend ends a pipe. */
const lostForGood = (via: Gateway, t: Messages): Promise<Ending> =>
  new Promise((resolve) => {
    const check = (): void => {
      const { state } = via.client;
      if (state.kind === 'paused') resolve({ state: 'error', message: faultLine(state.why, t) });
    };
    via.client.onState(check);
    check();
  });

/** Whom one is talking to: `scripted/m1 · agent:main:main`. */
async function whereText(via: Gateway, talk: Conversation, t: Messages): Promise<string> {
  const [models, status] = await Promise.all([via.client.request('models.list', {}), via.client.request('status', {})]);
  if (models.ok && records(models.value.models).every((model) => model['provider'] === 'builtin')) return t.guideAnswers;
  const name = status.ok ? defaultModel(status.value) : undefined;
  return [name, printable(talk.sessionKey)].filter((part) => part !== undefined).join(' · ');
}

function defaultModel(status: unknown): string | undefined {
  const fact = record(record(record(status)['gateway'])['model']);
  const name = [text(fact['provider']), text(fact['id'])].filter(Boolean).join('/');
  return name === '' ? undefined : oneLine(name, 80);
}

async function statusText(via: Gateway, talk: Conversation, t: Messages): Promise<string> {
  const [status, sessions] = await Promise.all([via.call('status', {}), via.call('sessions.list', { limit: 200 })]);
  const row = records(sessions['sessions']).find((session) => session['key'] === talk.sessionKey);
  const model = [text(row?.['modelProvider']), text(row?.['model'])].filter(Boolean).join('/');
  const used = number(row?.['totalTokens']);
  const limit = number(row?.['contextTokens']);
  const rows = [
    [t.hopGateway, `${oneLine(text(status['runtimeVersion']) ?? '?', 40)}  ${via.target.shown}`],
    [t.session, printable(talk.sessionKey)],
    [t.hopModel, oneLine(model || defaultModel(status) || '-', 80)],
    [t.tokens, `${used === undefined ? '0' : count(used)}${limit ? ` / ${count(limit)}` : ''}`],
  ] as const;
  return pairs(rows, (name) => name);
}

async function modelCommand(
  { via, talk, manage, t }: { via: Gateway; talk: Conversation; manage: Gateway['call']; t: Messages },
  ref: string | undefined,
): Promise<string> {
  const known = records((await via.call('models.list', {})).models).map((model) =>
    oneLine(`${String(model['provider'])}/${String(model['id'])}`, 100),
  );
  if (ref === undefined) return known.length === 0 ? t.guideAnswers : `${known.map((name) => `  ${name}`).join('\n')}\n${t.chatModelHelp}`;
  const shown = oneLine(ref, 100);
  // A provider may have more models than it lists; one that is not there has none.
  if (ref !== 'default' && !known.some((name) => name.startsWith(`${ref.split('/')[0]}/`)))
    throw new UserError('MODEL_UNKNOWN', t.modelUnknown(shown, known.slice(0, 8).join(', ')), { fix: '/model' });
  const model = ref === 'default' ? null : ref;
  // The admin socket has a method of its own; over the wire it is a change of the session, which needs admin.
  if (via.target.endpoint.door === 'admin') await via.call('models.set', { sessionKey: talk.sessionKey, model });
  else await manage('sessions.patch', { key: talk.sessionKey, model });
  return known.includes(ref) || model === null ? t.chatModel(shown) : t.chatModelUnlisted(shown);
}
