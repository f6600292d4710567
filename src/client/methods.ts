import type { EventDescriptor, ParamsOf, ResultOf } from '../protocol/define.ts';
import type { EVENTS } from '../protocol/events.ts';
import type { SOCKET_METHODS, WIRE_METHODS } from '../protocol/registry.ts';

// Types only: the schemas behind them (and their library) never reach a client.
type Descriptors = (typeof WIRE_METHODS)[keyof typeof WIRE_METHODS] | (typeof SOCKET_METHODS)[keyof typeof SOCKET_METHODS];
export type MethodName = Descriptors['name'];
type Descriptor<Name extends MethodName> = Extract<Descriptors, { readonly name: Name }>;
export type Params<Name extends MethodName> = ParamsOf<Descriptor<Name>>;
export type Answer<Name extends MethodName> = ResultOf<Descriptor<Name>>;

type Event = (typeof EVENTS)[number];
export type EventName = Event['name'];
export type EventPayload<Name extends EventName> =
  Extract<Event, { readonly name: Name }> extends EventDescriptor<string, infer P> ? P : never;
