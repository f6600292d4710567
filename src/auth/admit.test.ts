import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  admitted,
  codeOf,
  connectOf,
  FACTS,
  NONCE,
  refused,
  SECRET,
  SETTINGS,
  signed,
  type TestDoor,
  testDoor,
  testKey,
} from '../../test/support/door.ts';
import { isRefusal } from '../protocol/errors.ts';
import { OPERATOR_SCOPES, type Scope } from '../protocol/scopes.ts';
import { admit, helloAuth, stillStands } from './admit.ts';
import { AUDIT } from './audit.ts';
import { TOKEN_LIFE } from './device-tokens.ts';
import type { ConnectionFacts } from './facts.ts';
import type { ApprovedRole, Whois } from './ports.ts';
import { OWNER } from './principal.ts';

const RW: Scope[] = ['operator.read', 'operator.write'];
const WITH_SECRET = { auth: { token: SECRET } };
const LOCAL: ConnectionFacts = FACTS.local;
const PAGE: ConnectionFacts = { ...LOCAL, origin: 'pass' };

/** Pairs a fresh key locally and returns its token. */
async function pairedDevice(door: TestDoor, scopes: readonly Scope[] = RW) {
  const key = testKey();
  const first = admitted(await door.knock(LOCAL, { ...WITH_SECRET, scopes: [...scopes] }, key));
  const token = first.handout?.deviceToken;
  if (token === undefined) throw new Error('no token was handed out');
  return { key, token, first };
}
async function codeFor(door: TestDoor, roles: readonly ApprovedRole[], kind: 'link' | 'short' = 'link'): Promise<string> {
  const issued = await door.approvals.issueCode({ kind, roles }, OWNER);
  if (isRefusal(issued)) throw new Error(issued.error.message);
  return issued.code;
}

describe('the shared secret', () => {
  test('AU-40 counts in auth.token and in auth.password', async () => {
    const door = testDoor();
    expect(admitted(await door.knock(LOCAL, WITH_SECRET)).principal).toMatchObject({ kind: 'secret', scopes: RW });
    expect(admitted(await door.knock(LOCAL, { auth: { password: SECRET } })).method).toBe('token');
    const byPassword = testDoor({ mode: 'password', secret: { kind: 'password', value: SECRET } });
    expect(admitted(await byPassword.knock(LOCAL, WITH_SECRET)).method).toBe('password');
  });

  test('AU-41 a new device pairs at once locally, with read and write as a neighbour, not at all from elsewhere', async () => {
    const door = testDoor();
    const ask = { ...WITH_SECRET, scopes: ['operator.admin'] };
    expect(admitted(await door.knock(LOCAL, ask, testKey())).principal.scopes).toEqual(OPERATOR_SCOPES);
    const neighbour = admitted(await door.knock(FACTS.neighbour, ask, testKey()));
    expect(neighbour.principal.scopes).toEqual(RW);
    expect(neighbour.announced).toEqual(RW);
    expect(door.approvals.pending().map(({ requestId, reason }) => [requestId, reason])).toEqual([
      [neighbour.upgradeRequestId, 'scope-upgrade'],
    ]);
    for (const facts of [FACTS.remote, FACTS.serve, FACTS.public, FACTS.proxied]) {
      expect(codeOf(await door.knock(facts, ask, testKey()))).toBe('PAIRING_REQUIRED');
    }
  });

  test('AU-42 without a device: all locally, read and write elsewhere, nothing on public; never for a page', async () => {
    const door = testDoor();
    const ask = { ...WITH_SECRET, scopes: ['operator.admin'] };
    expect(admitted(await door.knock(LOCAL, ask)).principal.scopes).toEqual(OPERATOR_SCOPES);
    for (const facts of [FACTS.neighbour, FACTS.remote, FACTS.serve, FACTS.proxied]) {
      expect(admitted(await door.knock(facts, ask)).principal.scopes).toEqual(RW);
    }
    expect(codeOf(await door.knock(FACTS.public, ask))).toBe('DEVICE_IDENTITY_REQUIRED');
    for (const facts of [LOCAL, FACTS.remote]) {
      expect(codeOf(await door.knock({ ...facts, origin: 'pass' }, ask))).toBe('CONTROL_UI_DEVICE_IDENTITY_REQUIRED');
    }
  });

  test('AU-43 a weak one guards this machine only', async () => {
    const door = testDoor({ secret: { kind: 'token', value: 'your-token' } });
    const ask = { auth: { token: 'your-token' } };
    expect(codeOf(await door.knock(LOCAL, ask))).toBe('admitted');
    expect(codeOf(await door.knock(FACTS.remote, ask))).toBe('AUTH_TOKEN_NOT_CONFIGURED');
    expect(codeOf(await door.knock({ ...LOCAL, forwarding: { present: true, names: ['x-real-ip'], funnel: false } }, ask))).toBe(
      'AUTH_TOKEN_NOT_CONFIGURED',
    );
    expect(codeOf(await door.bearer(FACTS.remote, 'your-token'))).toBe('AUTH_TOKEN_NOT_CONFIGURED');
  });
});

describe('device tokens', () => {
  test('AU-44 one with its key gives what is asked of what is approved, from anywhere', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    for (const facts of Object.values(FACTS).filter(({ listener }) => listener !== 'socket')) {
      const one = admitted(await door.knock(facts, { scopes: ['operator.read'], auth: { deviceToken: token } }, key));
      expect(one.principal).toMatchObject({
        kind: 'device',
        deviceId: key.id,
        scopes: ['operator.read'],
        credential: { class: 'device-token' },
      });
      expect(one.method).toBe('device-token');
    }
    expect(codeOf(await door.knock(FACTS.remote, { auth: { token } }, key))).toBe('admitted');
  });

  test('AU-44 asking for more connects with the intersection and files a request', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    const one = admitted(await door.knock(LOCAL, { scopes: ['operator.admin'], auth: { deviceToken: token } }, key));
    expect(one.principal.scopes).toEqual(RW);
    expect(door.approvals.pending()).toMatchObject([{ requestId: one.upgradeRequestId, scopes: ['operator.admin'] }]);
    const writes = door.devices.writes;
    for (let i = 0; i < 3; i++) await door.knock(LOCAL, { scopes: ['operator.admin'], auth: { deviceToken: token } }, key);
    expect(door.devices.writes).toBe(writes);
  });

  test('AU-45 without its key, or with another, it is worth nothing', async () => {
    const door = testDoor();
    const { token } = await pairedDevice(door);
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: token } }))).toBe('DEVICE_IDENTITY_REQUIRED');
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: 'wrong' } }))).toBe('DEVICE_IDENTITY_REQUIRED');
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: token } }, testKey()))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(codeOf(await door.knock(LOCAL, { auth: { token } }, testKey()))).toBe('AUTH_TOKEN_MISMATCH');
  });

  test('AU-46 the secret and a device without a token in hand get one; who shows one does not, until it is due', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    const ask = { auth: { deviceToken: token } };
    expect(admitted(await door.knock(LOCAL, ask, key)).handout).toBeUndefined();
    await door.clock.advance(TOKEN_LIFE.slidingMs / 2);
    const due = admitted(await door.knock(LOCAL, ask, key));
    expect(due.handout?.deviceToken).toMatch(/^ocd_/);
    // Parallel calls of one program: the second gets in with the old one, and no third token is made.
    expect(admitted(await door.knock(LOCAL, ask, key)).handout).toBeUndefined();
  });

  test('AU-46 the one before works until ten minutes after its successor was first used', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    await door.clock.advance(TOKEN_LIFE.slidingMs / 2);
    const next = admitted(await door.knock(LOCAL, { auth: { deviceToken: token } }, key)).handout?.deviceToken;
    // Its hello-ok may have been lost: the old one goes on, and another successor comes.
    await door.clock.advance(TOKEN_LIFE.graceMs * 2);
    const again = admitted(await door.knock(LOCAL, { auth: { deviceToken: token } }, key)).handout?.deviceToken;
    expect(again).toBeDefined();
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: next } }, key))).toBe('admitted');
    await door.clock.advance(TOKEN_LIFE.graceMs - 1);
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: token } }, key))).toBe('admitted');
    await door.clock.advance(1);
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: token } }, key))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: again } }, key))).toBe('admitted');
  });

  test('AU-46 no chain of rotations outlives 90 days', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    let current = token;
    const start = door.clock.now();
    while (door.clock.now() - start < TOKEN_LIFE.absoluteMs) {
      current = admitted(await door.knock(LOCAL, { auth: { deviceToken: current } }, key)).handout?.deviceToken ?? current;
      await door.clock.advance(TOKEN_LIFE.slidingMs / 6);
    }
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: current } }, key))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
  });

  test('AU-47 no text of a token is stored', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    expect(JSON.stringify([door.devices.device(key.id), door.devices.tokens(key.id)])).not.toContain(token.slice(4));
  });

  test('AU-48 nothing is written for a connect that changes nothing', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    await door.knock(LOCAL, { auth: { deviceToken: token } }, key);
    const before = door.devices.writes;
    for (let i = 0; i < 5; i++) await door.knock(LOCAL, { auth: { deviceToken: token } }, key);
    expect(door.devices.writes).toBe(before);
  });
});

describe('what is refused', () => {
  // The words, codes and steps that clients of both lines were recorded to get.
  test.each([
    ['nothing', {}, 'unauthorized: gateway token missing (provide gateway auth token)', 'token_missing', 'update_auth_configuration'],
    [
      'a blank token',
      { auth: { token: '' } },
      'unauthorized: gateway token missing (provide gateway auth token)',
      'token_missing',
      'update_auth_configuration',
    ],
    [
      'a wrong password',
      { auth: { password: 'no' } },
      'unauthorized: gateway token mismatch (provide gateway auth token)',
      'token_mismatch',
      'update_auth_credentials',
    ],
    [
      'a wrong code',
      { auth: { bootstrapToken: 'no' } },
      expect.stringContaining('unauthorized: setup code invalid, expired, revoked, or'),
      'bootstrap_token_invalid',
      'review_auth_configuration',
    ],
  ] as const)('AU-50 %s', async (_, patch, message, authReason, recommendedNextStep) => {
    const door = testDoor();
    const { error, close } = refused(await door.knock(LOCAL, patch, testKey()));
    expect(error).toMatchObject({
      code: 'INVALID_REQUEST',
      message,
      details: { authReason, canRetryWithDeviceToken: false, recommendedNextStep },
    });
    expect(close.code).toBe(1008);
    expect(Buffer.byteLength(close.reason)).toBeLessThanOrEqual(120);
    expect(error.message.startsWith(close.reason)).toBe(true);
  });

  test('AU-50 a wrong token with a device may be retried with the device token', async () => {
    const { error } = refused(await testDoor().knock(LOCAL, { auth: { token: 'no' } }, testKey()));
    expect(error.details).toEqual({
      code: 'AUTH_TOKEN_MISMATCH',
      authReason: 'token_mismatch',
      canRetryWithDeviceToken: true,
      recommendedNextStep: 'retry_with_device_token',
    });
  });

  test('AU-50 a wrong device token', async () => {
    const { error } = refused(await testDoor().knock(LOCAL, { auth: { deviceToken: 'no' } }, testKey()));
    expect(error.message).toBe('unauthorized: device token mismatch (rotate/reissue device token)');
  });

  test('AU-51 the pending approval in the shape of each protocol, with one id for all repeats', async () => {
    const door = testDoor();
    const key = testKey();
    const three = refused(await door.knock(FACTS.remote, WITH_SECRET, key, 3));
    const requestId = door.approvals.pending()[0]?.requestId;
    expect(three.error).toEqual({
      code: 'NOT_PAIRED',
      message: 'pairing required',
      details: { code: 'PAIRING_REQUIRED', requestId, reason: 'not-paired' },
    });
    expect(three.close.reason).toBe('pairing required');
    const four = refused(await door.knock(FACTS.remote, WITH_SECRET, key, 4));
    expect(four.error).toEqual({
      code: 'NOT_PAIRED',
      message: 'pairing required: device is not approved yet',
      details: {
        code: 'PAIRING_REQUIRED',
        reason: 'not-paired',
        requestId,
        remediationHint: expect.stringContaining(`openclaw devices approve ${requestId}`),
        deviceId: key.id,
        requestedRole: 'operator',
        requestedScopes: RW,
      },
    });
    expect(four.close.reason).toBe(`pairing required: device is not approved yet (requestId: ${requestId})`);
    expect(door.events.filter(({ kind }) => kind === 'requested')).toHaveLength(1);
  });

  test('AU-51 an upgrade says what is approved already', async () => {
    const door = testDoor();
    const { key } = await pairedDevice(door);
    const { error } = refused(await door.knock(LOCAL, { ...WITH_SECRET, client: { platform: 'darwin' }, scopes: ['operator.admin'] }, key));
    expect(error.details).toMatchObject({ requestedScopes: ['operator.admin'], approvedRoles: ['operator'], approvedScopes: RW });
  });

  test('AU-51 the panel and nodes are told to wait in line', async () => {
    const door = testDoor();
    const waits = { recommendedNextStep: 'wait_then_retry', retryable: true, pauseReconnect: false };
    const panel = { ...WITH_SECRET, client: { id: 'openclaw-control-ui', mode: 'webchat' } };
    expect(refused(await door.knock({ ...FACTS.remote, origin: 'pass' }, panel, testKey())).error.details).toMatchObject(waits);
    expect(refused(await door.knock(LOCAL, { ...WITH_SECRET, role: 'node', scopes: [] }, testKey())).error.details).toMatchObject({
      ...waits,
      requestedRole: 'node',
      requestedScopes: [],
    });
  });

  test('AU-52 where nothing holds, no request is made, whatever else is presented', async () => {
    const door = testDoor();
    for (const facts of Object.values(FACTS).filter(({ listener }) => listener !== 'socket')) {
      for (const auth of [{}, { token: 'no' }, { deviceToken: 'no' }, { bootstrapToken: 'no' }])
        expect((await door.knock(facts, { auth }, testKey())).ok).toBe(false);
    }
    expect(door.approvals.pending()).toEqual([]);
    expect(door.devices.writes).toBe(0);
  });

  test('AU-53 a foreign page is refused before any credential is looked at', async () => {
    const door = testDoor();
    for (const [origin, reason] of [
      ['foreign', 'origin not allowed'],
      ['invalid', 'origin missing or invalid'],
    ] as const) {
      const { error, http } = refused(await door.knock({ ...LOCAL, origin }, WITH_SECRET, testKey()));
      expect(error).toMatchObject({ code: 'INVALID_REQUEST', details: { code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED', reason } });
      expect(http.status).toBe(403);
    }
    const hidden = await door.knock(LOCAL, { ...WITH_SECRET, client: { id: 'openclaw-control-ui', mode: 'webchat' } }, testKey());
    expect(refused(hidden).error.details?.['reason']).toBe('origin missing or invalid');
    expect(refused(await door.bearer({ ...LOCAL, host: 'unknown' }, SECRET)).http.status).toBe(421);
  });

  test('AU-54 a bad proof is refused whatever else would hold, and says nothing about the secret', async () => {
    const door = testDoor();
    const answer = async (token: string) => {
      const connect = signed(testKey(), connectOf({ auth: { token } }), { signedAt: door.clock.now(), nonce: 'another' });
      return refused(await admit(LOCAL, { transport: 'ws', protocol: 4, connect, nonce: NONCE }, door.ports)).error;
    };
    expect(await answer(SECRET)).toEqual({
      code: 'INVALID_REQUEST',
      message: 'device nonce mismatch',
      details: { code: 'DEVICE_AUTH_NONCE_MISMATCH', reason: 'device-nonce-mismatch' },
    });
    expect(await answer('wrong')).toEqual(await answer(SECRET));
  });

  test('AU-55 an unknown role', async () => {
    expect(refused(await testDoor().knock(LOCAL, { ...WITH_SECRET, role: 'admin' })).error).toEqual({
      code: 'INVALID_REQUEST',
      message: 'invalid role',
    });
  });
});

describe('guessing', () => {
  test('AU-60 a locked address: the right secret is refused, a paired device and the socket are not', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    for (let i = 0; i < 10; i++) await door.knock(FACTS.remote, { auth: { token: `guess-${i}` } });
    const locked = refused(await door.knock(FACTS.remote, WITH_SECRET));
    expect(locked.error).toMatchObject({ retryable: true, details: { code: 'AUTH_RATE_LIMITED', recommendedNextStep: 'wait_then_retry' } });
    expect(locked.error.retryAfterMs).toBeGreaterThan(0);
    expect(locked.http).toMatchObject({ status: 429, retryAfterS: expect.any(Number) });
    expect(codeOf(await door.bearer(FACTS.remote, SECRET))).toBe('AUTH_RATE_LIMITED');
    expect(codeOf(await door.knock(FACTS.remote, { auth: { deviceToken: token } }, key))).toBe('admitted');
    expect(codeOf(await door.knock(FACTS.socket))).toBe('admitted');
    expect(codeOf(await door.knock(LOCAL, WITH_SECRET))).toBe('admitted');
  });

  test('AU-61 what is missing is not counted, and a failure only when nothing holds', async () => {
    const door = testDoor();
    for (let i = 0; i < 20; i++) await door.knock(FACTS.remote);
    for (let i = 0; i < 20; i++) await door.knock(FACTS.remote, { auth: { token: 'old', password: SECRET } });
    expect(codeOf(await door.knock(FACTS.remote, WITH_SECRET))).toBe('admitted');
  });

  test('AU-62 local guesses are answered no faster than ten a second, right ones at once', async () => {
    const door = testDoor();
    const guess = () =>
      admit(LOCAL, { transport: 'ws', protocol: 4, connect: connectOf({ auth: { token: 'no' } }), nonce: NONCE }, door.ports);
    let answered = 0;
    for (let i = 0; i < 30; i++) void guess().then(() => answered++);
    await door.clock.advance(1_000);
    expect(answered).toBe(10);
    const right = await admit(LOCAL, { transport: 'ws', protocol: 4, connect: connectOf(WITH_SECRET), nonce: NONCE }, door.ports);
    expect(right.ok).toBe(true);
  });

  test.each(['token', 'password'] as const)(
    'AU-121: beside fifty wrong guesses a second every right %s of this machine is let in at once, and ten wrong ones are answered',
    async (kind) => {
      const door = testDoor({ secret: { kind, value: SECRET }, mode: kind });
      let wrong = 0;
      let limited = 0;
      for (let tick = 0; tick < 500; tick++) {
        const bearer = tick % 2 === 0;
        const guess = bearer
          ? ({ transport: 'http', bearer: `guess-${tick}` } as const)
          : ({ transport: 'ws', protocol: 4, connect: connectOf({ auth: { [kind]: `guess-${tick}` } }), nonce: NONCE } as const);
        void admit(LOCAL, guess, door.ports).then((answer) => {
          if (codeOf(answer) === 'AUTH_RATE_LIMITED') limited++;
          else wrong++;
        });
        if (tick % 10 === 0) {
          const right = connectOf({ auth: { [kind]: SECRET } });
          expect((await admit(LOCAL, { transport: 'ws', protocol: 4, connect: right, nonce: NONCE }, door.ports)).ok).toBe(true);
          expect((await admit(LOCAL, { transport: 'http', bearer: SECRET }, door.ports)).ok).toBe(true);
        }
        await door.clock.advance(20);
      }
      expect(wrong).toBeLessThanOrEqual(10 * 10 + 1);
      expect(limited).toBeGreaterThan(300);
    },
  );

  test('AU-121: a right pairing code of this machine is let in beside wrong ones too', async () => {
    const door = testDoor();
    const bootstrapToken = await codeFor(door, [{ role: 'operator', scopes: RW }]);
    const guess = (): void =>
      void admit(LOCAL, { transport: 'ws', protocol: 4, connect: connectOf({ auth: { bootstrapToken: 'no' } }), nonce: NONCE }, door.ports);
    for (let i = 0; i < 100; i++) guess();
    await door.clock.advance(0);
    expect(codeOf(await door.knock(LOCAL, { auth: { bootstrapToken } }, testKey()))).toBe('admitted');
  });

  test('AU-63 a page on this machine is locked like everyone, and locks nobody else', async () => {
    const door = testDoor();
    for (let i = 0; i < 10; i++) await door.knock(PAGE, { auth: { token: `guess-${i}` } }, testKey());
    expect(codeOf(await door.knock(PAGE, WITH_SECRET, testKey()))).toBe('AUTH_RATE_LIMITED');
    expect(codeOf(await door.knock(LOCAL, WITH_SECRET))).toBe('admitted');
  });
});

describe('pairing codes', () => {
  const NODE_AND_OPERATOR: ApprovedRole[] = [
    { role: 'node', scopes: [] },
    { role: 'operator', scopes: RW },
  ];

  test('PA-10 pair from anywhere with their own roles and scopes, a token for each', async () => {
    const door = testDoor();
    const key = testKey();
    const bootstrapToken = await codeFor(door, NODE_AND_OPERATOR);
    const one = admitted(await door.knock(FACTS.remote, { role: 'node', scopes: [], auth: { bootstrapToken } }, key));
    expect(one).toMatchObject({
      method: 'bootstrap-token',
      principal: { role: 'node', scopes: [] },
      furtherHandouts: [{ role: 'operator', scopes: RW }],
    });
    const deviceToken = one.furtherHandouts[0]?.deviceToken;
    expect(admitted(await door.knock(FACTS.remote, { auth: { deviceToken } }, key)).principal.scopes).toEqual(RW);
    expect(helloAuth(one, 4)?.deviceTokens).toEqual(one.furtherHandouts);
  });

  test('PA-11 single use, bound to the first key, which may repeat it until its token was used once', async () => {
    const door = testDoor();
    const [key, other] = [testKey(), testKey()];
    const bootstrapToken = await codeFor(door, [{ role: 'operator', scopes: RW }]);
    const ask = { auth: { bootstrapToken } };
    await door.knock(FACTS.remote, ask, key);
    expect(codeOf(await door.knock(FACTS.remote, ask, other))).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
    // Its hello-ok was lost: it comes again.
    const again = admitted(await door.knock(FACTS.remote, ask, key));
    expect(codeOf(await door.knock(FACTS.remote, { auth: { deviceToken: again.handout?.deviceToken } }, key))).toBe('admitted');
    expect(codeOf(await door.knock(FACTS.remote, ask, key))).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
  });

  test('PA-11 two keys at once: one of them gets in', async () => {
    const door = testDoor();
    const bootstrapToken = await codeFor(door, [{ role: 'operator', scopes: RW }]);
    const both = await Promise.all([testKey(), testKey()].map((key) => door.knock(FACTS.remote, { auth: { bootstrapToken } }, key)));
    expect(both.filter(({ ok }) => ok)).toHaveLength(1);
  });

  test('PA-12 they end after ten minutes; without a device they are kept', async () => {
    const door = testDoor();
    const bootstrapToken = await codeFor(door, [{ role: 'operator', scopes: RW }]);
    expect(codeOf(await door.knock(FACTS.remote, { auth: { bootstrapToken } }))).toBe('DEVICE_IDENTITY_REQUIRED');
    await door.clock.advance(10 * 60_000 - 1);
    expect(codeOf(await door.knock(FACTS.remote, { auth: { bootstrapToken } }, testKey()))).toBe('admitted');
    const late = await codeFor(door, [{ role: 'operator', scopes: RW }]);
    await door.clock.advance(10 * 60_000);
    expect(codeOf(await door.knock(FACTS.remote, { auth: { bootstrapToken: late } }, testKey()))).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
  });

  test('PA-13 a short one may be typed as it was heard, and is refused on public', async () => {
    const door = testDoor();
    const code = await codeFor(door, [{ role: 'operator', scopes: RW }], 'short');
    expect(codeOf(await door.knock(FACTS.public, { auth: { bootstrapToken: code } }, testKey()))).toBe('AUTH_BOOTSTRAP_TOKEN_INVALID');
    const typed = code.toLowerCase().replace('-', ' ').replaceAll('0', 'o').replaceAll('1', 'l');
    expect(codeOf(await door.knock(FACTS.remote, { auth: { bootstrapToken: typed } }, testKey()))).toBe('admitted');
  });

  test('PA-14 five wrong ones lock an address for codes, not for the secret', async () => {
    const door = testDoor();
    for (let i = 0; i < 5; i++) await door.knock(FACTS.remote, { auth: { bootstrapToken: `no-${i}` } }, testKey());
    const bootstrapToken = await codeFor(door, [{ role: 'operator', scopes: RW }]);
    expect(codeOf(await door.knock(FACTS.remote, { auth: { bootstrapToken } }, testKey()))).toBe('AUTH_RATE_LIMITED');
    expect(codeOf(await door.knock(FACTS.remote, WITH_SECRET))).toBe('admitted');
  });
});

describe('identity', () => {
  const whois = (login: string | undefined, isOwnNode = false): Whois => ({
    lookup: async (address) => (address === '100.64.0.9' ? { ...(login === undefined ? {} : { login }), isOwnNode } : undefined),
    ownerLogin: () => 'me@example.com',
  });
  const serve = (login: string): ConnectionFacts => ({ ...FACTS.serve, forwarding: { ...FACTS.serve.forwarding, tailscaleLogin: login } });

  test('AU-70 an owner of the tailnet pairs at once over Serve; the device then needs no token', async () => {
    const door = testDoor({ allowTailscale: true }, whois('me@example.com'));
    const key = testKey();
    const one = admitted(await door.knock(FACTS.serve, { scopes: ['operator.admin'] }, key));
    expect(one).toMatchObject({ method: 'tailscale', principal: { scopes: OPERATOR_SCOPES, credential: { class: 'tailnet-identity' } } });
    expect(codeOf(await door.knock(FACTS.serve, {}, key))).toBe('admitted');
    expect(codeOf(await door.knock(FACTS.serve))).toBe('DEVICE_IDENTITY_REQUIRED');
  });

  test('AU-71 another person waits for approval, the request naming the login; then needs no token', async () => {
    const door = testDoor({ allowTailscale: true }, whois('you@example.com'));
    const key = testKey();
    expect(codeOf(await door.knock(serve('you@example.com'), {}, key))).toBe('PAIRING_REQUIRED');
    const [request] = door.approvals.pending();
    expect(request?.login).toBe('you@example.com');
    await door.approvals.approve(request?.requestId, OWNER);
    expect(admitted(await door.knock(serve('you@example.com'), {}, key)).principal.scopes).toEqual(RW);
    const listed = testDoor({ allowTailscale: true, tailscaleOwners: ['You@example.com'] }, whois('you@example.com'));
    expect(codeOf(await listed.knock(serve('you@example.com'), {}, testKey()))).toBe('admitted');
  });

  test.each<[string, ConnectionFacts, Whois | undefined, string]>([
    ['another login in the header', serve('you@example.com'), whois('me@example.com'), 'AUTH_TAILSCALE_IDENTITY_MISMATCH'],
    ['an address nobody has', FACTS.serve, { lookup: async () => undefined, ownerLogin: () => undefined }, 'AUTH_TAILSCALE_WHOIS_FAILED'],
    [
      'a tailscaled that fails',
      FACTS.serve,
      {
        lookup: async () => {
          throw new Error('down');
        },
        ownerLogin: () => undefined,
      },
      'AUTH_TAILSCALE_WHOIS_FAILED',
    ],
    [
      'a tailscaled that hangs',
      FACTS.serve,
      { lookup: () => new Promise(() => {}), ownerLogin: () => undefined },
      'AUTH_TAILSCALE_WHOIS_FAILED',
    ],
    ['our own node: any local user', FACTS.serve, whois('me@example.com', true), 'AUTH_TOKEN_MISSING'],
    ['forged headers on loopback', { ...LOCAL, forwarding: FACTS.serve.forwarding }, whois('me@example.com'), 'AUTH_TOKEN_MISSING'],
    [
      'forged headers from the network',
      { ...FACTS.remote, forwarding: FACTS.serve.forwarding },
      whois('me@example.com'),
      'AUTH_TOKEN_MISSING',
    ],
    ['Funnel', { ...FACTS.serve, forwarding: { ...FACTS.serve.forwarding, funnel: true } }, whois('me@example.com'), 'AUTH_TOKEN_MISSING'],
  ])('AU-72 %s is nobody', async (_, facts, port, code) => {
    const door = testDoor({ allowTailscale: true }, port);
    expect(codeOf(await door.knock(facts, {}, testKey()))).toBe(code);
    expect(door.approvals.pending()).toEqual([]);
  });

  test('AU-73 off unless allowTailscale, and never on HTTP', async () => {
    expect(codeOf(await testDoor({}, whois('me@example.com')).knock(FACTS.serve, {}, testKey()))).toBe('AUTH_TOKEN_MISSING');
    expect(codeOf(await testDoor({ allowTailscale: true }, whois('me@example.com')).bearer(FACTS.serve, undefined))).toBe(
      'AUTH_TOKEN_MISSING',
    );
  });

  const proxy = { mode: 'trusted-proxy', secret: undefined, trustedProxy: { allowUsers: ['ada'], scopes: RW } } as const;

  test('AU-22 who may come in by identity cannot try passwords without end', async () => {
    const door = testDoor(
      { allowTailscale: true, mode: 'password', secret: { kind: 'password', value: SECRET } },
      whois('you@example.com'),
    );
    const facts = serve('you@example.com');
    for (let i = 0; i < 100; i++)
      expect(codeOf(await door.knock(facts, { auth: { password: `guess-${i}` } }))).toBe('DEVICE_IDENTITY_REQUIRED');
    expect(codeOf(await door.knock(facts, { auth: { password: SECRET } }))).toBe('DEVICE_IDENTITY_REQUIRED');
    expect(codeOf(await door.knock(LOCAL, { auth: { password: SECRET } }))).toBe('admitted');
  });

  test('AU-74 a listed proxy vouches for its allowed users, with the scopes of the config', async () => {
    const door = testDoor(proxy);
    const one = admitted(await door.knock(FACTS.proxied, { scopes: ['operator.admin'] }, testKey()));
    expect(one).toMatchObject({ method: 'trusted-proxy', principal: { scopes: RW, credential: { class: 'proxy-identity' } } });
    const eve = { ...FACTS.proxied, forwarding: { ...FACTS.proxied.forwarding, proxyUser: 'eve' } };
    expect(refused(await door.knock(eve, {}, testKey())).error.details?.['authReason']).toBe('trusted_proxy_user_not_allowed');
    expect(refused(await door.knock({ ...eve, peerIsTrustedProxy: false }, {}, testKey())).ok).toBe(false);
    const nobody = testDoor({ ...proxy, trustedProxy: { allowUsers: [], scopes: RW } });
    expect((await nobody.knock(FACTS.proxied, {}, testKey())).ok).toBe(false);
  });

  test('AU-74 a proxy on loopback has to prove itself', async () => {
    const door = testDoor(proxy);
    const here: ConnectionFacts = { ...FACTS.proxied, peer: { address: '127.0.0.1' }, local: { address: '127.0.0.1', port: 1 } };
    expect((await door.knock(here, {}, testKey())).ok).toBe(false);
    expect((await door.knock({ ...here, forwarding: { ...here.forwarding, proxyProven: true } }, {}, testKey())).ok).toBe(true);
  });
});

describe('mode none', () => {
  const none = { mode: 'none', secret: undefined } as const;
  test('AU-75 lets in WebSocket clients of this machine with a warning, and nobody else', async () => {
    const door = testDoor(none);
    const one = admitted(await door.knock(LOCAL, { scopes: ['operator.admin'], auth: { token: 'left over' } }));
    expect(one).toMatchObject({ method: 'none', principal: { kind: 'none', scopes: OPERATOR_SCOPES } });
    expect(one.warnings).toHaveLength(1);
    expect(codeOf(await door.bearer(LOCAL, 'x'))).toBe('AUTH_REQUIRED');
    for (const facts of [FACTS.neighbour, FACTS.remote, FACTS.serve, FACTS.public, FACTS.proxied])
      expect(codeOf(await door.knock(facts))).toBe('AUTH_REQUIRED');
  });
});

describe('HTTP', () => {
  test('AU-80 the secret is worth read and write, a device token no more than that and nothing on public', async () => {
    const door = testDoor();
    const { token } = await pairedDevice(door, ['operator.admin']);
    const reader = await pairedDevice(door, ['operator.read']);
    for (const facts of [LOCAL, FACTS.neighbour, FACTS.remote, FACTS.serve, FACTS.proxied, FACTS.public]) {
      expect(admitted(await door.bearer(facts, SECRET)).principal.scopes).toEqual(RW);
    }
    expect(admitted(await door.bearer(FACTS.remote, token)).principal).toMatchObject({ kind: 'device', scopes: RW });
    expect(admitted(await door.bearer(FACTS.remote, reader.token)).principal.scopes).toEqual(['operator.read']);
    expect(codeOf(await door.bearer(FACTS.public, token))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(refused(await door.bearer(LOCAL, undefined)).http.status).toBe(401);
    expect(refused(await door.bearer(LOCAL, 'wrong')).http.status).toBe(401);
  });

  test("AU-81 a node's token is none for HTTP", async () => {
    const door = testDoor();
    const bootstrapToken = await codeFor(door, [{ role: 'node', scopes: [] }]);
    const node = admitted(await door.knock(LOCAL, { role: 'node', scopes: [], auth: { bootstrapToken } }, testKey()));
    expect(codeOf(await door.bearer(LOCAL, node.handout?.deviceToken))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
  });
});

describe('what ends', () => {
  test('AU-90 a removed device: its token is dead, it no longer stands, and coming back takes an approval, even locally', async () => {
    const door = testDoor();
    const { key, token, first } = await pairedDevice(door);
    expect(stillStands(first.principal, door.ports)).toBe(true);
    await door.approvals.remove(key.id);
    expect(door.events.at(-1)).toMatchObject({ kind: 'revoked', deviceId: key.id });
    expect(stillStands(first.principal, door.ports)).toBe(false);
    expect(codeOf(await door.knock(LOCAL, { auth: { deviceToken: token } }, key))).toBe('AUTH_DEVICE_TOKEN_MISMATCH');
    expect(refused(await door.knock(LOCAL, WITH_SECRET, key)).error.details).toMatchObject({
      code: 'PAIRING_REQUIRED',
      reason: 'not-paired',
    });
    await door.approvals.approve(undefined, OWNER);
    expect(codeOf(await door.knock(LOCAL, WITH_SECRET, key))).toBe('admitted');
  });

  test('AU-91 a changed secret ends who came by it, not paired devices by token', async () => {
    const door = testDoor();
    const { key, token, first } = await pairedDevice(door);
    const byToken = admitted(await door.knock(LOCAL, { auth: { deviceToken: token } }, key));
    expect(door.policy.replace({ ...SETTINGS, secret: { kind: 'token', value: `${SECRET}!` } })).toEqual(['shared-secret']);
    expect(stillStands(first.principal, door.ports)).toBe(false);
    expect(stillStands(byToken.principal, door.ports)).toBe(true);
  });

  test('AU-92 another platform needs an approval, with the token too; a family that was not said before does not', async () => {
    const door = testDoor();
    const { key, token } = await pairedDevice(door);
    expect(codeOf(await door.knock(LOCAL, { client: { deviceFamily: 'Linux' }, auth: { deviceToken: token } }, key))).toBe('admitted');
    for (const auth of [{ deviceToken: token }, { token: SECRET }]) {
      const { error } = refused(await door.knock(LOCAL, { client: { platform: 'darwin' }, auth }, key));
      expect(error.details).toMatchObject({ code: 'PAIRING_REQUIRED', reason: 'metadata-upgrade' });
    }
    await door.approvals.approve(undefined, OWNER);
    expect(codeOf(await door.knock(LOCAL, { client: { platform: 'darwin' }, auth: { deviceToken: token } }, key))).toBe('admitted');
  });

  test('AU-94 connections of one new device that come at once all get in', async () => {
    const door = testDoor();
    const key = testKey();
    const asks = ['read', 'write', 'questions', 'pairing', 'approvals', 'talk'].map((name) => `operator.${name}`);
    const all = await Promise.all(asks.map((scope) => door.knock(LOCAL, { ...WITH_SECRET, scopes: [scope] }, key)));
    expect(all.map(codeOf)).toEqual(asks.map(() => 'admitted'));
    expect(door.devices.device(key.id)?.roles[0]?.scopes).toEqual([...asks].sort());
  });

  test('AU-93 a device that is removed while its connect is under way does not come back', async () => {
    const door = testDoor();
    const { key } = await pairedDevice(door);
    const [late] = await Promise.all([
      door.knock(LOCAL, { ...WITH_SECRET, scopes: ['operator.admin'] }, key),
      door.approvals.remove(key.id),
    ]);
    const record = door.devices.device(key.id);
    if (late.ok) expect(stillStands(late.principal, door.ports)).toBe(false);
    expect(record?.removedAtMs).toBeDefined();
    expect(door.devices.tokens(key.id)).toEqual([]);
  });
});

describe('hello-ok', () => {
  test('AU-95 protocol 3 gets auth with a token only, sorted; protocol 4 always, as asked', async () => {
    const door = testDoor();
    const scopes = ['operator.write', 'operator.read'];
    const one = admitted(await door.knock(LOCAL, { ...WITH_SECRET, scopes }, testKey(), 3));
    expect(helloAuth(one, 3)).toEqual({
      role: 'operator',
      scopes: RW,
      deviceToken: one.handout?.deviceToken,
      issuedAtMs: door.clock.now(),
    });
    expect(helloAuth(admitted(await door.knock(LOCAL, { ...WITH_SECRET, scopes: [] }, testKey(), 3)), 3)).toBeUndefined();
    expect(helloAuth(admitted(await door.knock(LOCAL, WITH_SECRET)), 3)).toBeUndefined();
    const four = admitted(await door.knock(LOCAL, { ...WITH_SECRET, scopes: [...scopes, 'operator.zzz'] }));
    expect(helloAuth(four, 4)).toEqual({ method: 'token', role: 'operator', scopes });
  });

  test('AU-96 the socket is the owner with all scopes, whatever it brings', async () => {
    const one = admitted(await testDoor().knock(FACTS.socket, { scopes: [], auth: { token: 'wrong' } }));
    expect(one).toMatchObject({ method: 'local-socket', announced: OPERATOR_SCOPES, principal: { id: 'socket', scopes: OPERATOR_SCOPES } });
  });
});

describe('the record', () => {
  test('AU-97 a pairing is a line of its own, with what it gave', async () => {
    const door = testDoor();
    const { key } = await pairedDevice(door);
    await door.ports.audit.flush();
    expect(door.lines.filter(({ event }) => event === 'paired')).toMatchObject([
      { deviceId: key.id, ingress: 'local', detail: 'operator: operator.read operator.write' },
    ]);
  });

  test('AU-97 a flood of refusals is a few lines', async () => {
    const door = testDoor();
    for (let i = 0; i < 50; i++) await door.knock(FACTS.remote);
    await door.clock.advance(AUDIT.refusedWindowMs + AUDIT.flushMs);
    const lines = door.lines.filter(({ event }) => event === 'refused');
    expect(lines).toHaveLength(2);
    expect(lines.reduce((sum, { count }) => sum + count, 0)).toBe(50);
    expect(lines[0]).toMatchObject({ code: 'AUTH_TOKEN_MISSING', ingress: 'remote', address: '192.168.1.20' });
  });
});

test('AU-98 total: whatever is presented is an answer, and without a secret nobody is in', async () => {
  const door = testDoor();
  const text = fc.oneof(fc.string({ maxLength: 40 }), fc.string({ maxLength: 40, unit: 'binary' }), fc.constant(''));
  const auth = fc.record({ token: text, password: text, deviceToken: text, bootstrapToken: text }, { requiredKeys: [] });
  const device = fc.record({ id: text, publicKey: text, signature: text, signedAt: fc.integer(), nonce: text });
  const connect = fc.record({
    role: fc.constantFrom('operator', 'node', 'x'),
    scopes: fc.array(text, { maxLength: 3 }),
    auth,
    device: fc.option(device, { nil: undefined }),
  });
  const facts = fc.constantFrom<ConnectionFacts>(PAGE, FACTS.neighbour, FACTS.remote, FACTS.serve, FACTS.public, FACTS.proxied);
  await fc.assert(
    fc.asyncProperty(facts, connect, async (f, { device: sent, ...c }) => {
      const presented = connectOf(sent === undefined ? c : { ...c, device: sent });
      return !(await admit(f, { transport: 'ws', protocol: 4, connect: presented, nonce: NONCE }, door.ports)).ok;
    }),
  );
});
