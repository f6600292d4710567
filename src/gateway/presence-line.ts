import type { Admitted } from '../auth/admit.ts';
import { mayReceive } from '../auth/authorize.ts';
import type { Cancel, Clock } from '../lib/clock.ts';
import { eventBodyOfJson } from '../protocol/frames.ts';
import { LIMITS } from '../protocol/limits.ts';
import { Prebuilt } from './call.ts';
import type { Health } from './health.ts';
import type { Presence } from './presence.ts';
import type { OpenInfo, WsConnection } from './ws/connection.ts';
import type { Hub, Receiver } from './ws/hub.ts';

/** Arrivals and departures within this time are told together: a thousand clients that return at once are one event each, not a thousand. */
export const TELL_MS = 1_000;
/** No more than this leaves at once for the list: it goes to everybody, so its cost is the square of how many there are. Bytes, ms. */
const SLICE_BYTES = 3 * 1024 * 1024;
const SLICE_MS = 100;

/** Tells everyone who is here, how the gateway is, and that time passes. */
export class PresenceLine {
  readonly #presence: Presence;
  readonly #health: Health;
  readonly #hub: Hub;
  readonly #clock: Clock;
  readonly #timers: Cancel[];
  #telling: Cancel | undefined;
  /** Somebody came or went since everyone began to be told. */
  #changed = false;
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

  join(info: OpenInfo, admitted: Admitted, connection: WsConnection): void {
    const { client, principal } = info;
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
      const payload = this.#payload();
      connection.event({
        event: 'presence',
        payload,
        body: eventBodyOfJson('presence', payload.json, this.#versions()),
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

  #payload(): Prebuilt {
    return new Prebuilt(`{"presence":${this.#presence.json()}}`);
  }

  #tellSoon(): void {
    this.#changed = true;
    this.#telling ??= this.#clock.after(TELL_MS, () => {
      this.#changed = false;
      this.#tell([...this.#hub.all()]);
    });
  }

  /** Tells these, as many as one slice holds, and the rest a moment later: each the list of its moment. */
  #tell(waiting: Receiver[]): void {
    const payload = this.#payload();
    const among = waiting.splice(0, Math.max(1, Math.floor(SLICE_BYTES / payload.json.length)));
    this.#hub.broadcast({ event: 'presence', payload: () => payload, stateVersion: this.#versions(), key: 'presence', among });
    this.#telling = waiting.length === 0 ? undefined : this.#clock.after(SLICE_MS, () => this.#tell(waiting));
    if (this.#telling === undefined && this.#changed) this.#tellSoon();
  }

  #tellHealth(): void {
    for (const reads of [true, false]) {
      this.#hub.broadcast({
        event: 'health',
        payload: (protocol) => new Prebuilt(this.#health.json(protocol, reads)),
        to: ({ principal }) => mayReceive(principal, { scope: 'operator.read' }) === reads,
        stateVersion: this.#versions(),
        key: 'health',
      });
    }
  }
}

/**
 * One entry per device, else per connection: a phone that reconnects is still one phone. What a client says of itself lives apart from
 * what was proven, so that nobody takes a device's place in the list by claiming its id.
 */
const keyOf = ({ connId, client, principal }: OpenInfo): string => {
  if (principal.deviceId !== undefined) return `device:${principal.deviceId}`;
  return client.instanceId === undefined ? `connection:${connId}` : `instance:${client.instanceId}`;
};
