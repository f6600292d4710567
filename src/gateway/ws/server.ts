import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import { type WebSocket, WebSocketServer } from 'ws';
import type { ConnectionFacts } from '../../auth/facts.ts';
import { ingressOf } from '../../auth/ingress.ts';
import { LIMITS } from '../../protocol/limits.ts';
import { type ConnectionPorts, WsConnection } from './connection.ts';

/** Upgrades requests whose facts stand; from here on nobody sees an `IncomingMessage`. */
export class WsServer {
  readonly #server = new WebSocketServer({
    noServer: true,
    perMessageDeflate: false,
    clientTracking: false,
    // See `answerPing`.
    autoPong: false,
    maxPayload: LIMITS.preauthBytes,
  });
  readonly #ports: ConnectionPorts;
  readonly #connections = new Set<WsConnection>();

  constructor(ports: ConnectionPorts) {
    this.#ports = ports;
  }

  /** Every WebSocket, admitted or not. */
  connections(): Iterable<WsConnection> {
    return this.#connections;
  }

  get isEmpty(): boolean {
    return this.#connections.size === 0;
  }

  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer, facts: ConnectionFacts): void {
    // The answer to the upgrade and the challenge leave together.
    socket.cork();
    this.#server.handleUpgrade(request, socket, head, (ws) =>
      this.#add(new WsConnection(ws, socket, facts, ingressOf(facts).key, this.#ports), ws),
    );
    socket.uncork();
  }

  /** Apart from `upgrade`, so that the listener, which lives as long as the connection, does not hold what the upgrade needed. */
  #add(connection: WsConnection, ws: WebSocket): void {
    this.#connections.add(connection);
    ws.on('close', () => this.#connections.delete(connection));
  }
}
