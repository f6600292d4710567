import { isRecord } from '../lib/json.ts';

// Answers come from a gateway of another version as well: what is shown is read with care, never trusted to have a shape.

export const records = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);
export const record = (value: unknown): Record<string, unknown> => (isRecord(value) ? value : {});
export const text = (value: unknown): string | undefined => (typeof value === 'string' && value !== '' ? value : undefined);
export const number = (value: unknown): number | undefined => (typeof value === 'number' && Number.isFinite(value) ? value : undefined);
export const texts = (value: unknown): string[] => (Array.isArray(value) ? value.filter((item) => typeof item === 'string') : []);
