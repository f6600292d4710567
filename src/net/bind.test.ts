import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseIp } from './addresses.ts';
import { BIND_MODES, type BindPlan, isReachableFromElsewhere, localDialHost, planBind } from './bind.ts';
import type { InterfaceAddress } from './interfaces.ts';

const at = (name: string, address: string, internal = name === 'lo'): InterfaceAddress => ({ name, address, internal });
const lo = [at('lo', '127.0.0.1'), at('lo', '::1')];
const hosts = (plan: BindPlan): readonly string[] => (plan.kind === 'listen' ? plan.addresses.map(({ host }) => host) : []);

test('NET-7 loopback and auto take 127.0.0.1, and ::1 where the machine has it', () => {
  for (const mode of ['loopback', 'auto'] as const) {
    expect(planBind({ mode, port: 18789, interfaces: lo })).toEqual({
      kind: 'listen',
      port: 18789,
      addresses: [
        { host: '127.0.0.1', required: true },
        { host: '::1', required: false },
      ],
    });
    expect(hosts(planBind({ mode, port: 18789, interfaces: [at('lo', '127.0.0.1')] }))).toEqual(['127.0.0.1']);
  }
});

test('NET-8 lan takes 0.0.0.0 and no IPv6 wildcard', () => {
  expect(hosts(planBind({ mode: 'lan', port: 18789, interfaces: lo }))).toEqual(['0.0.0.0']);
});

describe('NET-9 tailnet', () => {
  test('takes the tailnet addresses only', () => {
    const interfaces = [...lo, at('eth0', '192.168.1.5'), at('tailscale0', '100.101.102.103'), at('tailscale0', 'fd7a:115c:a1e0::1')];
    expect(hosts(planBind({ mode: 'tailnet', port: 18789, interfaces }))).toEqual(['100.101.102.103', 'fd7a:115c:a1e0::1']);
  });
  test('prefers an interface of Tailscale over an internet provider’s 100.64/10', () => {
    const interfaces = [at('ppp0', '100.70.0.1'), at('utun4', '100.101.102.103')];
    expect(hosts(planBind({ mode: 'tailnet', port: 18789, interfaces }))).toEqual(['100.101.102.103']);
  });
  test('knows an interface of another name by its tailnet IPv6', () => {
    const interfaces = [at('ppp0', '100.70.0.1'), at('vpn7', '100.101.102.103'), at('vpn7', 'fd7a:115c:a1e0::9')];
    expect(hosts(planBind({ mode: 'tailnet', port: 18789, interfaces }))).toEqual(['100.101.102.103', 'fd7a:115c:a1e0::9']);
  });
  test('takes another interface’s 100.64/10 address where there is nothing better', () => {
    expect(hosts(planBind({ mode: 'tailnet', port: 1, interfaces: [...lo, at('veth1', '100.64.0.9')] }))).toEqual(['100.64.0.9']);
  });
  test('without one it waits and listens nowhere', () => {
    const plan = planBind({ mode: 'tailnet', port: 18789, interfaces: [...lo, at('eth0', '192.168.1.5'), at('lo', '100.64.0.1')] });
    expect(plan).toEqual({ kind: 'wait', for: 'tailnet address', port: 18789 });
    expect(localDialHost(plan)).toBeUndefined();
  });
});

describe('NET-10 custom', () => {
  test.each(['192.168.1.10', '127.0.0.2', '0.0.0.0', 'fd00::1'])('%s is taken as it is', (customHost) => {
    expect(hosts(planBind({ mode: 'custom', customHost, port: 1, interfaces: lo }))).toEqual([customHost]);
  });
  test.each([
    undefined,
    '',
    ' ',
    'localhost',
    '127.1',
    '0x7f.0.0.1',
    '::ffff:10.0.0.1',
    'FD00::1',
    'fe80::1',
    'fe80::1%eth0',
    '224.0.0.1',
    '255.255.255.255',
    '10.0.0.1 ',
  ])('%j is refused with a fix', (customHost) => {
    const plan = planBind({ mode: 'custom', customHost, port: 1, interfaces: lo });
    expect(plan).toMatchObject({ kind: 'refuse' });
    expect(plan.kind === 'refuse' && plan.fix).toContain('openclaw config set gateway.customBindHost');
  });
});

test('NET-11 a plan never holds an address that was not asked for', () => {
  const anyIp = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('100.64.0.1', '127.0.0.1', '::1', 'fd7a:115c:a1e0::5'));
  const interfaces = fc.array(fc.record({ name: fc.constantFrom('lo', 'eth0', 'tailscale0'), address: anyIp, internal: fc.boolean() }));
  fc.assert(
    fc.property(
      fc.constantFrom(...BIND_MODES),
      interfaces,
      fc.oneof(anyIp, fc.string()),
      fc.integer({ min: -1, max: 70_000 }),
      (mode, list, customHost, port) => {
        const plan = planBind({ mode, customHost, port, interfaces: list });
        if (mode === 'loopback' || mode === 'auto') expect(isReachableFromElsewhere(plan)).toBe(false);
        for (const host of hosts(plan)) {
          if (mode === 'custom') expect(host).toBe(customHost);
          if (mode === 'tailnet') expect(list.some((entry) => !entry.internal && parseIp(entry.address)?.text === host)).toBe(true);
        }
      },
    ),
  );
});
