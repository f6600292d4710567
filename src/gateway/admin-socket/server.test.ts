import { connect, createServer, type Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, test } from 'vitest';
import * as z from 'zod/mini';
import { tempDir } from '../../../test/support/temp-dir.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import { defineMethod } from '../../protocol/define.ts';
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
    { echo: (params: { text: string }) => ({ text: params.text }), large: () => ({ text: 'x'.repeat(1024 * 1024) }) },
  );
  let ids = 0;
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

  test('WS-17 who asks on and on and reads nothing is cut off', async () => {
    await using admin = await startAdmin();
    const socket = await admin.dial();
    socket.pause();
    const closed = new Promise((resolve) => {
      socket.on('error', resolve);
      socket.on('close', resolve);
    });
    const request = `${JSON.stringify({ type: 'req', id: '1', method: 'large' })}\n`;
    const answers = Math.ceil(LIMITS.maxBufferedBytes / (1024 * 1024)) + 8;
    socket.write(request.repeat(answers));
    await expect.poll(() => admin.hub.size, { timeout: 5_000 }).toBe(0);
    socket.resume();
    await closed;
  });
});
