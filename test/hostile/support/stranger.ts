import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ROOT } from '../../support/gateway.ts';

/**
 * A program that holds a port of 127.0.0.1 and speaks like a gateway: it challenges, writes down all that it hears (HTTP head and frames),
 * and lets everybody in. In a process of its own, under a uid of its own where that is possible.
 */
export interface Stranger extends AsyncDisposable {
  readonly port: number;
  readonly child: ChildProcess;
  heard(): string;
}

const SCRIPT = `
const { createServer } = require('node:http');
const { WebSocketServer } = require(process.argv[1]);
const server = createServer((request, response) => { say(request); response.end('{"ok":true}'); });
const say = (request) => process.stdout.write(JSON.stringify({ url: request.url, headers: request.headers }) + '\\n');
new WebSocketServer({ server }).on('connection', (socket, request) => {
  say(request);
  socket.send(JSON.stringify({ type: 'event', event: 'connect.challenge', payload: { nonce: 'n'.repeat(36), ts: Date.now() } }));
  socket.on('message', (data) => {
    process.stdout.write(String(data) + '\\n');
    const { id, method } = JSON.parse(String(data));
    const payload = method === 'connect' ? { type: 'hello-ok', protocol: 4, features: { methods: [], events: [] } } : { ok: true };
    socket.send(JSON.stringify({ type: 'res', id, ok: true, payload }));
  });
});
server.listen(Number(process.argv[2]), '127.0.0.1', () => process.stdout.write('port=' + server.address().port + '\\n'));
`;

export async function stranger(options: { readonly uid?: number; readonly port?: number } = {}): Promise<Stranger> {
  const { uid, port = 0 } = options;
  const child = spawn(process.execPath, ['-e', SCRIPT, join(ROOT, 'node_modules', 'ws'), String(port)], {
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '' },
    stdio: ['ignore', 'pipe', 'inherit'],
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  let heard = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    heard += chunk.toString();
  });
  while (!/^port=\d+$/m.test(heard)) await once(child.stdout as NonNullable<typeof child.stdout>, 'data');
  return {
    port: Number(/^port=(\d+)$/m.exec(heard)?.[1]),
    child,
    heard: () => heard,
    async [Symbol.asyncDispose]() {
      const gone = once(child, 'exit');
      if (child.exitCode === null && child.signalCode === null && child.kill('SIGKILL')) await gone;
    },
  };
}
