import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

// An OpenAI-compatible model server in a process of its own, for tests: `node scripted-provider-server.ts SEED FLAVOUR`.
// Prints its URL. What it answers is chosen by the last user message; see `scripted-provider.ts` for the scripts.

export interface RecordedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
  /** The client closed the connection before the answer had ended. */
  aborted: boolean;
  finished: boolean;
}

/** An answer as it left this process, token by token: for checking what must have been kept of it. */
export interface SentAnswer {
  /** The last paragraph of the last user message. */
  readonly asked: string;
  /** Ms since 1970, with fractions: comparable between processes of one machine. */
  readonly began: number;
  /** Each token and when its last byte was written. */
  readonly tokens: (readonly [text: string, at: number])[];
}

interface Message {
  readonly role: string;
  readonly content: unknown;
}
interface ChatBody {
  readonly model?: string;
  readonly messages?: readonly Message[];
  readonly stream?: boolean;
  readonly stream_options?: { readonly include_usage?: boolean };
  readonly tools?: readonly unknown[];
}
type Delta = Readonly<Record<string, unknown>>;

const MAX_BODY = 64 * 1024 * 1024;
const MAX_RECORDED = 2_000;
const MAX_SENT = 50_000;

/** mulberry32: the same seed, the same cuts. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));

const textOf = (content: unknown): string =>
  typeof content === 'string'
    ? content
    : Array.isArray(content)
      ? content.map((part: { text?: unknown }) => (typeof part.text === 'string' ? part.text : '')).join('')
      : '';

/** `TEST:cut after=5 times=2` → name `cut`, options, and the words that are no option. */
function parseScript(text: string): { name: string; options: Map<string, string>; words: string[]; rest: string } | undefined {
  const match = /TEST:([a-z-]+)[ \t]*([^\n]*)/.exec(text);
  if (match === null) return undefined;
  const options = new Map<string, string>();
  const words: string[] = [];
  for (const word of (match[2] ?? '').split(/\s+/)) {
    const at = word.indexOf('=');
    if (at > 0) options.set(word.slice(0, at), word.slice(at + 1));
    else if (word !== '') words.push(word);
  }
  return { name: match[1] ?? '', options, words, rest: match[2] ?? '' };
}

function serve(seed: number, flavour: string): void {
  const draw = random(seed);
  const recorded: RecordedRequest[] = [];
  const sent: SentAnswer[] = [];
  const now = (): number => performance.timeOrigin + performance.now();
  const times = new Map<string, number>();
  let callNumber = 0;

  const json = (res: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
    res.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
  };
  const error = (res: ServerResponse, status: number, message: string, more: object = {}, headers: Record<string, string> = {}): void =>
    json(res, status, { error: { message, type: 'test_error', code: status, ...more } }, headers);

  /** How often this message has been answered before; `times=n` scripts fail only the first n times. */
  const count = (key: string): number => {
    const before = times.get(key) ?? 0;
    times.set(key, before + 1);
    return before;
  };

  /** Writes bytes in pieces that end anywhere, in the middle of a character too. */
  async function chopped(res: ServerResponse, text: string): Promise<void> {
    const bytes = Buffer.from(text);
    for (let at = 0; at < bytes.length; ) {
      const size = 1 + Math.floor(draw() * 40);
      res.write(bytes.subarray(at, at + size));
      at += size;
      if (draw() < 0.3) await sleep(0);
    }
  }

  async function chat(body: ChatBody, req: RecordedRequest, res: ServerResponse): Promise<void> {
    const messages = body.messages ?? [];
    const lastUser = messages.findLast(({ role }) => role === 'user');
    const asked = textOf(lastUser?.content);
    // A message that was never answered is sent along with the next one, as a paragraph before it.
    const script = parseScript(asked.split('\n\n').at(-1) ?? '');
    const log: SentAnswer = { asked: asked.split('\n\n').at(-1) ?? '', began: now(), tokens: [] };
    if (sent.push(log) > MAX_SENT) sent.shift();
    if (flavour === 'refusing') return error(res, 401, 'no');
    const option = (name: string, fallback: number): number => Number(script?.options.get(name) ?? fallback);
    const before = count(asked);
    const failsNow = before < option('times', Number.POSITIVE_INFINITY);
    const promptTokens = Math.ceil(JSON.stringify(messages).length / 4);
    const model = body.model ?? 'scripted';
    const stream = body.stream === true;
    const id = `chatcmpl-${++callNumber}`;
    let output = 0;

    const chunk = (delta: Delta, finish: string | null = null): string =>
      `data: ${JSON.stringify({
        id,
        object: 'chat.completion.chunk',
        created: 1,
        model,
        system_fingerprint: 'b0-test',
        choices: [{ index: 0, delta, finish_reason: finish }],
      })}\n\n`;
    const begin = (): void => {
      res.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' });
      res.flushHeaders();
    };
    const usage = (): object => ({ prompt_tokens: promptTokens, completion_tokens: output, total_tokens: promptTokens + output });
    const end = async (finish: string): Promise<void> => {
      await chopped(res, chunk({}, finish));
      if (body.stream_options?.include_usage === true) {
        const last = {
          id,
          object: 'chat.completion.chunk',
          created: 1,
          model,
          choices: [],
          usage: usage(),
          timings: { predicted_n: output },
        };
        await chopped(res, `data: ${JSON.stringify(last)}\n\n`);
      }
      await chopped(res, 'data: [DONE]\n\n');
      res.end();
    };
    /** A whole answer, token by token. `cutAfter`: the connection is destroyed there; `hangAfter`: it goes silent. */
    const answer = async (
      tokens: readonly string[],
      {
        delay = 0,
        cutAfter = Number.POSITIVE_INFINITY,
        hangAfter = Number.POSITIVE_INFINITY,
        malformedAfter = Number.POSITIVE_INFINITY,
      } = {},
    ): Promise<void> => {
      if (!stream) {
        output = tokens.length;
        const message = { role: 'assistant', content: tokens.join('') };
        json(res, 200, {
          id,
          object: 'chat.completion',
          created: 1,
          model,
          choices: [{ index: 0, message, finish_reason: 'stop' }],
          usage: usage(),
        });
        return;
      }
      if (!res.headersSent) {
        begin();
        await chopped(res, chunk({ role: 'assistant', content: null }));
      }
      for (const [index, token] of tokens.entries()) {
        if (res.destroyed || req.aborted) return;
        if (index >= cutAfter) {
          // Not at an event's end: half a chunk is what a dying server leaves.
          res.write(chunk({ content: token }).slice(0, 20));
          await sleep(20);
          res.socket?.destroy();
          return;
        }
        if (index >= malformedAfter) {
          await chopped(res, 'data: {"choices": [{"delta": {"content": \n\n');
          res.end();
          return;
        }
        if (index >= hangAfter) return;
        await chopped(res, chunk({ content: token }));
        log.tokens.push([token, now()]);
        output++;
        if (delay > 0) await sleep(delay);
      }
      if (cutAfter === tokens.length) {
        res.socket?.destroy();
        return;
      }
      await end('stop');
    };
    const toolCall = async (name: string, args: object, text = ''): Promise<void> => {
      const call = `call_${callNumber}`;
      begin();
      await chopped(res, chunk({ role: 'assistant', content: text === '' ? null : text }));
      const input = JSON.stringify(args);
      const middle = Math.floor(input.length / 2);
      await chopped(res, chunk({ tool_calls: [{ index: 0, id: call, type: 'function', function: { name, arguments: '' } }] }));
      for (const piece of [input.slice(0, middle), input.slice(middle)]) {
        await chopped(res, chunk({ tool_calls: [{ index: 0, function: { arguments: piece } }] }));
      }
      output += 5;
      await end('tool_calls');
    };
    const lastIsTool = messages.at(-1)?.role === 'tool';
    const words = (text: string): string[] => text.match(/\S+\s*/g) ?? [text];
    const numbered = (n: number): string[] => Array.from({ length: n }, (_, i) => `token${i} `);

    switch (script?.name) {
      case 'tokens':
        return await answer(numbered(option('n', 10)), { delay: option('delay', 0) });
      case 'text':
        return await answer(words(script.rest.replace(/\\n/g, '\n')));
      case 'unicode':
        return await answer(['你好，', '世界 ', '🦞🦞', ' ça', ' и всё', ' 👩‍👩‍👧‍👦.']);
      case 'think': {
        begin();
        await chopped(res, chunk({ role: 'assistant', content: null }));
        for (const part of ['First ', 'I think. ']) await chopped(res, chunk({ reasoning_content: part }));
        return await answer(words('Then I answer.'));
      }
      case 'tool': {
        if (lastIsTool) return await answer(words(`The tool said: ${textOf(messages.at(-1)?.content)}`));
        const args = Object.fromEntries([...script.options].map(([key, value]) => [key, value.replaceAll('_', ' ')]));
        return await toolCall(script.words[0] ?? 'read', args, script.words.includes('talking') ? 'Let me look. ' : '');
      }
      case 'tool-then-cut':
        if (!lastIsTool) return await toolCall('read', { path: script.options.get('path') ?? 'notes.md' });
        return await answer(numbered(10), { cutAfter: 3 });
      case 'tool-then-error':
        if (!lastIsTool) return await toolCall('write', { path: 'made.txt', content: 'made' });
        if (before <= option('fails', 2)) return error(res, 503, 'overloaded');
        return await answer(words('All done.'));
      case 'loop':
        return body.tools === undefined ? await answer(words('I stop now.')) : await toolCall('list', {});
      case 'bad-tool':
        return lastIsTool
          ? await answer(words(`The tool said: ${textOf(messages.at(-1)?.content)}`))
          : await badToolCall(script.words[0] ?? 'json');
      case 'cut':
        if (!failsNow) return await answer(words('Whole this time.'));
        return await answer(numbered(20), { cutAfter: option('after', 5), delay: option('delay', 0) });
      case 'no-finish':
        begin();
        for (const token of numbered(3)) await chopped(res, chunk({ content: token }));
        await chopped(res, 'data: [DONE]\n\n');
        res.end();
        return;
      case 'malformed':
        if (!failsNow) return await answer(words('Whole this time.'));
        return await answer(numbered(10), { malformedAfter: option('after', 3) });
      case 'html':
        res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Welcome</html>');
        return;
      case 'hang':
        if (!failsNow) return await answer(words('Awake again.'));
        return await answer(numbered(20), { hangAfter: option('after', 3) });
      case 'slow':
        await sleep(option('first', 1_000));
        return await answer(words('Slow but sure.'));
      case 'error': {
        const status = Number(script.words[0] ?? 500);
        if (!failsNow) return await answer(words('Better now.'));
        const wait = script.options.get('retry-after');
        const message = script.options.get('message')?.replaceAll('_', ' ') ?? `scripted error ${status}`;
        return error(
          res,
          status,
          message,
          { type: script.options.get('type') ?? 'test_error' },
          wait === undefined ? {} : { 'retry-after': wait },
        );
      }
      case 'leak':
        return error(res, 401, `Incorrect API key provided: ${req.headers['authorization']?.replace('Bearer ', '') ?? ''}.`);
      case 'context': {
        const window = option('n_ctx', 2048);
        if (promptTokens <= window && !script.words.includes('always')) return await answer(words(`It fits: ${promptTokens}.`));
        return json(res, 400, {
          error: {
            code: 400,
            message: 'request exceeds the available context size, try increasing it',
            type: 'exceed_context_size_error',
            n_prompt_tokens: Math.max(promptTokens, window + 1),
            n_ctx: window,
          },
        });
      }
      case 'no-tools':
        if (body.tools !== undefined) return error(res, 400, `${model} does not support tools`);
        return await answer(words('No tools needed.'));
      case 'stream-error':
        begin();
        await chopped(res, chunk({ content: 'half ' }));
        await chopped(res, `data: ${JSON.stringify({ error: { message: 'out of memory', type: 'server_error', code: 500 } })}\n\n`);
        res.end();
        return;
      case 'redirect':
        res.writeHead(307, { location: script.words[0] ?? 'http://127.0.0.1:9/' }).end();
        return;
      default:
        return await answer(words(`You said: ${asked}`));
    }

    async function badToolCall(kind: string): Promise<void> {
      begin();
      const name = kind === 'unknown' ? 'rm_rf' : 'read';
      const args =
        kind === 'json'
          ? '{"path": '
          : kind === 'proto'
            ? '{"__proto__": {"path": "notes.md"}}'
            : kind === 'array'
              ? '[1]'
              : '{"path": "x"}';
      await chopped(res, chunk({ tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name, arguments: args } }] }));
      await end('tool_calls');
    }
  }

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const path = req.url ?? '/';
    if (path === '/__requests') return json(res, 200, recorded);
    if (path === '/__sent') return json(res, 200, sent);
    const chunks: Buffer[] = [];
    let size = 0;
    for await (const part of req as AsyncIterable<Buffer>) {
      size += part.length;
      if (size > MAX_BODY) return error(res, 413, 'too large');
      chunks.push(part);
    }
    const text = Buffer.concat(chunks).toString('utf8');
    let body: unknown = text;
    try {
      body = JSON.parse(text);
    } catch {
      // Recorded as it came.
    }
    const headers = Object.fromEntries(Object.entries(req.headers).map(([name, value]) => [name, String(value)]));
    const record: RecordedRequest = { method: req.method ?? '', path, headers, body, aborted: false, finished: false };
    if (recorded.push(record) > MAX_RECORDED) recorded.shift();
    res.on('finish', () => {
      record.finished = true;
    });
    res.on('close', () => {
      if (!record.finished) record.aborted = true;
    });

    if (path === '/v1/chat/completions' || path === '/chat/completions') return await chat((body ?? {}) as ChatBody, record, res);
    if (flavour === 'other') {
      res.writeHead(200, { 'content-type': 'text/html' }).end('<html>Some other program</html>');
      return;
    }
    if (path === '/v1/models') {
      return json(res, 200, {
        object: 'list',
        data: [{ id: 'scripted', object: 'model', created: 1, owned_by: 'test', meta: { n_ctx_train: 8192 } }],
      });
    }
    if (flavour === 'llamacpp' && path === '/props') {
      return json(res, 200, { default_generation_settings: { n_ctx: 2048 }, total_slots: 2, model_path: '/x/scripted.gguf' });
    }
    if (flavour === 'ollama' && path === '/api/tags') {
      return json(res, 200, {
        models: [
          { name: 'scripted:latest', details: { family: 'llama' } },
          { name: 'nomic-embed-text:latest', details: { family: 'nomic-bert' } },
        ],
      });
    }
    if (flavour === 'ollama' && path === '/api/ps') return json(res, 200, { models: [{ name: 'scripted:latest', context_length: 8192 }] });
    if (flavour === 'lmstudio' && path === '/api/v0/models') {
      return json(res, 200, {
        object: 'list',
        data: [
          { id: 'scripted', type: 'llm', max_context_length: 32768, loaded_context_length: 4096 },
          { id: 'e', type: 'embeddings' },
        ],
      });
    }
    error(res, 404, 'no such route');
  }

  const server = createServer((req, res) => {
    handle(req, res).catch((thrown: unknown) => {
      if (!res.headersSent) error(res, 500, thrown instanceof Error ? thrown.message : 'failed');
      else res.destroy();
    });
  });
  server.listen(0, '127.0.0.1', () => {
    process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}\n`);
  });
  // Its parent's pipe: when the test process is gone, so is this one.
  process.stdin.on('close', () => process.exit(0)).resume();
}

serve(Number(process.argv[2] ?? 1), process.argv[3] ?? 'openai');
