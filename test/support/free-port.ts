import { once } from 'node:events';
import { createServer } from 'node:net';

/** A port that nobody listens on. Below the range from which outgoing connections take theirs, so that no client of ours sits on it when it is needed again. */
export async function freePort(random: () => number = Math.random): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(random() * 12_000);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await Promise.race([once(server, 'listening').then(() => true), once(server, 'error').then(() => false)]);
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}
