// The honest neighbour: a process of its own that asks `health` every 10 ms over one WebSocket, as a device-less local
// client with the token, and writes how long each answer took (ms) when its stdin closes.
// node neighbour.mjs URL TOKEN
import { WebSocket } from 'ws';

const [url, token] = process.argv.slice(2);
const took = [];
let failed = 0;
const ws = new WebSocket(url, { perMessageDeflate: false });
let asked;
let n = 0;
let timer;
const ask = () => {
  asked = performance.now();
  ws.send(JSON.stringify({ type: 'req', id: `n${++n}`, method: 'health' }));
};
ws.on('message', (data) => {
  const frame = JSON.parse(data.toString());
  if (frame.type === 'event' && frame.event === 'connect.challenge') {
    ws.send(
      JSON.stringify({
        type: 'req',
        id: 'c',
        method: 'connect',
        params: {
          minProtocol: 3,
          maxProtocol: 4,
          client: { id: 'cli', version: '1', platform: 'linux', mode: 'cli' },
          role: 'operator',
          scopes: ['operator.read'],
          auth: { token },
        },
      }),
    );
  } else if (frame.type === 'res' && frame.id === 'c') {
    if (!frame.ok) process.exit(3);
    process.stdout.write('ready\n');
    ask();
  } else if (frame.type === 'res' && frame.id === `n${n}`) {
    if (!frame.ok) failed++;
    took.push(performance.now() - asked);
    timer = setTimeout(ask, 10);
  }
});
const end = () => {
  clearTimeout(timer);
  // A question that is still open counts with the time it has waited.
  if (asked !== undefined && took.length < n) took.push(performance.now() - asked);
  process.stdout.write(`${JSON.stringify({ took, failed, closed: ws.readyState !== ws.OPEN })}\n`, () => process.exit(0));
};
ws.on('error', () => {});
process.stdin.on('end', end).resume();
