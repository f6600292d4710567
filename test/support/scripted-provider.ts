import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { RecordedRequest, SentAnswer } from './scripted-provider-server.ts';

export type { RecordedRequest, SentAnswer };

export interface ScriptedProvider {
  /** Base URL for a client: `http://127.0.0.1:PORT/v1`. */
  readonly url: string;
  /** The same without `/v1`. */
  readonly origin: string;
  /** What the cuts of its streams were drawn from; print it with a failure. */
  readonly seed: number;
  /** Every request so far, probes too, oldest first. */
  requests(): Promise<readonly RecordedRequest[]>;
  /** The bodies of chat requests alone. */
  chats(): Promise<readonly ChatRequest[]>;
  /** What it streamed and when, one for each chat request, oldest first. */
  sent(): Promise<readonly SentAnswer[]>;
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
export interface ChatRequest {
  readonly model: string;
  readonly messages: readonly { readonly role: string; readonly content: unknown; readonly tool_calls?: unknown }[];
  readonly tools?: readonly unknown[];
  readonly [key: string]: unknown;
}

/**
 * An OpenAI-compatible model server in a process of its own. Its streams are chopped at random bytes, drawn from `seed`.
 * The last user message chooses what happens (anything else is answered "You said: …"):
 *
 * - `TEST:tokens n=14 delay=60` · `TEST:text …` · `TEST:unicode` · `TEST:think` (reasoning first)
 * - `TEST:tool read path=notes.md` calls the tool, then answers "The tool said: <result>"; `talking` says something first; `_` in values is a blank
 * - `TEST:loop` calls tools as long as any are offered · `TEST:bad-tool json|proto|array|unknown` · `TEST:tool-then-cut` · `TEST:tool-then-error fails=2`
 * - `TEST:cut after=5 times=1` destroys the connection · `TEST:malformed after=3` · `TEST:no-finish` · `TEST:html` · `TEST:stream-error`
 * - `TEST:error 500 times=2` · `TEST:error 429 retry-after=1` · `TEST:leak` (401 that quotes the key)
 * - `TEST:context n_ctx=2048 [always]` (llama.cpp's refusal) · `TEST:no-tools` · `TEST:redirect URL`
 * - `TEST:slow first=1000` · `TEST:hang after=3`
 *
 * `times=n`: only the first n tries of that very message fail. `flavour`: what else it looks like to a probe; `refusing` answers
 * every chat with 401.
 */
export async function startScriptedProvider(
  options: {
    readonly seed?: number;
    readonly flavour?: 'openai' | 'ollama' | 'lmstudio' | 'llamacpp' | 'other' | 'refusing';
    readonly wrap?: readonly string[];
  } = {},
): Promise<ScriptedProvider> {
  const seed = options.seed ?? Math.floor(Math.random() * 2 ** 31);
  const script = fileURLToPath(new URL('./scripted-provider-server.ts', import.meta.url));
  // `wrap`: a prefix that puts it on another host (`ip netns exec …`).
  const argv = [
    ...(options.wrap ?? []),
    process.execPath,
    '--disable-warning=ExperimentalWarning',
    script,
    String(seed),
    options.flavour ?? 'openai',
  ];
  const child = spawn(argv[0] as string, argv.slice(1), {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const lines = createInterface({ input: child.stdout });
  const exited = once(child, 'exit');
  const [origin] = (await Promise.race([
    once(lines, 'line'),
    exited.then(() => {
      throw new Error('the scripted provider ended before it listened');
    }),
  ])) as [string];

  const requests = async (): Promise<readonly RecordedRequest[]> => {
    const response = await fetch(`${origin}/__requests`);
    return (await response.json()) as readonly RecordedRequest[];
  };
  const close = async (): Promise<void> => {
    child.stdin.end();
    child.kill('SIGKILL');
    await exited;
  };
  return {
    url: `${origin}/v1`,
    origin,
    seed,
    requests,
    async chats() {
      return (await requests()).filter(({ path }) => path.endsWith('/chat/completions')).map(({ body }) => body as ChatRequest);
    },
    sent: async () => (await (await fetch(`${origin}/__sent`)).json()) as readonly SentAnswer[],
    close,
    [Symbol.asyncDispose]: close,
  };
}
