import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { openHouse } from '../contract/support/house.ts';
import { pythonMissing, pythonWith } from '../support/python.ts';

const missing = pythonMissing();

/** A client of another language and another WebSocket library, which offers compression and signs with another Ed25519. */
const CLIENT = `
import asyncio, base64, hashlib, json, sys, uuid
import websockets
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

url, token, protocol = sys.argv[1], sys.argv[2], int(sys.argv[3])
key = Ed25519PrivateKey.generate()
raw = key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
b64 = lambda data: base64.urlsafe_b64encode(data).rstrip(b"=").decode()

async def main():
    async with websockets.connect(url, max_size=None) as ws:
        async def answer(method, params):
            id = str(uuid.uuid4())
            await ws.send(json.dumps({"type": "req", "id": id, "method": method, "params": params}))
            while True:
                frame = json.loads(await ws.recv())
                if frame["type"] == "res" and frame["id"] == id: return frame
                seen.append(frame)
        seen = []
        challenge = json.loads(await ws.recv())
        assert challenge["event"] == "connect.challenge" and "seq" not in challenge, challenge
        nonce, ts = challenge["payload"]["nonce"], challenge["payload"]["ts"]
        scopes = ["operator.read", "operator.write"]
        device = hashlib.sha256(raw).hexdigest()
        text = "|".join(["v3", device, "gateway-client", "ui", "operator", ",".join(scopes), str(ts), token, nonce, "linux", ""])
        hello = await answer("connect", {
            "minProtocol": protocol, "maxProtocol": protocol, "role": "operator", "scopes": scopes, "caps": ["tool-events"],
            "client": {"id": "gateway-client", "version": "1.0", "platform": "linux", "mode": "ui"}, "auth": {"token": token},
            "device": {"id": device, "publicKey": b64(raw), "signature": b64(key.sign(text.encode())), "signedAt": ts, "nonce": nonce},
        })
        assert hello["ok"] and hello["payload"]["protocol"] == protocol, hello
        sent = await answer("chat.send", {"sessionKey": "main", "message": "TEST:unicode", "idempotencyKey": f"py-{protocol}"})
        assert sent["payload"]["status"] == "started", sent
        while True:
            frame = json.loads(await ws.recv())
            seen.append(frame)
            if frame.get("event") == "chat" and frame["payload"]["state"] == "final": break
        seqs = [frame["seq"] for frame in seen if frame["type"] == "event"]
        assert seqs == list(range(1, len(seqs) + 1)), seqs
        history = await answer("chat.history", {"sessionKey": "main", "limit": 10})
        assert history["payload"]["messages"][-1]["content"][0]["text"] == frame["payload"]["message"]["content"][0]["text"]
        sys.stdout.reconfigure(encoding="utf-8")
        print(json.dumps({"text": frame["payload"]["message"]["content"][0]["text"], "extensions": [e.name for e in ws.protocol.extensions]}))

asyncio.run(asyncio.wait_for(main(), 30))
`;

describe.skipIf(missing !== undefined)(`WS-40 a client written in Python${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  test('WS-40 connects with protocol 3 and 4 and talks', async () => {
    const python = pythonWith('websockets', ['websockets==17.4', 'cryptography==50.0.2']);
    await using house = await openHouse();
    for (const protocol of ['3', '4']) {
      const { stdout } = await promisify(execFile)(python, ['-c', CLIENT, house.gateway.url, house.gateway.token(), protocol]);
      expect(JSON.parse(stdout)).toEqual({ text: '你好，世界 🦞🦞 ça и всё 👩‍👩‍👧‍👦.', extensions: [] });
    }
  });
});
