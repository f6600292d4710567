import * as z from 'zod/mini';
import { defineMethod } from '../define.ts';
import { flag, nothing } from './params.ts';

/**
 * Methods of the admin socket: offered nowhere else (the registry marks them `socket`), because whoever reaches that
 * socket owns the state dir already.
 */
export const gatewayStop = defineMethod<{ ok: true; pid: number }>()({
  name: 'gateway.stop',
  scope: 'operator.admin',
  effect: 'control',
  params: nothing,
});
export const gatewayRestart = defineMethod<{ ok: true; pid: number }>()({
  name: 'gateway.restart',
  scope: 'operator.admin',
  effect: 'control',
  params: nothing,
});
/** A no-op through door, dispatch and a durable write: what `/readyz` means (its result is cached). */
export const gatewaySelfCheck = defineMethod<{ ok: true; writeMs: number }>()({
  name: 'gateway.selfcheck',
  scope: 'operator.admin',
  effect: 'write',
  params: nothing,
});
export interface TryPlan {
  readonly title: string;
  readonly dir: string;
  readonly installed: boolean;
  readonly downloadBytes: number;
  readonly diskBytes: number;
  readonly memoryBytes: number;
  /** The Python that would run it, or why there is none. */
  readonly python:
    | { readonly ok: true; readonly version: string }
    | { readonly ok: false; readonly message: string; readonly fix?: string };
}
/** Sent under the id of `models.try.install` until its outcome. */
export interface TryProgress {
  /** From 1 to `steps`. */
  readonly step: number;
  readonly steps: number;
  readonly text: string;
  readonly elapsedMs: number;
}
export const tryPlan = defineMethod<TryPlan>()({
  name: 'models.try.plan',
  scope: 'operator.admin',
  effect: 'read',
  params: nothing,
});
/** Answers several times under one id: progress, then the outcome. */
export const tryInstall = defineMethod<Record<string, unknown>>()({
  name: 'models.try.install',
  scope: 'operator.admin',
  effect: 'control',
  params: z.object({ confirm: flag }),
});
export const tryRemove = defineMethod<Record<string, unknown>>()({
  name: 'models.try.remove',
  scope: 'operator.admin',
  effect: 'control',
  params: nothing,
});
export const eventsSubscribe = defineMethod<{ subscribed: true }>()({
  name: 'events.subscribe',
  scope: 'operator.admin',
  effect: 'read',
  params: nothing,
});
export const modelsRefresh = defineMethod<{ models: readonly Record<string, unknown>[] }>()({
  name: 'models.refresh',
  scope: 'operator.admin',
  effect: 'read',
  params: nothing,
});
export const sessionSetModel = defineMethod<Record<string, unknown>>()({
  name: 'models.set',
  scope: 'operator.admin',
  effect: 'write',
  params: z.object({ sessionKey: z.optional(z.string().check(z.maxLength(512))), model: z.nullable(z.string().check(z.maxLength(256))) }),
});
