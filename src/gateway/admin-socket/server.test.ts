import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import { defineMethod } from '../../protocol/define.ts';
import { eventBody } from '../../protocol/frames.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { bindMethods } from '../dispatch.ts';
import { heldPorts } from '../held-bytes.ts';
import { Intake } from '../intake/intake.ts';
import { FairLanes } from '../lanes.ts';
import { Hub } from '../ws/hub.ts';
import { serveAdminSocket } from './server.ts';

const echo = defineMethod<unknown>()({ name: 'echo', scope: 'operator.admin', effect: 'read', params: z.object({ text: z.string() }) });
const large = defineMethod<unknown>()({ name: 'large', scope: 'operator.admin', effect: 'read', params: z.object({}) });

const NONE = { burst: 1, perSecond: 1 };

/** The admin socket with two methods, and a way to it. */
async function startAdmin() {
  const dir = tempDir();
  const file = path.join(dir.path, 'admin.sock');
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(file, resolve));
  const lanes = new FairLanes(systemClock, { lane: NONE, share: NONE, spare: NONE });
  const methods = bindMethods(
    new Map<string, never>([
      ['echo', echo as never],
      ['large', large as never],
    ]),
    { echo: (params: { text: string }) => ({ text: params.text }), large: () => ({ text: 'x'.repeat(1024 * 1024), n: ++calls }) },
  );
  let ids = 0;
  let calls = 0;
  const hub = new Hub();
  const admin = serveAdminSocket(server, {
    dispatch: { methods, log: silentLog, writes: lanes, control: lanes },
    intake: new Intake(systemClock),
    hub,
    held: heldPorts(systemClock),
    log: silentLog,
    newId: () => `c${++ids}`,
  });
  return {
    hub,
    calls: () => calls,
    dial: (): Promise<Socket> =>
      new Promise((resolve, reject) => {
        const socket = connect(file, () => resolve(socket));
        socket.once('error', reject);
      }),
    async [Symbol.asyncDispose]() {
      admin.closeAll();
      await new Promise((resolve) => server.close(resolve));
      dir[Symbol.dispose]();
    },
  };
}

/** All that comes until the other side closes. */
function whole(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    socket.setEncoding('utf8');
    socket.on('data', (chunk: string) => {
      text += chunk;
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });
}

describe('WS-17 the admin socket', () => {
  test('WS-17 takes frames one a line, however they are cut, and answers each', async () => {
    await using admin = await startAdmin();
    const socket = await admin.dial();
    const answers = whole(socket);
    const lines = Buffer.from(
      ['一', 'two'].map((text, i) => `${JSON.stringify({ type: 'req', id: String(i), method: 'echo', params: { text } })}\n`).join(''),
    );
    for (const byte of lines) socket.write(Buffer.from([byte]));
    socket.end();
    expect(
      (await answers)
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line).payload),
    ).toEqual([{ text: '一' }, { text: 'two' }]);
    expect(admin.hub.size).toBe(0);
  });

  test('WS-17 what does not speak our frames is told so once and closed', async () => {
    await using admin = await startAdmin();
    const socket = await admin.dial();
    socket.write('GET / HTTP/1.1\r\n');
    expect(JSON.parse(await whole(socket))).toMatchObject({ ok: false, error: { code: 'INVALID_REQUEST' } });
  });

  test('WS-17 a line without an end is refused and its sender cut off', async () => {
    await using admin = await startAdmin();
    const socket = await admin.dial();
    const said = whole(socket);
    const piece = Buffer.alloc(1024 * 1024, 0x61);
    const pump = (): void => {
      while (!socket.destroyed && socket.write(piece));
    };
    socket.on('drain', pump);
    pump();
    // It goes on sending; only the other side can end this.
    expect(await said).toContain(`longer than ${LIMITS.maxPayload} bytes`);
  });

  test('WS-55 who asks faster than it reads waits for itself, and gets every answer', async () => {
    await using admin = await startAdmin();
    const socket = await admin.dial();
    const asked = 40;
    const lines = Array.from({ length: asked }, (_, i) => `${JSON.stringify({ type: 'req', id: String(i), method: 'large' })}\n`);
    socket.pause();
    socket.write(lines.join(''));
    // The first answers fill what the system takes; nothing more is made before they are read, and nobody else waits for that.
    const other = await admin.dial();
    const answer = whole(other);
    other.write(`${JSON.stringify({ type: 'req', id: 'o', method: 'echo', params: { text: 'here' } })}\n`);
    other.end();
    expect(await answer).toContain('here');
    expect(admin.calls()).toBeLessThan(10);
    const got: string[] = [];
    const all = new Promise<void>((resolve) => {
      createInterface({ input: socket }).on('line', (line) => {
        if (got.push((JSON.parse(line) as { id: string }).id) === asked) resolve();
      });
    });
    socket.resume();
    await all;
    expect(got).toEqual(lines.map((_, i) => String(i)));
    socket.destroy();
  });

  test('WS-17 who is sent what may not be dropped and reads nothing is cut off', async () => {
    await using admin = await startAdmin();
    const socket = await admin.dial();
    socket.pause();
    socket.on('error', () => {});
    await expect.poll(() => admin.hub.size).toBe(1);
    const [receiver] = admin.hub.all();
    if (receiver === undefined) throw new Error('nobody');
    receiver.subscriptions.all = true;
    const event = { event: 'big', payload: {}, body: eventBody('big', { text: 'x'.repeat(1024 * 1024) }), durability: 'log' as const };
    for (let sent = 0; sent < LIMITS.maxBufferedBytes / (1024 * 1024) + 8; sent++) receiver.event(event);
    await expect.poll(() => admin.hub.size, { timeout: 5_000 }).toBe(0);
  });
});
