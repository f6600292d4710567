import type { Server } from 'node:net';
import { err, ok, type Result } from '../lib/result.ts';
import type { BindAddress } from './bind.ts';
import { formatAuthority } from './hosts.ts';
import { describeHolder, type PortHolder, portHolder } from './port-holder.ts';

/** One open TCP listener. */
export interface Listener {
  readonly host: string;
  readonly port: number;
  readonly server: Server;
}

export interface Listening {
  /** The same on every address, also when 0 was asked for. */
  readonly port: number;
  readonly listeners: readonly Listener[];
  /** Addresses that were wished for but not required, and why they are not there. Worth a warning when another process holds one. */
  readonly missing: readonly ListenFailure[];
  /** Stops accepting on every address at once; open connections stay. */
  close(): void;
}

export interface ListenFailure {
  readonly code: 'PORT_IN_USE' | 'ADDRESS_NOT_AVAILABLE' | 'PERMISSION_DENIED' | 'LISTEN_FAILED';
  readonly host: string;
  readonly port: number;
  /** Names host and port and, where it can be told, who holds them. */
  readonly message: string;
  readonly holder: PortHolder | undefined;
}

export interface ListenWish {
  readonly addresses: readonly BindAddress[];
  /** 0: the first address takes a free one and the others the same. */
  readonly port: number;
  /** A fresh, not yet listening server for each address (`http.Server` is one). */
  readonly serverFor: (host: string) => Server;
  readonly backlog?: number;
}

/** Connections that wait to be accepted; the system has a limit of its own. A crowd that finds no room here tries again seconds later. */
const BACKLOG = 8_192;

/** With port 0 the second address may find the number taken: another is drawn, this many times. */
const MAX_DRAWS = 16;

/**
 * Opens every address of a plan, all or nothing: when a required one fails, those already open are closed again. Who holds a busy port is
 * named, never ended.
 */
export async function listen(wish: ListenWish): Promise<Result<Listening, ListenFailure>> {
  for (let draw = 1; ; draw++) {
    const result = await listenOnce(wish);
    if (!result.ok) return result;
    const clash = wish.port === 0 && result.value.missing.some(({ code }) => code === 'PORT_IN_USE');
    if (!clash || draw === MAX_DRAWS) return result;
    result.value.close();
  }
}

async function listenOnce(wish: ListenWish): Promise<Result<Listening, ListenFailure>> {
  const listeners: Listener[] = [];
  const missing: ListenFailure[] = [];
  const close = (): void => {
    for (const { server } of listeners) server.close();
  };
  for (const { host, required } of wish.addresses) {
    const port = listeners[0]?.port ?? wish.port;
    const opened = await open(wish.serverFor(host), host, port, wish.backlog);
    if (opened.ok) listeners.push(opened.value);
    else if (required) {
      close();
      return opened;
    } else missing.push(opened.error);
  }
  return ok({ port: listeners[0]?.port ?? wish.port, listeners, missing, close });
}

async function open(server: Server, host: string, port: number, backlog = BACKLOG): Promise<Result<Listener, ListenFailure>> {
  const failure = await new Promise<NodeJS.ErrnoException | undefined>((settle) => {
    const onError = (error: NodeJS.ErrnoException): void => settle(error);
    server.once('error', onError);
    // `ipv6Only`: a listener on `::` must not take IPv4 with it. `exclusive`: a worker of a cluster would share what it did not open.
    server.listen({ host, port, backlog, ipv6Only: host.includes(':'), exclusive: true }, () => {
      server.off('error', onError);
      settle(undefined);
    });
  });
  if (failure) return err(await explain(failure, host, port));
  const bound = server.address();
  return ok({ host, port: bound !== null && typeof bound === 'object' ? bound.port : port, server });
}

async function explain(error: NodeJS.ErrnoException, host: string, port: number): Promise<ListenFailure> {
  const at = formatAuthority(host, port);
  switch (error.code) {
    case 'EADDRINUSE': {
      const holder = await portHolder(host, port);
      return {
        code: 'PORT_IN_USE',
        host,
        port,
        holder,
        message: `${at} is already in use${holder ? ` by ${describeHolder(holder)}` : ''}`,
      };
    }
    case 'EADDRNOTAVAIL':
    case 'EAFNOSUPPORT':
      return {
        code: 'ADDRESS_NOT_AVAILABLE',
        host,
        port,
        holder: undefined,
        message: `${at}: this machine does not have the address ${host}`,
      };
    case 'EACCES':
    case 'EPERM':
      return { code: 'PERMISSION_DENIED', host, port, holder: undefined, message: `${at}: not permitted to listen there` };
    default:
      return { code: 'LISTEN_FAILED', host, port, holder: undefined, message: `${at}: ${error.message}` };
  }
}
