import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { manualClock } from '../../test/support/manual-clock.ts';
import { AuthLimiter, DEFAULT_RATE_LIMIT, type Guesser, MAX_TRACKED, PASSWORD_CAP, SLOWED, STRICT_ATTEMPTS } from './rate-limit.ts';

const who = (key: string, patch: Partial<Guesser> = {}): Guesser => ({ key, isLocal: false, isBrowser: false, isPublic: false, ...patch });
const LOCAL = who('local:127.0.0.1', { isLocal: true });

describe('AuthLimiter', () => {
  test('AU-20 the tenth wrong secret locks an address for five minutes, and no other', async () => {
    const clock = manualClock();
    const limiter = new AuthLimiter(clock);
    const eve = who('remote:192.0.2.7');
    for (let i = 0; i < 9; i++) limiter.wrong('shared-secret', eve);
    expect(limiter.wait('shared-secret', eve)).toBe(0);
    limiter.wrong('shared-secret', eve);
    expect(limiter.wait('shared-secret', eve)).toBe(300_000);
    expect(limiter.wait('shared-secret', who('remote:192.0.2.8'))).toBe(0);
    expect(limiter.wait('pairing-code', eve)).toBe(0);
    await clock.advance(300_000);
    expect(limiter.wait('shared-secret', eve)).toBe(0);
  });

  test('AU-20 wrong ones are forgotten after the window, and at once by a right one', async () => {
    const clock = manualClock();
    const limiter = new AuthLimiter(clock);
    const ann = who('remote:192.0.2.7');
    for (let i = 0; i < 9; i++) limiter.wrong('shared-secret', ann);
    await clock.advance(60_000);
    for (let i = 0; i < 9; i++) limiter.wrong('shared-secret', ann);
    expect(limiter.wait('shared-secret', ann)).toBe(0);
    limiter.right('shared-secret', ann);
    for (let i = 0; i < 9; i++) limiter.wrong('shared-secret', ann);
    expect(limiter.wait('shared-secret', ann)).toBe(0);
  });

  test('AU-21 a local caller without an Origin is slowed to ten wrong tries a second, never locked', async () => {
    const clock = manualClock();
    const limiter = new AuthLimiter(clock);
    const holds = Array.from({ length: SLOWED.waiting }, () => limiter.wrong('shared-secret', LOCAL));
    expect(holds[0]).toBe(SLOWED.intervalMs);
    expect(holds.at(-1)).toBe(SLOWED.intervalMs * SLOWED.waiting);
    expect(limiter.wait('shared-secret', LOCAL)).toBe(0);
    limiter.wrong('shared-secret', LOCAL);
    expect(limiter.wait('shared-secret', LOCAL)).toBeGreaterThan(0);
    await clock.advance(SLOWED.intervalMs);
    expect(limiter.wait('shared-secret', LOCAL)).toBe(0);
  });

  test('AU-21 browsers are locked like everyone, local or not; so is everyone when exemptLoopback is off', () => {
    const browser = { ...LOCAL, isBrowser: true };
    const limiter = new AuthLimiter(manualClock());
    for (let i = 0; i < 10; i++) limiter.wrong('shared-secret', browser);
    expect(limiter.wait('shared-secret', browser)).toBeGreaterThan(0);
    const strict = new AuthLimiter(manualClock(), () => ({ ...DEFAULT_RATE_LIMIT, exemptLoopback: false }));
    for (let i = 0; i < 10; i++) strict.wrong('shared-secret', LOCAL);
    expect(strict.wait('shared-secret', LOCAL)).toBeGreaterThan(0);
  });

  test('AU-22 all password guesses that are not local share a cap of 100 an hour; tokens and local callers do not feel it', async () => {
    const clock = manualClock();
    const limiter = new AuthLimiter(clock);
    for (let i = 0; i < PASSWORD_CAP.guesses; i++) limiter.wrong('shared-secret', who(`remote:2001:db8:0:${i}::/64`), true);
    const newcomer = who('remote:198.51.100.1');
    expect(limiter.wait('shared-secret', newcomer, true)).toBeGreaterThan(0);
    expect(limiter.wait('shared-secret', newcomer, false)).toBe(0);
    expect(limiter.wait('shared-secret', LOCAL, true)).toBe(0);
    await clock.advance(PASSWORD_CAP.windowMs);
    expect(limiter.wait('shared-secret', newcomer, true)).toBe(0);
  });

  test('AU-23 public exposure and pairing codes allow five tries', () => {
    const limiter = new AuthLimiter(manualClock());
    const stranger = who('public:203.0.113.1', { isPublic: true });
    const guest = who('remote:203.0.113.1');
    for (let i = 0; i < STRICT_ATTEMPTS; i++) {
      expect(limiter.wait('shared-secret', stranger)).toBe(0);
      limiter.wrong('shared-secret', stranger);
      limiter.wrong('pairing-code', guest);
    }
    expect(limiter.wait('shared-secret', stranger)).toBeGreaterThan(0);
    expect(limiter.wait('pairing-code', guest)).toBeGreaterThan(0);
  });

  test('AU-24 the tables are bounded, and who is locked stays locked under a flood of fresh addresses', () => {
    const limiter = new AuthLimiter(manualClock());
    const eve = who('remote:eve');
    for (let i = 0; i < 10; i++) limiter.wrong('shared-secret', eve);
    for (let i = 0; i < MAX_TRACKED * 2; i++) limiter.wrong('shared-secret', who(`remote:${i}`));
    expect(limiter.wait('shared-secret', eve)).toBeGreaterThan(0);
    expect(limiter.locked()).toBe(1);
  });

  test('AU-20 nobody is made to wait who guessed less than maxAttempts times', () => {
    fc.assert(
      fc.property(fc.array(fc.nat(4), { maxLength: 40 }), (guesses) => {
        const limiter = new AuthLimiter(manualClock());
        const counts = new Map<number, number>();
        for (const guess of guesses) {
          limiter.wrong('shared-secret', who(`remote:${guess}`));
          counts.set(guess, (counts.get(guess) ?? 0) + 1);
        }
        return [...counts].every(([guess, count]) => limiter.wait('shared-secret', who(`remote:${guess}`)) > 0 === count >= 10);
      }),
    );
  });
});
