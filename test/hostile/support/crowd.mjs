// A crowd in a process of its own, which costs as little as a crowd can: connects all at once and says what became of it.
// node crowd.mjs URL < JSON array of connects: {auth, scopes, instanceId?, device?: {id, publicKey, privateKeyPem, …}}
// Prints {"in", "lastMs", "why": []} when the last one is in or refused, then stays until its stdin closes.
import { createPrivateKey, sign } from 'node:crypto';
import { WebSocket } from 'ws';

const [url] = process.argv.slice(2);
let text = '';
await new Promise((resolve) => {
  process.stdin.on('data', (chunk) => {
    text += chunk;
    if (text.endsWith('\n')) resolve();
  });
});
const people = JSON.parse(text);
const client = { id: 'gateway-client', version: '1.0.0', platform: 'linux', mode: 'ui' };
const began = performance.now();
const why = [];
let inside = 0;
let open = people.length;
let lastMs = 0;

function settled(reason) {
  if (reason === undefined) {
    inside++;
    lastMs = performance.now() - began;
  } else why.push(reason);
  if (--open === 0)
    process.stdout.write(`${JSON.stringify({ in: inside, lastMs, why: [...new Set(why)].slice(0, 5), refused: why.length })}\n`);
}

for (const { auth, scopes, instanceId, device } of people) {
  const ws = new WebSocket(url, { perMessageDeflate: false, handshakeTimeout: 60_000 });
  let done = false;
  const settle = (reason) => {
    if (done) return;
    done = true;
    settled(reason);
  };
  ws.on('message', (data) => {
    if (done) return;
    const head = data.subarray(0, 60).toString();
    if (head.includes('"connect.challenge"')) {
      const { payload } = JSON.parse(data.toString());
      const params = {
        minProtocol: 4,
        maxProtocol: 4,
        client: { ...client, ...(instanceId && { instanceId }) },
        role: 'operator',
        scopes,
        auth,
      };
      if (device) {
        const token = auth.deviceToken ?? auth.token ?? '';
        const parts = [
          'v3',
          device.id,
          client.id,
          client.mode,
          'operator',
          scopes.join(','),
          String(payload.ts),
          token,
          payload.nonce,
          client.platform,
          '',
        ];
        const signature = sign(null, Buffer.from(parts.join('|')), createPrivateKey(device.privateKeyPem)).toString('base64url');
        params.device = { id: device.id, publicKey: device.publicKey, signature, signedAt: payload.ts, nonce: payload.nonce };
      }
      ws.send(JSON.stringify({ type: 'req', id: 'c', method: 'connect', params }));
    } else if (head.includes('"type":"res"')) settle(head.includes('"ok":true') ? undefined : data.subarray(0, 200).toString());
  });
  ws.on('error', (error) => settle(`error ${error.message}`));
  ws.on('close', (code, reason) => settle(`closed ${code} ${reason}`));
}
process.stdin.on('end', () => process.exit(0));
