import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { authorize } from '../../auth/authorize.ts';
import type { Clock } from '../../lib/clock.ts';
import { messageOf } from '../../lib/errors.ts';
import { factsOf, type ListenerFacts, peerOwner } from '../facts.ts';
import { PreauthPool, type Unadmitted } from '../ws/preauth.ts';
import { tooLarge } from './body.ts';
import { Exchange } from './exchange.ts';
import { type Fault, INTERNAL, refusedFault, tooManyFault, wireFault } from './fault.ts';
import { type HttpConnection, httpConnection } from './http-connection.ts';
import { feedHttp, httpFeed } from './http-feed.ts';
import { HTTP_LIMITS, type HttpLimits } from './limits.ts';
import type { HttpPorts } from './ports.ts';
import { matchRoute, routeTable } from './router.ts';
import { SECURITY_HEADERS } from './security-headers.ts';

/** `import 'node:http'` of an ES module costs more than twice an empty process; this does not. */
const http = (): typeof import('node:http') => process.getBuiltinModule('node:http');

/** Makes servers that share one pipeline; one per address that is listened on, since each may be of another kind. */
export function httpServers(ports: HttpPorts): (listener: ListenerFacts) => Server {
  const limits: HttpLimits = { ...HTTP_LIMITS, ...ports.limits };
  const routes = routeTable(ports);

  const answer = async (
    request: IncomingMessage,
    response: ServerResponse,
    listener: ListenerFacts,
    connection: HttpConnection,
    expectsContinue: boolean,
  ): Promise<void> => {
    for (const name of Object.keys(SECURITY_HEADERS)) response.setHeader(name, SECURITY_HEADERS[name] ?? '');
    const config = ports.config();
    if (listener.tls && config.strictTransportSecurity) response.setHeader('Strict-Transport-Security', config.strictTransportSecurity);

    const read = factsOf(request, listener, ports.policy(), ports.peers);
    if (!read.ok) return refuseEarly(response, { ...read.error, type: 'invalid_request_error' });
    const facts = read.value;
    const match = matchRoute(routes, facts.path, config);
    const exchange = new Exchange(request, response, {
      facts,
      rest: match?.rest ?? '',
      clock: ports.clock,
      limits,
      large: (principal, bytes) => ports.intake.large(principal, bytes),
      connection,
      expectsContinue,
    });

    if (facts.verdict.host === 'unknown') return exchange.fail(unknownHost(facts.hostText, facts.verdict.fixLine));
    if (facts.verdict.origin === 'foreign' || facts.verdict.origin === 'invalid')
      return exchange.fail(foreignOrigin(facts.verdict.fixLine));
    if (!match) return exchange.fail({ status: 404, message: 'Not Found', type: 'not_found' });

    const { descriptor, handler } = match;
    if (!(descriptor.methods as readonly string[]).includes(facts.method)) {
      // Plain text, whatever the path: clients look at the status and at `Allow`.
      return exchange.send(405, 'text/plain; charset=utf-8', 'Method Not Allowed', { Allow: descriptor.methods.join(', ') });
    }
    if (descriptor.scope !== 'public') {
      const admission = await ports.admitHttp(await facts.connection(), facts.bearer);
      if (!admission.ok) return exchange.fail(refusedFault(admission));
      const { principal } = admission;
      const refusal = authorize(principal, { scope: descriptor.scope }, 4);
      if (refusal) return exchange.fail(wireFault(refusal.error));
      response.once(
        'close',
        ports.underWay.add(principal, () => response.destroy()),
      );
      // What was revoked while the door was looking would otherwise be missed.
      if (!ports.stillStands(principal)) return void response.destroy();
      exchange.principal = principal;
      const waitMs = descriptor.scope === 'operator.write' ? ports.takeWrite(principal) : 0;
      if (waitMs > 0) return exchange.fail(tooManyFault(waitMs));
    }
    exchange.maxBytes = Math.min(descriptor.maxBytes, handler.maxBytes?.(config) ?? descriptor.maxBytes);
    if (exchange.isTooLarge) return exchange.fail(tooLarge(exchange.maxBytes));
    await handler.handle(exchange);
  };

  return (listener) => {
    const onRequest = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void => {
      // One that was given up: the rest of the same piece still comes by.
      if (request.socket.destroyed) return;
      const connection = httpConnection(request.socket, ports.held);
      connection.add(response);
      // A write to a connection that has just gone is no news: whoever waits for `close` hears of it.
      response.on('error', () => {});
      // A connection may send a thousand requests at once, and a hundred connections may do that.
      ports.intake.once(request.socket.remoteAddress ?? '', () => {
        if (request.socket.destroyed) return;
        answer(request, response, listener, connection, expectsContinue).catch((thrown: unknown) => {
          ports.log.error('an http handler failed', { path: pathOf(request), message: messageOf(thrown), cause: thrown });
          if (response.headersSent) response.destroy();
          else refuseEarly(response, INTERNAL);
        });
      });
    };
    const server = http().createServer({
      maxHeaderSize: limits.headerBytes,
      headersTimeout: limits.headerMs,
      // A net under the body's own deadline, which answers; this one covers what is never read.
      requestTimeout: limits.headerMs + limits.bodyMs + limits.sweepMs,
      connectionsCheckingInterval: limits.sweepMs,
      keepAliveTimeout: limits.keepAliveMs,
      insecureHTTPParser: false,
      // Asked for by `factsOf`, whose refusal carries the headers that Node's own would lack.
      requireHostHeader: false,
      shouldUpgradeCallback: (request: IncomingMessage) =>
        request.method === 'GET' && request.headers.upgrade?.toLowerCase() === 'websocket',
    });
    server.maxConnections = limits.connections;
    server.on('request', (request, response) => onRequest(request, response, false));
    // Whoever asks before sending a body is answered before the body.
    server.on('checkContinue', (request, response) => onRequest(request, response, true));
    server.on('checkExpectation', (_request, response) => {
      refuseEarly(response, { status: 417, message: 'Expectation Failed', type: 'invalid_request_error' });
    });
    server.on('upgrade', (request, socket, head) => ports.onUpgrade(request, socket, head, listener));
    server.on('connect', (_request, socket) => endRaw(socket, 405, 'Method Not Allowed'));
    server.on('clientError', (error: NodeJS.ErrnoException, socket) => onClientError(error, socket));
    watchConnections(server, ports.clock, limits, (socket) => {
      feedHttp(socket, ports.held.pieces);
      void peerOwner(socket, ports.peers);
    });
    for (const event of ['upgrade', 'connect'] as const) server.prependListener(event, ({ socket }) => httpFeed(socket)?.leave());
    return server;
  };
}

/**
 * Begins the look at who is calling while the request is still on its way, and lets silent connections live only as long as there is room: beyond the
 * limit the oldest one that has not sent a request head yet goes.
 */
function watchConnections(server: Server, clock: Clock, limits: HttpLimits, onConnection: (socket: Socket) => void): void {
  const pool = new PreauthPool(clock, { perAddress: limits.silent, total: limits.silent, crowd: limits.silentCrowd });
  const silent = new WeakMap<Duplex, Unadmitted>();
  const spoken = (socket: Duplex): string | undefined => {
    const entry = silent.get(socket);
    if (entry === undefined) return undefined;
    silent.delete(socket);
    pool.remove(entry);
    return entry.address;
  };
  // One for all: what is made for a connection here would stay with a WebSocket for days.
  function forget(this: Socket): void {
    spoken(this);
    Error.stackTraceLimit = stackTraceLimit;
  }
  // Between these two Node makes an error for each request that was pipelined and not answered, which nobody looks at. With their
  // stacks, the end of a hundred connections that did so would take seconds.
  const { stackTraceLimit } = Error;
  function withoutStacks(this: Socket): void {
    Error.stackTraceLimit = 0;
  }
  server.on('connection', (socket: Socket) => {
    onConnection(socket);
    const entry: Unadmitted = { address: socket.remoteAddress ?? '', drop: () => socket.destroy() };
    silent.set(socket, entry);
    pool.add(entry);
    socket.prependListener('close', withoutStacks);
    socket.on('close', forget);
  });
  const spoke = (request: IncomingMessage): void => {
    const address = spoken(request.socket);
    if (address !== undefined) pool.letIn(address);
  };
  for (const event of ['request', 'upgrade', 'checkContinue', 'checkExpectation', 'connect'] as const) server.prependListener(event, spoke);
}

const unknownHost = (host: string, fixLine: string | undefined): Fault => ({
  status: 421,
  type: 'misdirected_request',
  message: `This gateway does not know itself as "${host}".`,
  ...(fixLine === undefined ? {} : { fix: `If that name is yours, add to openclaw.json: ${fixLine}` }),
});

const foreignOrigin = (fixLine: string | undefined): Fault => ({
  status: 403,
  type: 'origin_not_allowed',
  message: 'Requests from this page are not accepted: its origin is not listed.',
  ...(fixLine === undefined ? {} : { fix: `If the page is yours, add to openclaw.json: ${fixLine}` }),
});

const pathOf = (request: IncomingMessage): string => (request.url ?? '').split('?', 1)[0]?.slice(0, 200) ?? '';

/** For what goes wrong before or beside an exchange. The connection is not used again: nobody can tell what stands in it. */
function refuseEarly(response: ServerResponse, { status, message }: Fault): void {
  response.on('error', () => {});
  if (response.headersSent) return;
  for (const name of Object.keys(SECURITY_HEADERS)) response.setHeader(name, SECURITY_HEADERS[name] ?? '');
  const body = Buffer.from(message);
  response.writeHead(status, { 'Content-Type': 'text/plain; charset=utf-8', 'Content-Length': body.length, Connection: 'close' });
  response.end(body);
}

function onClientError(error: NodeJS.ErrnoException, socket: Duplex): void {
  const { code = '' } = error;
  if (code === 'ECONNRESET' || code === 'EPIPE') socket.destroy();
  else if (code === 'HPE_HEADER_OVERFLOW') endRaw(socket, 431, 'Request Header Fields Too Large');
  else if (code === 'ERR_HTTP_REQUEST_TIMEOUT') endRaw(socket, 408, 'Request Timeout');
  else endRaw(socket, 400, 'Bad Request');
}

/** An answer on a connection that has no request Node could parse. */
function endRaw(socket: Duplex, status: number, text: string): void {
  // On CONNECT Node takes its own listener off: a caller that resets the connection would otherwise end the process.
  socket.on('error', () => socket.destroy());
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const headers = Object.entries(SECURITY_HEADERS).map(([name, value]) => `${name}: ${value}\r\n`);
  const head = `HTTP/1.1 ${status} ${text}\r\n${headers.join('')}Content-Type: text/plain; charset=utf-8\r\nContent-Length: ${text.length}\r\nConnection: close\r\n\r\n`;
  socket.end(head + text, () => socket.destroy());
}
