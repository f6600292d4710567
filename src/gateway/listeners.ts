import type { Server } from 'node:http';
import { createServer } from 'node:net';
import type { Cancel, Clock } from '../lib/clock.ts';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { err, ok, type Result } from '../lib/result.ts';
import { type BindPlan, type BindWish, planBind } from '../net/bind.ts';
import { formatAuthority } from '../net/hosts.ts';
import { listInterfaces } from '../net/interfaces.ts';
import { type ListenFailure, type Listening, listen } from '../net/listen.ts';

/** How often the tailnet address is looked for, and whether it is still ours. */
export const FOLLOW_MS = 2_000;

export type ListenState =
  | { readonly state: 'active'; readonly addresses: readonly string[]; readonly port: number }
  /** Nowhere on TCP, by design: the explicit bind has no address yet. */
  | { readonly state: 'waiting'; readonly for: string }
  | { readonly state: 'failed'; readonly why: string }
  | { readonly state: 'off' };

export interface ListenersPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly serverFor: () => Server;
  readonly onActive: (state: Extract<ListenState, { state: 'active' }>) => void;
}

/**
 * The TCP listeners. They stand exactly where the plan says. A tailnet bind follows its address: none yet means
 * listening nowhere, another one means moving there; never another interface.
 */
export class Listeners {
  readonly #ports: ListenersPorts;
  #wish: Omit<BindWish, 'interfaces'>;
  #listening: Listening | undefined;
  /** Also those that take nothing new any more, as long as they have connections. */
  readonly #servers = new Set<Server>();
  #hosts: readonly string[] = [];
  #state: ListenState = { state: 'off' };
  #stopFollowing: Cancel = () => {};
  #moving = false;
  #closed = false;

  constructor(wish: Omit<BindWish, 'interfaces'>, ports: ListenersPorts) {
    this.#wish = wish;
    this.#ports = ports;
  }

  get state(): ListenState {
    return this.#state;
  }

  /** Opens what can be opened now. A refusal is for an address that is taken or not there; a wait is not one. */
  async start(): Promise<Result<ListenState, ListenFailure>> {
    const plan = this.plan();
    const opened = await this.#open(plan);
    if (this.#wish.mode === 'tailnet') this.#stopFollowing = this.#ports.clock.every(FOLLOW_MS, () => this.#follow());
    return opened;
  }

  plan(): BindPlan {
    return planBind({ ...this.#wish, interfaces: listInterfaces() });
  }

  /** Why a restart with this wish would find no place to listen: another port that somebody holds. Ours is free again by then. */
  async problem(wish: Omit<BindWish, 'interfaces'>): Promise<ListenFailure | undefined> {
    const plan = planBind({ ...wish, interfaces: listInterfaces() });
    if (plan.kind !== 'listen' || (this.#state.state === 'active' && plan.port === this.#state.port)) return undefined;
    const serverFor = () => createServer((socket) => socket.destroy());
    const tried = await listen({ addresses: plan.addresses, port: plan.port, serverFor });
    if (!tried.ok) return tried.error;
    tried.value.close();
    return undefined;
  }

  /** Takes no new connection from here on; open ones stay. */
  close(): void {
    this.#closed = true;
    this.#stopFollowing();
    this.#listening?.close();
    this.#listening = undefined;
    this.#state = { state: 'off' };
  }

  /**
   * Cuts the HTTP connections that are left. Node no longer looks at the time limits of a closed server: a caller that never sends
   * its request would keep the process for ever.
   */
  cut(): void {
    for (const server of this.#servers) server.closeAllConnections();
  }

  async #open(plan: BindPlan): Promise<Result<ListenState, ListenFailure>> {
    if (plan.kind === 'wait') {
      this.#hosts = [];
      this.#state = { state: 'waiting', for: plan.for };
      return ok(this.#state);
    }
    if (plan.kind === 'refuse') throw new Error(`a refused plan came past the guards: ${plan.why}`);
    const made: Server[] = [];
    const serverFor = (): Server => {
      const server = this.#ports.serverFor();
      made.push(server);
      return server;
    };
    const opened = await listen({ addresses: plan.addresses, port: plan.port, serverFor });
    if (!opened.ok) {
      this.#state = { state: 'failed', why: opened.error.message };
      return err(opened.error);
    }
    this.#listening = opened.value;
    for (const server of made) if (server.listening) this.#keep(server);
    this.#hosts = plan.addresses.map(({ host }) => host);
    for (const { message } of opened.value.missing) this.#ports.log.warn(message);
    // The port that was drawn stays ours when the address changes.
    this.#wish = { ...this.#wish, port: opened.value.port };
    const state = { state: 'active', addresses: opened.value.listeners.map(({ host }) => host), port: opened.value.port } as const;
    this.#state = state;
    this.#ports.onActive(state);
    return ok(state);
  }

  #keep(server: Server): void {
    this.#servers.add(server);
    server.once('close', () => this.#servers.delete(server));
    // A connection that could not be taken, e.g. because there are no file descriptors left. The next one may be.
    server.on('error', (error) => this.#ports.log.error('a connection could not be taken', { cause: messageOf(error) }));
  }

  #follow(): void {
    if (this.#moving || this.#closed) return;
    const plan = this.plan();
    const wanted = plan.kind === 'listen' ? plan.addresses.map(({ host }) => host) : [];
    const settled = this.#state.state !== 'failed' && wanted.join() === this.#hosts.join();
    if (settled) return;
    const failed = this.#state.state === 'failed' ? this.#state.why : undefined;
    this.#moving = true;
    this.#listening?.close();
    this.#listening = undefined;
    this.#open(plan)
      .then((opened) => {
        if (!opened.ok) {
          // Tried again every two seconds; the same news once is enough.
          if (opened.error.message !== failed) this.#ports.log.warn(opened.error.message);
        } else if (opened.value.state === 'waiting')
          this.#ports.log.warn('the tailnet address is gone; listening nowhere until it is back');
      })
      .catch((thrown: unknown) => this.#ports.log.error('listening failed', { cause: thrown }))
      .finally(() => {
        this.#moving = false;
        if (this.#closed) this.close();
      });
  }
}

/** `ws://127.0.0.1:18789`, for people. */
export const listenUrl = (host: string, port: number): string => `ws://${formatAuthority(host, port)}`;
