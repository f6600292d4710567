/**
 * The least that could answer the same clients: `node:http`, `ws`, JSON, and no checks at all. Says challenge and hello,
 * and answers every request with 300 bytes. A frame that is no JSON goes back as it came, or, when it starts with `*`, to
 * everyone: as often as there are connections, one prebuilt frame.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, clientTracking: false });
const server = createServer((_request, response) => response.end('{"ok":true}'));
const open = new Set<WebSocket>();
server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, serve));
const host = process.argv[2] ?? '127.0.0.1';
server.listen(0, host, () => console.log(`listening on ws://${host}:${(server.address() as AddressInfo).port}`));

const ANSWER = { ok: true, ts: 0, durationMs: 0, agents: [], sessions: { count: 0, recent: [] }, pad: 'x'.repeat(200) };
const BRACE = 0x7b;
const STAR = 0x2a;

function serve(ws: WebSocket): void {
  open.add(ws);
  ws.on('close', () => open.delete(ws));
  ws.send('{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":0}}');
  ws.on('message', (data: Buffer) => {
    if (data[0] === BRACE) {
      const { id } = JSON.parse(data.toString()) as { id: string };
      ws.send(JSON.stringify({ type: 'res', id, ok: true, payload: ANSWER }));
    } else if (data[0] === STAR) {
      for (const other of open) other.send(data, { binary: false });
    } else ws.send(data, { binary: false });
  });
}
