import { expect, test } from 'vitest';
import { SETTINGS } from '../../test/support/door.ts';
import { PolicyHolder } from './policy.ts';

test('AU-100 only what a change touches has to leave', () => {
  const holder = new PolicyHolder(SETTINGS);
  const told: unknown[] = [];
  holder.onChange((changed) => told.push(changed));
  expect(holder.replace({ ...SETTINGS })).toEqual([]);
  expect(holder.replace({ ...SETTINGS, rateLimit: { ...SETTINGS.rateLimit, maxAttempts: 3 } })).toEqual([]);
  expect(holder.replace({ ...SETTINGS, allowTailscale: true })).toEqual(['tailnet-identity']);
  expect(holder.replace({ ...SETTINGS, allowTailscale: true, secret: { kind: 'token', value: 'another-token-of-good-length' } })).toEqual([
    'shared-secret',
  ]);
  expect(told).toEqual([['tailnet-identity'], ['shared-secret']]);
  expect(holder.stands({ class: 'shared-secret', generation: 0 })).toBe(false);
  expect(holder.stands({ class: 'shared-secret', generation: 1 })).toBe(true);
  expect(holder.stands({ class: 'device-token', generation: 0 })).toBe(true);
  expect(holder.stands({ class: 'socket', generation: 0 })).toBe(true);
});

test('AU-100 going back to a former secret does not bring back who came by it', () => {
  const holder = new PolicyHolder(SETTINGS);
  holder.replace({ ...SETTINGS, secret: undefined });
  holder.replace(SETTINGS);
  expect(holder.stands({ class: 'shared-secret', generation: 0 })).toBe(false);
});

test('AU-101 the text of the secret is not in the policy', () => {
  expect(JSON.stringify(new PolicyHolder(SETTINGS).current())).not.toContain(SETTINGS.secret?.value);
});
