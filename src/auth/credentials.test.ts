import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { SecretValue } from '../lib/secret-value.ts';
import {
  type CredentialQuestion,
  type CredentialRole,
  type CredentialSources,
  explainCredentials,
  resolveCredentials,
} from './credentials.ts';

const unset: SecretValue = { state: 'unset' };
const value = (source: string): SecretValue => ({ state: 'value', value: `value of ${source}`, source });
const broken = (path: string): SecretValue => ({ state: 'unresolved', path, reason: 'file provider:/x does not exist' });

type Place = 'envToken' | 'envPassword' | 'authToken' | 'authPassword' | 'remoteToken' | 'remotePassword' | 'generated';
const PLACES: readonly Place[] = ['envToken', 'envPassword', 'authToken', 'authPassword', 'remoteToken', 'remotePassword', 'generated'];

function sources(set: Partial<Record<Place, SecretValue>>): CredentialSources {
  const at = (place: Place): SecretValue => set[place] ?? unset;
  return {
    env: { token: at('envToken'), password: at('envPassword') },
    config: {
      authToken: at('authToken'),
      authPassword: at('authPassword'),
      remoteToken: at('remoteToken'),
      remotePassword: at('remotePassword'),
    },
    generatedToken: at('generated'),
  };
}
const holding = (...places: readonly Place[]): CredentialSources =>
  sources(Object.fromEntries(places.map((place) => [place, value(place)])));

/** `token / password`: the places that won. */
function winners(question: CredentialQuestion): string {
  const resolved = resolveCredentials(question);
  if (!resolved.ok) return resolved.error.code;
  return `${resolved.value.token?.source ?? '-'} / ${resolved.value.password?.source ?? '-'}`;
}

describe('which secret is used', () => {
  // Taking the winner away, one after the other, shows the whole order.
  test.each<[CredentialRole, 'token' | 'password', readonly Place[]]>([
    ['client-local', 'token', ['envToken', 'authToken', 'remoteToken', 'generated']],
    ['client-local', 'password', ['envPassword', 'authPassword', 'remotePassword']],
    ['client-remote', 'token', ['remoteToken', 'envToken', 'authToken']],
    ['client-remote', 'password', ['envPassword', 'remotePassword', 'authPassword']],
    ['server', 'token', ['envToken', 'authToken', 'generated']],
    ['server', 'password', ['envPassword', 'authPassword']],
    ['probe-local', 'token', ['authToken', 'envToken', 'generated']],
    ['probe-local', 'password', ['authPassword', 'envPassword']],
    ['probe-remote', 'token', ['remoteToken']],
    ['probe-remote', 'password', ['remotePassword']],
  ])('CR-10 %s %s: %j', (role, field, order) => {
    const all = PLACES.filter((place) => (field === 'token' ? /Token|generated/ : /Password/).test(place));
    for (let i = 0; i <= order.length; i++) {
      const question: CredentialQuestion = { role, sources: holding(...all.filter((place) => !order.slice(0, i).includes(place))) };
      const resolved = resolveCredentials(question);
      expect(resolved.ok && resolved.value[field]?.source).toBe(order[i]);
    }
  });

  test('CR-11 what is given by hand is used alone, on every side', () => {
    for (const role of ['client-local', 'client-remote', 'server', 'probe-local', 'probe-remote'] as const) {
      const question = { role, sources: holding(...PLACES), urlOverride: 'cli' } as const;
      expect(winners({ ...question, explicit: { token: ' t ' } })).toBe('--token / -');
      expect(winners({ ...question, explicit: { password: 'p' } })).toBe('- / --password');
      expect(winners({ ...question, explicit: { token: 't', password: 'p' } })).toBe('--token / --password');
    }
  });

  test('CR-12 --url borrows nothing; OPENCLAW_GATEWAY_URL borrows from the environment alone', () => {
    const role = 'client-local';
    expect(winners({ role, sources: holding(...PLACES), urlOverride: 'cli' })).toBe('URL_OVERRIDE_NEEDS_CREDENTIALS');
    expect(winners({ role, sources: holding(...PLACES), urlOverride: 'cli', explicit: { token: ' ' } })).toBe(
      'URL_OVERRIDE_NEEDS_CREDENTIALS',
    );
    expect(winners({ role, sources: holding(...PLACES), urlOverride: 'env' })).toBe('envToken / envPassword');
    expect(winners({ role, sources: holding('authToken', 'remoteToken', 'generated'), urlOverride: 'env' })).toBe(
      'URL_OVERRIDE_NEEDS_CREDENTIALS',
    );
  });

  test('CR-13 a reference that cannot be resolved fails closed with its path, unless its field is of no account', () => {
    const authToken = broken('gateway.auth.token');
    const authPassword = broken('gateway.auth.password');
    const failed = resolveCredentials({ role: 'client-local', sources: sources({ authToken, remoteToken: value('remoteToken') }) });
    expect(failed).toMatchObject({ ok: false, error: { code: 'GATEWAY_SECRET_REF_UNAVAILABLE', path: 'gateway.auth.token' } });
    const role = 'client-local';
    expect(winners({ role, sources: sources({ envToken: value('envToken'), authToken }) })).toBe('envToken / -');
    expect(winners({ role, sources: sources({ authToken, authPassword: value('authPassword') }), authMode: 'password' })).toBe(
      '- / authPassword',
    );
    expect(winners({ role, sources: sources({ authToken, authPassword: value('authPassword') }) })).toBe('GATEWAY_SECRET_REF_UNAVAILABLE');
    expect(winners({ role, sources: sources({ authPassword }) })).toBe('GATEWAY_SECRET_REF_UNAVAILABLE');
    expect(winners({ role, sources: sources({ authPassword, envToken: value('envToken') }) })).toBe('envToken / -');
    expect(winners({ role, sources: sources({ authToken }), explicit: { token: 't' } })).toBe('--token / -');
    expect(winners({ role, sources: sources({ generated: broken('the generated token') }) })).toBe('GATEWAY_SECRET_REF_UNAVAILABLE');
  });

  test('CR-14 the generated token: for the own gateway, where its mode has nothing else; never for another', () => {
    for (const role of ['client-remote', 'probe-remote'] as const) expect(winners({ role, sources: holding('generated') })).toBe('- / -');
    const own = { role: 'client-local', sources: holding('generated', 'authPassword') } as const;
    expect(winners(own)).toBe('- / authPassword');
    expect(winners({ ...own, authMode: 'password' })).toBe('- / authPassword');
    expect(winners({ ...own, authMode: 'token' })).toBe('generated / authPassword');
    expect(winners({ role: 'client-local', sources: holding('generated'), urlOverride: 'env' })).toBe('URL_OVERRIDE_NEEDS_CREDENTIALS');
    // What was meant for another gateway does not hide it.
    expect(winners({ role: 'client-local', sources: holding('generated', 'remotePassword') })).toBe('generated / remotePassword');
  });

  test('CR-15 gateway probe shows a remote one its token, the password only where there is none', () => {
    expect(winners({ role: 'probe-remote', sources: holding(...PLACES) })).toBe('remoteToken / -');
    expect(winners({ role: 'probe-remote', sources: holding('remotePassword', 'envToken') })).toBe('- / remotePassword');
  });

  const place = fc.constantFrom(unset, value('x'), broken('gateway.auth.token'));
  const any: fc.Arbitrary<CredentialSources> = fc
    .tuple(...PLACES.map((name) => place.map((one): SecretValue => (one.state === 'value' ? value(name) : one))))
    .map((values) => sources(Object.fromEntries(PLACES.map((name, i) => [name, values[i] ?? unset]))));
  const authMode = fc.constantFrom(undefined, 'token' as const, 'password' as const);

  test('CR-16 client and server of one state dir agree, whatever is set, where the server has a secret of its own', () => {
    fc.assert(
      fc.property(any, authMode, (drawn, mode) => {
        const generatedToken = drawn.generatedToken.state === 'unresolved' ? unset : drawn.generatedToken;
        const all = { ...drawn, generatedToken };
        const client = resolveCredentials({ role: 'client-local', sources: all, authMode: mode });
        const server = resolveCredentials({ role: 'server', sources: all, authMode: mode });
        if (!server.ok) return !client.ok;
        const field = mode ?? (server.value.token !== undefined ? 'token' : 'password');
        const expected = server.value[field];
        // Without one, a client may still hold what was meant for a remote gateway: `auth explain` says so.
        if (expected === undefined || expected.source === 'generated') return true;
        return client.ok && client.value[field]?.value === expected.value;
      }),
    );
  });

  test('CR-17 what is explained is what is used, and holds no value', () => {
    const role = fc.constantFrom('client-local' as const, 'client-remote' as const, 'probe-local' as const, 'server' as const);
    fc.assert(
      fc.property(role, any, authMode, fc.constantFrom('none' as const, 'cli' as const, 'env' as const), (r, all, mode, urlOverride) => {
        const question: CredentialQuestion = { role: r, sources: all, authMode: mode, urlOverride };
        const explained = explainCredentials(question);
        const resolved = resolveCredentials(question);
        const used = (['token', 'password'] as const).map(
          (field) => explained.client.find((one) => one.field === field)?.tried.filter(({ state }) => state === 'used').length,
        );
        const found = (['token', 'password'] as const).map((field) => (resolved.ok && resolved.value[field] !== undefined ? 1 : 0));
        return JSON.stringify(used) === JSON.stringify(found) && !JSON.stringify(explained).includes('value of');
      }),
    );
  });

  test.each<[string, CredentialQuestion, string]>([
    ['the same source', { role: 'client-local', sources: holding('authToken') }, 'same'],
    ['what was meant for a remote gateway', { role: 'client-local', sources: holding('remoteToken', 'generated') }, 'differs'],
    ['a token by hand', { role: 'client-local', sources: holding('authToken'), explicit: { token: 'other' } }, 'differs'],
    [
      'the right password in the token field',
      { role: 'client-local', sources: holding('authPassword'), authMode: 'password', explicit: { token: 'value of authPassword' } },
      'same',
    ],
    ['no secret anywhere', { role: 'client-local', sources: holding() }, 'no-secret'],
    ['another gateway', { role: 'client-remote', sources: holding('remoteToken', 'authToken') }, 'unknown'],
  ])('CR-18 agreement: %s', (_, question, agreement) => {
    expect(explainCredentials(question).agreement).toBe(agreement);
  });
});
