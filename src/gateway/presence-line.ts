import { mayReceive } from '../auth/authorize.ts';
import type { Cancel, Clock } from '../lib/clock.ts';
import { eventBody } from '../protocol/frames.ts';
import { LIMITS } from '../protocol/limits.ts';
import type { Health } from './health.ts';
import type { Presence } from './presence.ts';
import type { OpenInfo, WsConnection } from './ws/connection.ts';
import type { Hub } from './ws/hub.ts';

/** Arrivals and departures within this time are told together: a thousand clients that return at once are one event each, not a thousand. */
export const TELL_MS = 1_000;

/** Tells everyone who is here, how the gateway is, and that time passes. */
export class PresenceLine {
  readonly #presence: Presence;
  readonly #health: Health;
  readonly #hub: Hub;
  readonly #clock: Clock;
  readonly #timers: Cancel[];
  #telling: Cancel | undefined;
  /** Open connections per entry: a device may have several. */
  readonly #open = new Map<string, number>();

  constructor(presence: Presence, health: Health, hub: Hub, clock: Clock) {
    this.#presence = presence;
    this.#health = health;
    this.#hub = hub;
    this.#clock = clock;
    this.#timers = [
      clock.every(LIMITS.tickIntervalMs, () => {
        const ts = clock.now();
        hub.broadcast({ event: 'tick', payload: () => ({ ts }), key: 'tick' });
      }),
      clock.every(LIMITS.healthRefreshMs, () => this.#tellHealth()),
    ];
  }

  stop(): void {
    for (const cancel of this.#timers) cancel();
    this.#telling?.();
  }

  join(info: OpenInfo, connection: WsConnection): void {
    const { connect, admitted } = info;
    const { client } = connect;
    const { principal } = admitted;
    const host = client.displayName ?? client.id;
    const key = keyOf(info);
    this.#open.set(key, (this.#open.get(key) ?? 0) + 1);
    this.#presence.set(key, {
      host,
      ...(principal.ingress === 'local' || principal.ingress === 'socket' ? {} : { ip: admitted.via.address }),
      version: client.version,
      platform: client.platform,
      ...(client.deviceFamily !== undefined && { deviceFamily: client.deviceFamily }),
      ...(client.modelIdentifier !== undefined && { modelIdentifier: client.modelIdentifier }),
      mode: client.mode,
      clientId: client.id,
      reason: 'connect',
      ...(principal.deviceId !== undefined && { deviceId: principal.deviceId }),
      roles: [principal.role],
      scopes: admitted.announced,
      instanceId: principal.deviceId ?? client.instanceId ?? info.connId,
      text: `Node: ${host} · mode ${client.mode}`,
      ts: this.#clock.now(),
    });
    // Clients of protocol 4 expect the list at once, as their first event.
    if (info.protocol === 4 && mayReceive(principal, { scope: 'operator.read' })) {
      const payload = { presence: this.#presence.list() };
      connection.event({
        event: 'presence',
        payload,
        body: eventBody('presence', payload, this.#versions()),
        durability: 'state',
        key: 'presence',
      });
    }
    this.#tellSoon();
  }

  leave(info: OpenInfo): void {
    const key = keyOf(info);
    const left = (this.#open.get(key) ?? 1) - 1;
    if (left > 0) {
      this.#open.set(key, left);
      return;
    }
    this.#open.delete(key);
    this.#presence.leave(key);
    this.#tellSoon();
  }

  #versions(): { presence: number; health: number } {
    return { presence: this.#presence.version, health: this.#health.version };
  }

  #tellSoon(): void {
    this.#telling ??= this.#clock.after(TELL_MS, () => {
      this.#telling = undefined;
      const presence = this.#presence.list();
      this.#hub.broadcast({ event: 'presence', payload: () => ({ presence }), stateVersion: this.#versions(), key: 'presence' });
    });
  }

  #tellHealth(): void {
    this.#hub.broadcast({
      event: 'health',
      payload: (protocol) => JSON.parse(this.#health.json(protocol)),
      stateVersion: this.#versions(),
      key: 'health',
    });
  }
}

/**
 * One entry per device, else per connection: a phone that reconnects is still one phone. What a client says of itself lives apart from
 * what was proven, so that nobody takes a device's place in the list by claiming its id.
 */
const keyOf = ({ admitted, connect, connId }: OpenInfo): string => {
  const { deviceId } = admitted.principal;
  if (deviceId !== undefined) return `device:${deviceId}`;
  return connect.client.instanceId === undefined ? `connection:${connId}` : `instance:${connect.client.instanceId}`;
};
