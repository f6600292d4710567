import * as z from 'zod/mini';

/** Shapes that several methods share. Bounds here are the wire's (see `limits`); a handler never sees a longer value. */
export const sessionKey = z.string().check(z.minLength(1), z.maxLength(512));
export const agentId = z.optional(z.string().check(z.maxLength(64)));
export const runId = z.string().check(z.minLength(1), z.maxLength(256));
export const idempotencyKey = z.string().check(z.minLength(1), z.maxLength(256));
export const limit = (max: number) => z.optional(z.int().check(z.minimum(1), z.maximum(max)));
export const offset = z.optional(z.int().check(z.minimum(0), z.maximum(10_000_000)));
export const text = (max: number) => z.optional(z.string().check(z.maxLength(max)));
export const flag = z.optional(z.boolean());
export const millis = z.optional(z.int().check(z.minimum(0), z.maximum(24 * 3_600_000)));
/** No parameters, whatever else a client of another version sends along. */
export const nothing = z.object({});
