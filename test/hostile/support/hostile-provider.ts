import { once } from 'node:events';
import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createGzip } from 'node:zlib';

// A model server that does its worst: `node hostile-provider.ts` prints its URL. The last user message says what: `HOSTILE:name key=value`.

const MIB = 1024 * 1024;
const ID = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm' };
const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ ...ID, choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const call = (index: number, name: string, input: string): object => ({
  tool_calls: [{ index, id: `call_${index}`, type: 'function', function: { name, arguments: input } }],
});
const more = (index: number, input: string): object => ({ tool_calls: [{ index, function: { arguments: input } }] });

/** Writes as fast as the reader takes it. False: it has gone. */
async function put(res: ServerResponse, text: string | Buffer): Promise<boolean> {
  if (res.destroyed) return false;
  if (res.write(text)) return true;
  const over = new AbortController();
  const { signal } = over;
  await Promise.race([once(res, 'drain', { signal }), once(res, 'close', { signal })]).finally(() => over.abort());
  return !res.destroyed;
}
/** The same text many times, in writes of some 64 KiB. */
async function repeat(res: ServerResponse, times: number, text: string): Promise<boolean> {
  const together = Math.max(1, Math.floor(65_536 / text.length));
  const block = text.repeat(together);
  for (let left = times; left > 0; left -= together) if (!(await put(res, left >= together ? block : text.repeat(left)))) return false;
  return true;
}
async function finish(res: ServerResponse, reason = 'stop'): Promise<void> {
  await put(res, chunk({}, reason));
  await put(
    res,
    `data: ${JSON.stringify({ ...ID, choices: [], usage: { prompt_tokens: 5, completion_tokens: 5, total_tokens: 10 } })}\n\n`,
  );
  await put(res, 'data: [DONE]\n\n');
  res.end();
}

async function misbehave(
  name: string,
  n: (key: string, fallback: number) => number,
  after: boolean,
  offered: boolean,
  res: ServerResponse,
): Promise<void> {
  const sse = (headers: Record<string, string> = {}): void => {
    res.writeHead(200, { 'content-type': 'text/event-stream', ...headers });
  };
  if (after && name !== 'hoard') {
    sse();
    await put(res, chunk({ content: 'done' }));
    return await finish(res);
  }
  switch (name) {
    case 'text':
      sse();
      await repeat(res, n('n', 80_000), chunk({ content: 'abc ' }));
      return await finish(res);
    case 'slow-text': {
      // So many characters over so many seconds.
      sse();
      const pieces = n('seconds', 10) * 50;
      const piece = 'x'.repeat(Math.ceil(n('n', 100_000) / pieces));
      for (let i = 0; i < pieces && (await put(res, chunk({ content: piece }))); i++) await new Promise((done) => setTimeout(done, 20));
      return await finish(res);
    }
    case 'think':
      sse();
      await repeat(res, n('n', 40_000), chunk({ reasoning_content: 'abc ' }));
      await put(res, chunk({ content: 'thought' }));
      return await finish(res);
    case 'mixed':
      sse();
      await repeat(res, n('n', 20_000), chunk({ reasoning_content: 'ab ' }) + chunk({ content: 'cd ' }));
      return await finish(res);
    case 'input':
      sse();
      await put(res, chunk(call(0, 'write', '{"path":"big.txt","content":"')));
      await repeat(res, n('n', 300_000), chunk(more(0, 'x')));
      await put(res, chunk(more(0, '"}')));
      return await finish(res, 'tool_calls');
    case 'nameless':
      sse();
      await repeat(res, n('mb', 60), chunk(more(0, 'x'.repeat(MIB - 200))));
      return await finish(res, 'tool_calls');
    case 'hoard':
      // Goes on writing as long as it may; `after` is not asked here.
      sse();
      if (!offered) {
        await put(res, chunk({ content: 'enough' }));
        return await finish(res);
      }
      await put(res, chunk(call(0, 'write', '{"path":"hoard.txt","content":"')));
      for (let i = 0; i < 9; i++) await put(res, chunk(more(0, 'x'.repeat(100_000))));
      await put(res, chunk(more(0, '"}')));
      return await finish(res, 'tool_calls');
    case 'one-input':
      sse();
      await put(res, chunk(call(0, 'write', JSON.stringify({ path: 'big.txt', content: 'x'.repeat(n('mb', 10) * MIB) }))));
      return await finish(res, 'tool_calls');
    case 'calls':
      sse();
      for (let i = 0; i < n('n', 100_000); i++) if (!(await put(res, chunk(call(i, 'list', '{}'))))) return;
      return await finish(res, 'tool_calls');
    case 'calls-in-one':
      sse();
      await put(
        res,
        chunk({ tool_calls: Array.from({ length: n('n', 20_000) }, (_, i) => ({ function: i % 2 ? {} : { name: 'a', arguments: '{' } })) }),
      );
      return await finish(res, 'tool_calls');
    case 'bytes':
      sse();
      res.socket?.setNoDelay(true);
      for (const byte of Buffer.from(chunk({ content: 'byte by byte ' }).repeat(n('n', 100)))) {
        if (!(await put(res, Buffer.from([byte])))) return;
        await new Promise((done) => setImmediate(done));
      }
      return await finish(res);
    case 'comments':
      sse();
      await repeat(res, n('n', 64 * 1024), `: ${'c'.repeat(n('size', 1020))}\n\n`);
      await put(res, chunk({ content: 'after' }));
      return await finish(res);
    case 'delta':
      sse();
      await put(res, chunk({ content: 'x'.repeat(n('n', 1_000_001)) }));
      return await finish(res);
    case 'line':
      sse();
      await put(res, chunk({ content: 'begun ' }));
      await put(res, 'data: {"choices":[{"index":0,"delta":{"content":"');
      await repeat(res, n('mb', 60) * 1024, 'x'.repeat(1024));
      return await finish(res);
    case 'data-lines':
      sse();
      await repeat(res, n('n', 5_000_000), 'data: x\n');
      return await finish(res);
    case 'junk':
      sse();
      await put(res, chunk({ content: 'begun ' }));
      await repeat(res, n('mb', 60), `data: ${JSON.stringify({ ...ID, choices: [], junk: 'x'.repeat(MIB - 300) })}\n\n`);
      return await finish(res);
    case 'finishes':
      sse();
      await put(res, chunk({ content: 'begun ' }));
      await repeat(res, n('n', 100_000), chunk({}, 'stop'));
      return await finish(res);
    case 'error':
      res.writeHead(n('status', 400), { 'content-type': 'application/json' });
      await put(res, '{"error":{"message":"');
      await repeat(res, n('mb', 50) * 1024, 'x'.repeat(1024));
      res.end('"}}');
      return;
    case 'json':
      res.writeHead(200, { 'content-type': 'application/json' });
      await put(res, '{"choices":[{"message":{"role":"assistant","content":"');
      await repeat(res, n('mb', 60) * 1024, 'x'.repeat(1024));
      res.end('"}}]}');
      return;
    case 'gzip': {
      sse({ 'content-encoding': 'gzip' });
      const packed = createGzip({ level: 1 });
      packed.pipe(res);
      const block = Buffer.from(`data: ${'x'.repeat(60_000)}`);
      for (let i = 0; i < n('mb', 500) * 16 && !res.destroyed; i++)
        if (!packed.write(block)) await Promise.race([once(packed, 'drain'), once(res, 'close')]);
      packed.end();
      return;
    }
    case 'headers': {
      const socket = res.socket;
      socket?.write('HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n');
      while (socket !== null && !socket.destroyed) {
        if (!socket.write(`x-more-${Math.random()}: ${'h'.repeat(1000)}\r\n`)) {
          await Promise.race([once(socket, 'drain'), once(socket, 'close')]);
        }
      }
      return;
    }
    default:
      sse();
      await put(res, chunk({ content: `no ${name} here` }));
      return await finish(res);
  }
}

const server = createServer((req, res) => {
  const parts: Buffer[] = [];
  req.on('data', (part: Buffer) => void parts.push(part));
  req.on('end', () => {
    if (req.method !== 'POST') return void res.writeHead(404).end();
    const { messages, tools } = JSON.parse(Buffer.concat(parts).toString()) as {
      messages: { role: string; content: unknown }[];
      tools?: unknown[];
    };
    const asked = JSON.stringify(messages.findLast(({ role }) => role === 'user')?.content ?? '');
    const found = [...asked.matchAll(/HOSTILE:([a-z-]+)((?: [a-z]+=\d+)*)/g)].at(-1);
    const options = new Map(
      (found?.[2] ?? '')
        .trim()
        .split(' ')
        .map((pair) => pair.split('=') as [string, string]),
    );
    misbehave(
      found?.[1] ?? '',
      (key, fallback) => Number(options.get(key) ?? fallback),
      messages.at(-1)?.role === 'tool',
      tools !== undefined,
      res,
    ).catch(() => res.destroy());
  });
});
server.on('clientError', (_error, socket) => socket.destroy());
server.listen(0, '127.0.0.1', () => process.stdout.write(`http://127.0.0.1:${(server.address() as AddressInfo).port}/v1\n`));
process.on('uncaughtException', () => {});
process.on('unhandledRejection', () => {});
process.stdin.on('close', () => process.exit(0)).resume();
