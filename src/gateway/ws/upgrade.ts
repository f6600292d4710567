import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../lib/errors.ts';
import type { Log } from '../../lib/log.ts';
import { type FactsPolicy, factsOf, type ListenerFacts, type PeerLookup } from '../facts.ts';
import type { Intake } from '../intake/intake.ts';
import type { WsServer } from './server.ts';

export interface UpgradePorts {
  readonly ws: WsServer;
  readonly log: Log;
  readonly policy: () => FactsPolicy;
  readonly peers: PeerLookup;
  readonly intake: Pick<Intake, 'once'>;
  /** False from the moment the gateway began to stop. */
  readonly isOpen: () => boolean;
}

/**
 * From an upgrade request to a WebSocket. An unknown Host is refused here, as an HTTP status; a foreign Origin is not,
 * because a page cannot read a refused upgrade: it learns at `connect` what is wrong, before any credential is looked at.
 */
export function upgradeHandler(
  ports: UpgradePorts,
): (request: IncomingMessage, socket: Duplex, head: Buffer, listener: ListenerFacts) => void {
  return (request, socket, head, listener) => {
    // Without a listener, an error of the raw socket (a reset during the handshake) would end the process.
    socket.on('error', destroy);
    if (!ports.isOpen()) return refuse(socket, 503, 'Service Unavailable', 'the gateway is stopping');
    const read = factsOf(request, listener, ports.policy(), ports.peers);
    if (!read.ok) return refuse(socket, read.error.status, 'Bad Request', read.error.message);
    const { verdict, hostText } = read.value;
    if (verdict.host === 'unknown') {
      const fix = verdict.fixLine === undefined ? '' : ` If that name is yours, add to openclaw.json: ${verdict.fixLine}`;
      return refuse(socket, 421, 'Misdirected Request', `This gateway does not know itself as "${hostText}".${fix}`);
    }
    read.value
      .connection()
      .then((facts) => {
        // All that waited for one look at the system's table are answered together.
        ports.intake.once(facts.peer?.address ?? '', () => {
          if (!socket.destroyed) ports.ws.upgrade(request, socket, head, facts);
        });
      })
      .catch((thrown: unknown) => {
        ports.log.error('an upgrade failed', { cause: messageOf(thrown) });
        socket.destroy();
      });
  };
}

/** Not a closure: it stays with the connection for life, and would hold the request. */
function destroy(this: Duplex): void {
  this.destroy();
}

function refuse(socket: Duplex, status: number, reason: string, message: string): void {
  const body = `${message}\n`;
  const head = `HTTP/1.1 ${status} ${reason}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n`;
  socket.end(head + body, () => socket.destroy());
}
