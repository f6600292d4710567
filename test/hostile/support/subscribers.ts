import { createInterface } from 'node:readline';
import { WebSocket } from 'ws';
import { connectParams, newDevice } from '../../support/wire.ts';

// Clients in a process of their own that only count: `node subscribers.ts URL TOKEN N PROTOCOL`. Prints `ready`; a line on its input is a
// session key and a message, to be sent by the first of them; for each it prints how the run ended and what every client was sent
// meanwhile. Frames are looked into only as far as needed.

const [url = '', token = '', count = '1', protocol = '4'] = process.argv.slice(2);
const received = new Array<number>(Number(count)).fill(0);
const answers = new Map<string, (text: string) => void>();
const ends = new Map<string, (text: string) => void>();

async function open(index: number): Promise<WebSocket> {
  const ws = new WebSocket(url, { perMessageDeflate: false, maxPayload: 0 });
  return new Promise((resolve, reject) => {
    ws.on('error', reject);
    ws.on('close', (code) => reject(new Error(`closed ${code}`)));
    ws.on('message', (data: Buffer) => {
      received[index] = (received[index] ?? 0) + data.length;
      const head = data.toString('latin1', 0, 400);
      if (head.includes('"connect.challenge"')) {
        const { payload } = JSON.parse(data.toString()) as { payload: { nonce: string; ts: number } };
        const options = { auth: { token }, device: newDevice(), caps: ['tool-events'], protocol: Number(protocol) as 3 | 4 };
        ws.send(JSON.stringify({ type: 'req', id: 'c', method: 'connect', params: connectParams(payload, options) }));
        return;
      }
      if (head.includes('"id":"c"')) {
        if (head.includes('"ok":true')) resolve(ws);
        else reject(new Error(data.toString()));
        return;
      }
      if (index !== 0) return;
      const id = /"type":"res","id":"([^"]+)"|"id":"([^"]+)","ok"/.exec(head);
      if (id !== null) answers.get(id[1] ?? id[2] ?? '')?.(data.toString());
      const end = head.includes('"event":"chat"') ? /"runId":"([^"]+)".*?"state":"(?:final|error|aborted)"/.exec(head) : null;
      if (end !== null) ends.get(end[1] ?? '')?.(data.toString());
    });
  });
}

const clients: WebSocket[] = [];
// A few at a time: a hundred at once are a flood.
for (let at = 0; at < received.length; at += 10) {
  clients.push(...(await Promise.all(received.slice(at, at + 10).map((_, index) => open(at + index)))));
}
const first = clients[0] as WebSocket;
process.stdout.write('ready\n');
let next = 0;
createInterface({ input: process.stdin }).on('line', (line) => {
  const { sessionKey, message } = JSON.parse(line) as { sessionKey: string; message: string };
  const runId = `hostile-${process.pid}-${++next}`;
  const before = [...received];
  const began = performance.now();
  answers.set(runId, (text) => {
    if (!text.includes('"ok":true')) process.stdout.write(`${JSON.stringify({ sessionKey, refused: text.slice(0, 400) })}\n`);
  });
  ends.set(runId, (text) => {
    const { payload } = JSON.parse(text) as {
      payload: { state: string; stopReason?: string; errorMessage?: string; message?: { content: { text?: string }[] } };
    };
    const said = payload.message?.content.map((part) => part.text ?? '').join('') ?? '';
    const ms = Math.round(performance.now() - began);
    // What is still on its way counts too.
    setTimeout(() => {
      const bytes = received.map((now, index) => now - (before[index] ?? 0));
      process.stdout.write(
        `${JSON.stringify({
          sessionKey,
          state: payload.state,
          stopReason: payload.stopReason,
          error: payload.errorMessage,
          chars: said.length,
          head: said.slice(0, 100),
          ms,
          mine: bytes[0],
          others: Math.max(0, ...bytes.slice(1)),
        })}\n`,
      );
    }, 300);
  });
  const params = { sessionKey, message, idempotencyKey: runId };
  first.send(JSON.stringify({ type: 'req', id: runId, method: 'chat.send', params }));
});
process.stdin.on('close', () => process.exit(0));
