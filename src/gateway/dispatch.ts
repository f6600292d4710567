import { authorize } from '../auth/authorize.ts';
import { messageOf } from '../lib/errors.ts';
import type { Log } from '../lib/log.ts';
import { isRefusal, type Refusal, refuse, type WireError } from '../protocol/errors.ts';
import { errorText, type RequestFrame } from '../protocol/frames.ts';
import { parseParams } from '../protocol/parse-params.ts';
import type { AnyMethod } from '../protocol/registry.ts';
import { type Call, type Handler, Prebuilt } from './call.ts';
import type { FairLanes } from './lanes.ts';

/** A call without the verbs that dispatch gives it. */
type Caller = Omit<Call, 'more' | 'afterAnswer'>;

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

const textOf = (id: string, answer: unknown): string => (isRefusal(answer) ? errorText(id, answer.error, answer.payload) : ok(id, answer));

/**
 * One request: descriptor → authorize → size → rate → params → handler → answer text through `send`. Never throws and
 * always answers exactly once (beside what the handler sends through `call.more`). `bytes` is the frame's own size.
 * Synchronous where the handler is, so that a flood of reads costs no promise each.
 */
export function dispatch(
  ports: DispatchPorts,
  frame: RequestFrame,
  bytes: number,
  call: Caller,
  send: (text: string) => void,
): 'taken' | 'wrong-role' {
  const bound = ports.methods.get(frame.method);
  if (bound === undefined) {
    send(errorText(frame.id, unknownMethod(frame.method)));
    return 'taken';
  }
  const { descriptor, handler } = bound;
  const denied = authorize(call.principal, descriptor, call.protocol);
  const early = denied ?? oversized(descriptor, bytes) ?? tooMany(ports, descriptor, call);
  if (early !== undefined) {
    send(textOf(frame.id, early));
    return denied !== undefined && wrongRole(call, descriptor) ? 'wrong-role' : 'taken';
  }
  const params = parseParams(descriptor.params, frame.params ?? {});
  if (!params.ok) {
    send(errorText(frame.id, { code: 'INVALID_REQUEST', message: `invalid ${descriptor.name} params: ${params.error}` }));
    return 'taken';
  }
  // What an answer causes (its own connection is closed, say) comes after it, whatever the answer is.
  let consequences: (() => void)[] | undefined;
  const final = (text: string): void => {
    send(text);
    const due = consequences ?? [];
    consequences = [];
    for (const task of due) task();
  };
  const failed = (thrown: unknown): void => {
    // A handler that throws is a bug here, not the caller's: the log gets the cause, the caller a word that is safe to show.
    ports.log.error('a handler failed', { method: descriptor.name, cause: messageOf(thrown) });
    final(
      errorText(frame.id, {
        code: 'UNAVAILABLE',
        message: `${descriptor.name} failed inside the gateway; see openclaw logs`,
        retryable: true,
      }),
    );
  };
  try {
    const more = (payload: unknown): void => send(ok(frame.id, payload));
    const afterAnswer = (task: () => void): void => {
      consequences ??= [];
      consequences.push(task);
    };
    const answer = (handler as Handler<unknown>)(params.value, { ...call, more, afterAnswer });
    if (answer instanceof Promise) answer.then((value) => final(textOf(frame.id, value)), failed).catch(failed);
    else final(textOf(frame.id, answer));
  } catch (thrown) {
    failed(thrown);
  }
  return 'taken';
}

/** A node that calls what operators call, or the other way round: worth closing over when it goes on. */
const wrongRole = (call: Caller, descriptor: AnyMethod): boolean => (call.principal.role === 'node') !== (descriptor.scope === 'node');

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
