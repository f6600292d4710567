import { LIMITS } from '../../protocol/limits.ts';
import type { OpenSocket, SocketClose } from '../socket.ts';

/**
 * The admin socket of this machine's own gateway: one JSON frame a line, no handshake. Its only dependency is `node:net`, taken without
 * an `import`, because a command that asks one question lives for 40 ms.
 */
export const openAdminSocket: OpenSocket = (endpoint, events) => {
  const net = process.getBuiltinModule('node:net');
  const socket = net.connect(endpoint.url);
  let failure: { error?: string; errno?: string } = {};
  let asked: { code: number; reason: string } | undefined;
  let line = '';

  // Decoded by the stream, so that a character cut between two reads stays whole.
  socket.setEncoding('utf8');
  socket.on('connect', () => events.open());
  socket.on('data', (chunk: string) => {
    let from = 0;
    for (let end = chunk.indexOf('\n'); end !== -1; end = chunk.indexOf('\n', from)) {
      const text = line + chunk.slice(from, end);
      line = '';
      from = end + 1;
      if (text !== '') events.message(text);
    }
    line += chunk.slice(from);
    if (line.length > LIMITS.maxPayload * 2) socket.destroy(new Error('a line is longer than any frame'));
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    failure = { error: error.message, ...(error.code === undefined ? {} : { errno: error.code }) };
  });
  socket.on('close', () => {
    const close: SocketClose = { code: 1006, reason: '', ...failure, ...asked };
    events.closed(close);
  });

  return {
    send(text) {
      if (socket.writable) socket.write(`${text}\n`);
    },
    close(code = 1000, reason = '') {
      asked ??= { code, reason };
      // Asked questions are answered or given up before this; nothing of ours is worth waiting for.
      socket.destroy();
    },
    get bufferedAmount() {
      return socket.writableLength;
    },
  };
};
