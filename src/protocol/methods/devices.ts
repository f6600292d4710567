import * as z from 'zod/mini';
import { defineMethod } from '../define.ts';
import { nothing } from './params.ts';

const id = z.string().check(z.minLength(1), z.maxLength(128));
const role = z.string().check(z.minLength(1), z.maxLength(32));
const scopes = z.optional(z.array(z.string().check(z.maxLength(64))).check(z.maxLength(32)));

export const pairList = defineMethod<{ pending: readonly unknown[]; paired: readonly unknown[] }>()({
  name: 'device.pair.list',
  scope: 'operator.pairing',
  effect: 'read',
  params: nothing,
});
export const pairApprove = defineMethod<Record<string, unknown>>()({
  name: 'device.pair.approve',
  scope: 'operator.pairing',
  effect: 'control',
  params: z.object({ requestId: id }),
});
export const pairReject = defineMethod<Record<string, unknown>>()({
  name: 'device.pair.reject',
  scope: 'operator.pairing',
  effect: 'control',
  params: z.object({ requestId: id }),
});
export const pairRemove = defineMethod<Record<string, unknown>>()({
  name: 'device.pair.remove',
  scope: 'operator.pairing',
  effect: 'control',
  params: z.object({ deviceId: id }),
});
export const tokenRotate = defineMethod<Record<string, unknown>>()({
  name: 'device.token.rotate',
  scope: 'operator.pairing',
  effect: 'control',
  params: z.object({ deviceId: id, role, scopes }),
});
export const tokenRevoke = defineMethod<Record<string, unknown>>()({
  name: 'device.token.revoke',
  scope: 'operator.pairing',
  effect: 'control',
  params: z.object({ deviceId: id, role }),
});
