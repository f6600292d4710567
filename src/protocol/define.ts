import type * as z from 'zod/mini';
import type { Scope } from './scopes.ts';

/** A parser of this shape; only its type crosses into clients, so that they never load the schema library. */
export type Schema<T> = z.core.$ZodType<T>;

/**
 * What calling a method takes. `any`: every connection that passed the door, nodes too. `node`: role node only.
 * There is no default: a descriptor without it does not compile.
 */
export type MethodScope = Scope | 'any' | 'node';

/** `read` changes nothing; `write` changes state and is durable before its answer; `control` also counts against the control-plane rate. */
export type Effect = 'read' | 'write' | 'control';

export interface MethodDescriptor<Name extends string = string, Params = unknown, Result = unknown> {
  readonly kind: 'method';
  readonly name: Name;
  readonly scope: MethodScope;
  readonly effect: Effect;
  readonly params: Schema<Params>;
  /** Largest `params` in bytes, checked before they are parsed. */
  readonly maxBytes: number;
  /**
   * `heavy`: reads much (pages of transcripts, searches, logs). Few of them are in work at once, one per principal, and its
   * handler gives the event loop back between slices.
   */
  readonly cost?: 'heavy';
  /** Type only; never set. */
  readonly result?: Result;
}
export type ParamsOf<D> = D extends MethodDescriptor<string, infer P, unknown> ? P : never;
export type ResultOf<D> = D extends MethodDescriptor<string, unknown, infer R> ? R : never;

const SMALL_PARAMS = 64 * 1024;

/** `defineMethod<Result>()({name, scope, effect, params})`. Params above 64 KiB are refused unless `maxBytes` says otherwise. */
export const defineMethod =
  <Result>() =>
  <const Name extends string, Params>(d: {
    name: Name;
    scope: MethodScope;
    effect: Effect;
    params: Schema<Params>;
    maxBytes?: number;
    cost?: 'heavy';
  }): MethodDescriptor<Name, Params, Result> => ({ kind: 'method', maxBytes: SMALL_PARAMS, ...d });

/**
 * How an event survives. `log`: appended, durable, never dropped; a reader too slow for it is closed. `state`: the
 * latest replaces earlier ones. `ephemeral`: may be dropped or coalesced for a slow reader.
 */
export type Durability = 'log' | 'state' | 'ephemeral';

export interface EventDescriptor<Name extends string = string, Payload = unknown> {
  readonly kind: 'event';
  readonly name: Name;
  readonly scope: MethodScope;
  readonly durability: Durability;
  readonly payload?: Payload;
}
export const defineEvent =
  <Payload>() =>
  <const Name extends string>(d: { name: Name; scope: MethodScope; durability: Durability }): EventDescriptor<Name, Payload> => ({
    kind: 'event',
    ...d,
  });

/** `public`: answers anyone who passes Host and Origin. Otherwise a Bearer credential with this scope, checked before the body is read. */
export type RouteScope = Scope | 'public';

export interface RouteDescriptor<Path extends string = string> {
  readonly kind: 'route';
  readonly methods: readonly ('GET' | 'HEAD' | 'POST')[];
  /** Exact path, or a prefix when it ends in `/*`. */
  readonly path: Path;
  readonly scope: RouteScope;
  /** Largest body in bytes; 0 for none. */
  readonly maxBytes: number;
}
export const defineRoute = <const Path extends string>(d: Omit<RouteDescriptor<Path>, 'kind'>): RouteDescriptor<Path> => ({
  kind: 'route',
  ...d,
});
