import { SCAN_FAULTS } from '../../lib/json-scan.ts';
import { type FrameFault, parseRequest, type RequestFrame, requestFrame } from '../../protocol/frames.ts';
import { type Caller, type DispatchPorts, type Precheck, perform, precheck, textOf } from '../dispatch.ts';
import { release } from '../pile.ts';
import type { Intake } from './intake.ts';
import { parseLargeJson, SMALL_JSON } from './large-json.ts';

/** One connection that sends requests, as the intake sees it. */
export interface Requester {
  readonly dispatch: DispatchPorts;
  call(): Caller;
  send(text: string): void;
  /** What was sent is no request. */
  fault(fault: FrameFault): void;
  /** It called what is for the other role. */
  wrongRole(): void;
  /** `connect` again, and the like: a method that is answered before it is looked up; true when it was. */
  answered(frame: RequestFrame): boolean;
}

/**
 * One frame that should be a request. A promise where the next frame of this connection has to wait: a large frame until its
 * first answer, a heavy read until its last.
 */
export function takeRequest(intake: Intake, requester: Requester, bytes: Buffer): Promise<void> | undefined {
  if (bytes.length > SMALL_JSON) return takeLarge(intake, requester, bytes);
  const frame = parseRequest(bytes.toString('utf8'));
  if (!frame.ok) {
    requester.fault(frame.error);
    return undefined;
  }
  if (requester.answered(frame.value)) return undefined;
  const call = requester.call();
  const checked = precheck(requester.dispatch, frame.value.method, bytes.length, call);
  if ('refused' in checked) {
    refused(requester, frame.value.id, checked);
    return undefined;
  }
  if (checked.bound.descriptor.cost === 'heavy') return takeHeavy(intake, requester, checked.bound, frame.value, call);
  void perform(requester.dispatch, checked.bound, frame.value, call, (text) => requester.send(text));
  return undefined;
}

type Bound = Extract<Precheck, { bound: unknown }>['bound'];

async function takeHeavy(intake: Intake, requester: Requester, bound: Bound, frame: RequestFrame, call: Caller): Promise<void> {
  const leave = await intake.heavy.take(call.principal.id);
  try {
    await perform(requester.dispatch, bound, frame, call, (text) => requester.send(text));
  } finally {
    leave();
  }
}

/** A frame above `SMALL_JSON`: its method is known, allowed, and allowed to be this large, before anything of it is parsed. */
async function takeLarge(intake: Intake, requester: Requester, bytes: Buffer): Promise<void> {
  const call = requester.call();
  const leave = await intake.large(call.principal.id, bytes.length);
  try {
    let checked: Precheck | undefined;
    const invalid = (message: string, id = 'invalid'): void => requester.fault({ kind: 'invalid', id, message });
    const parsed = await parseLargeJson(bytes, NOTED, (top) => {
      const method = top.get('method');
      if (method !== undefined) checked ??= precheck(requester.dispatch, method, bytes.length, call);
      return checked === undefined || 'bound' in checked ? undefined : { id: top.get('id') ?? 'invalid', checked };
    });
    // All of it is in strings now, and the collector may come late.
    release(bytes);
    if (!parsed.ok) {
      const { error } = parsed;
      if ('refused' in error) refused(requester, error.refused.id, error.refused.checked);
      else if (error.fault === 'not-json') requester.fault({ kind: 'json', id: 'invalid', message: 'not JSON' });
      else invalid(SCAN_FAULTS[error.fault]);
      return;
    }
    const frame = requestFrame(parsed.value, true);
    if (!frame.ok) return requester.fault(frame.error);
    // Written so that it reads one way before it is parsed and another way after: neither counts.
    if (checked === undefined || 'refused' in checked || checked.bound.descriptor.name !== frame.value.method) {
      return invalid('at /method: must be written once, and without escapes, in a frame of this size', frame.value.id);
    }
    const { bound } = checked;
    // A call may go on for as long as a run; what is large about it is over when it was taken.
    await new Promise<void>((resolve) => {
      const send = (text: string): void => {
        requester.send(text);
        resolve();
      };
      void perform(requester.dispatch, bound, frame.value, call, send);
    });
  } finally {
    leave();
  }
}

const NOTED = ['id', 'method'];

const refused = (requester: Requester, id: string, { refused: refusal, wrongRole }: Extract<Precheck, { refused: unknown }>): void => {
  requester.send(textOf(id, refusal));
  if (wrongRole) requester.wrongRole();
};
