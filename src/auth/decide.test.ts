import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { closeScopes, OPERATOR_SCOPES, type Scope } from '../protocol/scopes.ts';
import { type Decision, decide, type Evidence, ROWS, type Row, rowOf } from './decide.ts';
import type { Ingress } from './ingress.ts';

const COLUMNS = ['socket', 'local', 'neighbour', 'serve', 'public', 'proxied', 'remote'] as const satisfies readonly Ingress['kind'][];

const READ: Scope = 'operator.read';
const WRITE: Scope = 'operator.write';
const ADMIN: Scope = 'operator.admin';

const base: Evidence = {
  transport: 'ws',
  mode: 'token',
  origin: 'fine',
  role: 'operator',
  requested: [ADMIN],
  isBrowser: false,
  device: { state: 'none' },
  held: { what: 'nothing', presented: false, why: 'token_missing' },
  deviceAuthOptOut: false,
};
const fresh = { state: 'new', hasOtherRole: false } as const;
const paired = { state: 'paired', approved: [READ] } as const;
const secret = { what: 'secret' } as const;
const owner = { what: 'tailnet-identity', login: 'me@example.com', isOwner: true } as const;
const guest = { what: 'tailnet-identity', login: 'you@example.com', isOwner: false } as const;
const ada = { what: 'proxy-identity', user: 'ada', scopes: [READ, WRITE] } as const;
const link = { what: 'code', kind: 'link', roles: [{ role: 'operator', scopes: [WRITE] }] } as const;

/** One case per row, several where a row has kinds. Everybody asks for admin; who is paired is paired for read. */
const CASES = {
  'nothing presented': base,
  'nothing presented, mode none': { ...base, mode: 'none' },
  'nothing of what was presented': { ...base, held: { what: 'nothing', presented: true, why: 'token_mismatch' } },
  'secret + new signed device': { ...base, held: secret, device: fresh },
  'secret + paired device': { ...base, held: secret, device: paired },
  'device token + its key': { ...base, held: { what: 'device-token', bound: undefined }, device: paired },
  'device token without its key': { ...base, held: { what: 'device-token-without-key' } },
  'secret, no device, no Origin': { ...base, held: secret },
  'secret, no device, browser': { ...base, held: secret, isBrowser: true },
  'secret, no device, browser, opt-out': { ...base, held: secret, isBrowser: true, deviceAuthOptOut: true },
  'tailnet owner + new device': { ...base, held: owner, device: fresh },
  'tailnet guest + new device': { ...base, held: guest, device: fresh },
  'tailnet guest + paired device': { ...base, held: guest, device: paired },
  'tailnet owner, no device': { ...base, held: owner },
  'proxy user + new device': { ...base, held: ada, device: fresh },
  'proxy user + paired device': { ...base, held: ada, device: paired },
  'link code + new device': { ...base, held: link, device: fresh },
  'short code + new device': { ...base, held: { ...link, kind: 'short' }, device: fresh },
  'link code + removed device': { ...base, held: link, device: { state: 'returning', reason: 'not-paired' } },
  'link code, no device': { ...base, held: link },
  'node, secret, new': { ...base, role: 'node', requested: [], held: secret, device: fresh },
  'node, secret, paired': { ...base, role: 'node', requested: [], held: secret, device: { state: 'paired', approved: [] } },
  'node, secret, no device': { ...base, role: 'node', requested: [], held: secret },
  'node, code for nodes, new': {
    ...base,
    role: 'node',
    requested: [],
    held: { ...link, roles: [{ role: 'node', scopes: [] }] },
    device: fresh,
  },
  'node, code for operators, new': { ...base, role: 'node', requested: [], held: link, device: fresh },
  'node, nothing presented': { ...base, role: 'node', requested: [], device: fresh },
  'secret + device whose platform changed': { ...base, held: secret, device: { state: 'returning', reason: 'metadata-upgrade' } },
  'secret + removed device': { ...base, held: secret, device: { state: 'returning', reason: 'not-paired' } },
  'device token + device whose platform changed': {
    ...base,
    held: { what: 'device-token', bound: undefined },
    device: { state: 'returning', reason: 'metadata-upgrade' },
  },
  'HTTP, nothing presented': { ...base, transport: 'http', requested: [] },
  'HTTP, mode none': { ...base, transport: 'http', requested: [], mode: 'none' },
  'HTTP, secret': { ...base, transport: 'http', requested: [], held: secret },
  'HTTP, token of a device with admin': {
    ...base,
    transport: 'http',
    requested: [],
    held: { what: 'device-token', bound: undefined },
    device: { state: 'paired', approved: [ADMIN] },
  },
  'HTTP, token of a device with read': {
    ...base,
    transport: 'http',
    requested: [],
    held: { what: 'device-token', bound: undefined },
    device: paired,
  },
} as const satisfies Record<string, Evidence>;

/** all = every scope; rw = read and write; `+x` approved now; `?x` filed for approval; `!` counted. */
const EXPECTED = `
case                                         | socket                   | local                    | neighbour                | serve                    | public                   | proxied                  | remote
nothing presented                            | socket all               | token_missing            | token_missing            | token_missing            | token_missing            | token_missing            | token_missing
nothing presented, mode none                 | socket all               | none all                 | mode_none                | mode_none                | mode_none                | mode_none                | mode_none
nothing of what was presented                | socket all               | token_mismatch!          | token_mismatch!          | token_mismatch!          | token_mismatch!          | token_mismatch!          | token_mismatch!
secret + new signed device                   | socket all               | device all +admin        | device rw +rw ?admin     | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired
secret + paired device                       | socket all               | device all +admin,read   | device read ?admin       | device read ?admin       | device read ?admin       | device read ?admin       | device read ?admin
device token + its key                       | socket all               | device read ?admin       | device read ?admin       | device read ?admin       | device read ?admin       | device read ?admin       | device read ?admin
device token without its key                 | socket all               | device_required!         | device_required!         | device_required!         | device_required!         | device_required!         | device_required!
secret, no device, no Origin                 | socket all               | secret all               | secret rw                | secret rw                | device_required          | secret rw                | secret rw
secret, no device, browser                   | socket all               | panel_device_required    | panel_device_required    | panel_device_required    | panel_device_required    | panel_device_required    | panel_device_required
secret, no device, browser, opt-out          | socket all               | secret all               | panel_device_required    | panel_device_required    | panel_device_required    | panel_device_required    | panel_device_required
tailnet owner + new device                   | socket all               | unauthorized             | unauthorized             | device all +admin        | unauthorized             | unauthorized             | unauthorized
tailnet guest + new device                   | socket all               | unauthorized             | unauthorized             | pend not-paired          | unauthorized             | unauthorized             | unauthorized
tailnet guest + paired device                | socket all               | unauthorized             | unauthorized             | device read ?admin       | unauthorized             | unauthorized             | unauthorized
tailnet owner, no device                     | socket all               | device_required          | device_required          | device_required          | device_required          | device_required          | device_required
proxy user + new device                      | socket all               | unauthorized             | unauthorized             | unauthorized             | unauthorized             | device rw +rw ?admin     | unauthorized
proxy user + paired device                   | socket all               | unauthorized             | unauthorized             | unauthorized             | unauthorized             | device read ?admin       | unauthorized
link code + new device                       | socket all               | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin
short code + new device                      | socket all               | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | bootstrap_token_invalid! | device rw +write ?admin  | device rw +write ?admin
link code + removed device                   | socket all               | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin  | device rw +write ?admin
link code, no device                         | socket all               | device_required          | device_required          | device_required          | device_required          | device_required          | device_required
node, secret, new                            | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired
node, secret, paired                         | device -                 | device -                 | device -                 | device -                 | device -                 | device -                 | device -
node, secret, no device                      | device_required          | device_required          | device_required          | device_required          | device_required          | device_required          | device_required
node, code for nodes, new                    | pend not-paired          | device - +node           | device - +node           | device - +node           | device - +node           | device - +node           | device - +node
node, code for operators, new                | pend not-paired          | bootstrap_token_invalid! | bootstrap_token_invalid! | bootstrap_token_invalid! | bootstrap_token_invalid! | bootstrap_token_invalid! | bootstrap_token_invalid!
node, nothing presented                      | pend not-paired          | token_missing            | token_missing            | token_missing            | token_missing            | token_missing            | token_missing
secret + device whose platform changed       | socket all               | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade
secret + removed device                      | socket all               | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired          | pend not-paired
device token + device whose platform changed | socket all               | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade    | pend metadata-upgrade
HTTP, nothing presented                      | socket all               | token_missing            | token_missing            | token_missing            | token_missing            | token_missing            | token_missing
HTTP, mode none                              | socket all               | mode_none                | mode_none                | mode_none                | mode_none                | mode_none                | mode_none
HTTP, secret                                 | socket all               | secret rw                | secret rw                | secret rw                | secret rw                | secret rw                | secret rw
HTTP, token of a device with admin           | socket all               | device rw                | device rw                | device rw                | device_token_mismatch!   | device rw                | device rw
HTTP, token of a device with read            | socket all               | device read              | device read              | device read              | device_token_mismatch!   | device read              | device read
`.trim();

function short(scopes: readonly Scope[]): string {
  const names = [...scopes].sort().map((scope) => scope.replace('operator.', ''));
  if (names.length === OPERATOR_SCOPES.length) return 'all';
  return names.join() === 'read,write' ? 'rw' : names.join() || '-';
}

function cell(decision: Decision): string {
  if (decision.outcome === 'refuse') return `${decision.why}${decision.isCounted ? '!' : ''}`;
  if (decision.outcome === 'pend') return `pend ${decision.reason}`;
  const approve = decision.approve.map(({ role, scopes }) => ` +${role === 'node' ? 'node' : short(scopes)}`).join('');
  return `${decision.as} ${short(decision.scopes)}${approve}${decision.file.length > 0 ? ` ?${short(decision.file)}` : ''}`;
}

function print(): string {
  const rows = Object.entries(CASES).map(([name, evidence]) => [name, ...COLUMNS.map((kind) => cell(decide({ kind }, evidence)))]);
  const table = [['case', ...COLUMNS], ...rows];
  const widths = COLUMNS.map((_, i) => Math.max(...table.map((row) => (row[i + 1] ?? '').length)));
  const first = Math.max(...table.map((row) => (row[0] ?? '').length));
  return table
    .map((row) =>
      row
        .map((text, i) => text.padEnd(i === 0 ? first : (widths[i - 1] ?? 0)))
        .join(' | ')
        .trimEnd(),
    )
    .join('\n');
}

describe('who gets in', () => {
  test('AU-1 the whole table, cell by cell', () => {
    const table = print();
    console.log(table);
    const cells = (text: string): string[][] => text.split('\n').map((line) => line.split('|').map((one) => one.trim()));
    expect(cells(table)).toEqual(cells(EXPECTED));
  });

  test('AU-1 the cases above stand in every row of the table', () => {
    const seen = new Set<Row>(Object.values(CASES).map((evidence) => rowOf(evidence)));
    expect(ROWS.filter((row) => !seen.has(row))).toEqual([]);
  });

  const scopes = fc.uniqueArray(fc.constantFrom(...OPERATOR_SCOPES));
  const role = fc.constantFrom('operator' as const, 'node' as const);
  const evidence: fc.Arbitrary<Evidence> = fc.record({
    transport: fc.constantFrom('ws' as const, 'http' as const),
    mode: fc.constantFrom('none' as const, 'token' as const, 'password' as const, 'trusted-proxy' as const),
    origin: fc.constantFrom('fine' as const, 'foreign' as const, 'invalid' as const),
    role,
    requested: scopes,
    isBrowser: fc.boolean(),
    deviceAuthOptOut: fc.boolean(),
    device: fc.oneof(
      fc.constant({ state: 'none' } as const),
      fc.record({ state: fc.constant('new' as const), hasOtherRole: fc.boolean() }),
      fc.record({ state: fc.constant('paired' as const), approved: scopes }),
      fc.record({ state: fc.constant('returning' as const), reason: fc.constantFrom('not-paired' as const, 'metadata-upgrade' as const) }),
    ),
    held: fc.oneof(
      fc.record({
        what: fc.constant('nothing' as const),
        presented: fc.boolean(),
        why: fc.constantFrom('token_missing' as const, 'rate_limited' as const),
      }),
      fc.record({ what: fc.constant('device-token' as const), bound: fc.option(scopes, { nil: undefined }) }),
      fc.constant({ what: 'device-token-without-key' } as const),
      fc.constant(secret),
      fc.record({
        what: fc.constant('code' as const),
        kind: fc.constantFrom('link' as const, 'short' as const),
        roles: fc.array(fc.record({ role, scopes }), { maxLength: 2 }),
      }),
      fc.record({ what: fc.constant('tailnet-identity' as const), login: fc.string(), isOwner: fc.boolean() }),
      fc.record({ what: fc.constant('proxy-identity' as const), user: fc.string(), scopes }),
    ),
  });
  const kind = fc.constantFrom(...COLUMNS);

  test('AU-2 total: any evidence at any ingress gives a decision', () => {
    fc.assert(fc.property(kind, evidence, (k, e) => ['admit', 'pend', 'refuse'].includes(decide({ kind: k }, e).outcome)));
  });

  test('AU-3 nobody but the owner on the socket gets more than was asked for', () => {
    fc.assert(
      fc.property(kind, evidence, (k, e) => {
        const decision = decide({ kind: k }, e);
        if (decision.outcome !== 'admit' || decision.as === 'socket' || e.transport === 'http') return true;
        const asked = new Set(closeScopes(e.requested));
        return decision.scopes.every((scope) => asked.has(scope));
      }),
    );
  });

  test('AU-4 where nothing holds, nobody gets in but by the socket and, in mode none, locally', () => {
    fc.assert(
      fc.property(kind, evidence, fc.boolean(), (k, e, presented) => {
        const decision = decide({ kind: k }, { ...e, mode: 'token', held: { what: 'nothing', presented, why: 'token_missing' } });
        return k === 'socket' || decision.outcome === 'refuse';
      }),
    );
  });

  test('AU-5 a foreign Origin gets nobody in anywhere', () => {
    fc.assert(fc.property(kind, evidence, (k, e) => decide({ kind: k }, { ...e, origin: 'foreign' }).outcome === 'refuse'));
  });

  test('AU-6 a node holds no scopes, and a new one gets in by a code alone', () => {
    fc.assert(
      fc.property(kind, evidence, (k, e) => {
        const decision = decide({ kind: k }, { ...e, role: 'node', requested: [], transport: 'ws' });
        if (decision.outcome !== 'admit') return true;
        return decision.scopes.length === 0 && (e.device.state === 'paired' || e.held.what === 'code');
      }),
    );
  });

  test('AU-7 read and write is the most on HTTP, outside of the socket', () => {
    fc.assert(
      fc.property(kind, evidence, (k, e) => {
        const decision = decide({ kind: k }, { ...e, transport: 'http' });
        return decision.outcome !== 'admit' || k === 'socket' || decision.scopes.every((scope) => scope === READ || scope === WRITE);
      }),
    );
  });

  test('AU-8 only where the secret, the owner of the tailnet, a listed proxy or a code vouches is anything approved', () => {
    fc.assert(
      fc.property(kind, evidence, (k, e) => {
        const decision = decide({ kind: k }, e);
        if (decision.outcome !== 'admit' || decision.approve.length === 0) return true;
        if (e.held.what === 'code') return true;
        if (e.held.what === 'secret') return k === 'local' || k === 'neighbour';
        if (e.held.what === 'tailnet-identity') return k === 'serve' && e.held.isOwner;
        return e.held.what === 'proxy-identity' && k === 'proxied';
      }),
    );
  });
});
