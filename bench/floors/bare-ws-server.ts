/**
 * The least that could answer the same clients: `node:http`, `ws`, JSON, and no checks at all. Says challenge, hello, and
 * `{ok:true}` to every request.
 */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type WebSocket, WebSocketServer } from 'ws';

const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });
const server = createServer((_request, response) => response.end('{"ok":true}'));
server.on('upgrade', (request, socket, head) => sockets.handleUpgrade(request, socket, head, serve));
server.listen(0, '127.0.0.1', () => console.log(`listening on ws://127.0.0.1:${(server.address() as AddressInfo).port}`));

const ANSWER = { ok: true, ts: 0, durationMs: 0, agents: [], sessions: { count: 0, recent: [] }, pad: 'x'.repeat(200) };

function serve(ws: WebSocket): void {
  ws.send('{"type":"event","event":"connect.challenge","payload":{"nonce":"n","ts":0}}');
  ws.on('message', (data) => {
    const { id } = JSON.parse(data.toString()) as { id: string };
    ws.send(JSON.stringify({ type: 'res', id, ok: true, payload: ANSWER }));
  });
}
