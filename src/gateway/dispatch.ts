import { authorize } from '../auth/authorize.ts';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { isRefusal, Refusal, refuse, type WireError } from '../protocol/errors.ts';
import { errorText, type RequestFrame } from '../protocol/frames.ts';
import { LIMITS } from '../protocol/limits.ts';
import { parseParams } from '../protocol/parse-params.ts';
import type { AnyMethod } from '../protocol/registry.ts';
import { type Call, type Handler, Prebuilt } from './call.ts';
import type { FairLanes } from './lanes.ts';

/** A call without the verbs that dispatch gives it. */
export interface Caller extends Omit<Call, 'more' | 'afterAnswer' | 'holdEvents'> {
  /** Events of its connection wait from here on, until what this gives is called. */
  hold(): () => void;
}

/** A descriptor with the handler that answers it. */
export interface Bound {
  readonly descriptor: AnyMethod;
  readonly handler: Handler<never>;
}
export type MethodTable = ReadonlyMap<string, Bound>;

/** Pairs every descriptor with its handler; one without the other is a start-up error, as is a name used twice. */
export function bindMethods(index: ReadonlyMap<string, AnyMethod>, handlers: Readonly<Record<string, Handler<never>>>): MethodTable {
  const table = new Map<string, Bound>();
  for (const [name, descriptor] of index) {
    const handler = handlers[name];
    if (handler === undefined) throw new Error(`method ${name} has a descriptor and no handler`);
    table.set(name, { descriptor, handler });
  }
  for (const name of Object.keys(handlers)) if (!index.has(name)) throw new Error(`method ${name} has a handler and no descriptor`);
  return table;
}

export interface DispatchPorts {
  readonly methods: MethodTable;
  readonly log: Log;
  /** Calls that change something, per principal and fair among its connections. */
  readonly writes: FairLanes;
  /** Calls that change access or configuration, per principal and method. */
  readonly control: FairLanes;
}

const ok = (id: string, payload: unknown): string =>
  payload instanceof Prebuilt
    ? `{"type":"res","id":${JSON.stringify(id)},"ok":true,"payload":${payload.json}}`
    : JSON.stringify({ type: 'res', id, ok: true, payload: payload === undefined ? {} : payload });

export const textOf = (id: string, answer: unknown): string =>
  isRefusal(answer) ? errorText(id, answer.error, answer.payload) : ok(id, answer);

/** Where a call stands before its parameters are looked at: let through, or answered already. */
export type Precheck =
  | { readonly bound: Bound }
  /** `wrongRole`: a node that calls what operators call, or the other way round; worth closing over when it goes on. */
  | { readonly refused: Refusal; readonly wrongRole: boolean };

/** Descriptor → authorize → size → rate: all that can be told from a method's name and a frame's size in bytes. Once per frame: the rate counts. */
export function precheck(ports: DispatchPorts, method: string, bytes: number, call: Caller): Precheck {
  const bound = ports.methods.get(method);
  if (bound === undefined) return { refused: new Refusal(unknownMethod(method)), wrongRole: false };
  const { descriptor } = bound;
  const denied = authorize(call.principal, descriptor, call.protocol);
  if (denied !== undefined) {
    return { refused: denied, wrongRole: (call.principal.role === 'node') !== (descriptor.scope === 'node') };
  }
  const refused = oversized(descriptor, bytes) ?? tooMany(ports, descriptor, call);
  return refused === undefined ? { bound } : { refused, wrongRole: false };
}

/**
 * The rest of a request: params → handler → answer text through `send`. Never throws and always answers exactly once (beside
 * what the handler sends through `call.more`). The promise settles when that has happened; synchronous where the handler is,
 * so that a flood of reads costs no promise each.
 */
export function perform(
  ports: DispatchPorts,
  { descriptor, handler }: Bound,
  frame: RequestFrame,
  call: Caller,
  send: (text: string) => void,
): Promise<void> | undefined {
  // What answers later holds the id and not the frame: a call may wait for a day, and its frame may have megabytes.
  const { id } = frame;
  const params = parseParams(descriptor.params, frame.params ?? {});
  if (!params.ok) {
    send(errorText(frame.id, { code: 'INVALID_REQUEST', message: `invalid ${descriptor.name} params: ${params.error}` }));
    return undefined;
  }
  // What an answer causes (its own connection is closed, say) comes after it, whatever the answer is.
  let consequences: (() => void)[] | undefined;
  let release: (() => void) | undefined;
  const first = (text: string): void => {
    send(text);
    release?.();
    release = undefined;
  };
  const final = (text: string): void => {
    first(text);
    const due = consequences ?? [];
    consequences = [];
    for (const task of due) task();
  };
  const failed = (thrown: unknown): void => {
    // A handler that throws is a bug here, not the caller's: the log gets the cause, the caller a word that is safe to show.
    ports.log.error('a handler failed', { method: descriptor.name, cause: messageOf(thrown) });
    final(
      errorText(id, {
        code: 'UNAVAILABLE',
        message: `${descriptor.name} failed inside the gateway; see openclaw logs`,
        retryable: true,
      }),
    );
  };
  try {
    const more = (payload: unknown): void => first(ok(id, payload));
    const holdEvents = (): void => {
      release ??= call.hold();
    };
    const afterAnswer = (task: () => void): void => {
      consequences ??= [];
      consequences.push(task);
    };
    const answer = (handler as Handler<unknown>)(params.value, { ...call, more, afterAnswer, holdEvents });
    if (answer instanceof Promise) return answer.then((value) => final(textOf(id, value)), failed).catch(failed);
    final(textOf(id, answer));
  } catch (thrown) {
    failed(thrown);
  }
  return undefined;
}

/** The largest frame that `principal` has any use for, bytes: megabytes only for who may call a method that takes them. */
export function frameLimit(ports: DispatchPorts, principal: Caller['principal'], protocol: Caller['protocol']): number {
  let most: number = LIMITS.smallPayload;
  for (const { descriptor } of ports.methods.values()) {
    if (descriptor.maxBytes > most && authorize(principal, descriptor, protocol) === undefined) most = descriptor.maxBytes;
  }
  return most;
}

export const unknownMethod = (method: string): WireError => ({
  code: 'INVALID_REQUEST',
  message: `unknown method: ${method.slice(0, 128)}`,
});

function oversized(descriptor: AnyMethod, bytes: number): Refusal | undefined {
  // The frame around params is small; counting the whole frame keeps the check free.
  if (bytes <= descriptor.maxBytes + 1024) return undefined;
  return refuse('INVALID_REQUEST', `invalid ${descriptor.name} params: ${bytes} bytes, at most ${descriptor.maxBytes}`, {
    details: { code: 'PARAMS_TOO_LARGE', maxBytes: descriptor.maxBytes },
  });
}

function tooMany(ports: DispatchPorts, descriptor: AnyMethod, call: Caller): Refusal | undefined {
  // The admin socket is recovery: whoever is there owns the state dir, and must never be told to wait.
  if (descriptor.effect === 'read' || call.principal.kind === 'socket') return undefined;
  const { principal, connId, openedAt } = call;
  const wait =
    descriptor.effect === 'control'
      ? ports.control.take(`${principal.id}|${descriptor.name}`, { key: `${connId}|${descriptor.name}`, openedAt })
      : ports.writes.take(principal.id, { key: connId, openedAt });
  if (wait === 0) return undefined;
  return refuse('UNAVAILABLE', `too many ${descriptor.name} calls; try again in ${Math.ceil(wait / 1000)} s`, {
    retryable: true,
    retryAfterMs: wait,
    details: { code: 'RATE_LIMITED', method: descriptor.name },
  });
}
