import { BlockList, isIP } from 'node:net';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { classify, inAnyCidr, inCidr, limiterKey, parseCidr, parseIp } from './addresses.ts';

const classOf = (text: string): string | undefined => {
  const ip = parseIp(text);
  return ip && classify(ip);
};

describe('NET-1 one strict parser of IP text', () => {
  test.each([
    '127.1',
    '0x7f.1',
    '2130706433',
    '0177.0.0.1',
    '127.0.0.01',
    '1.2.3',
    '1.2.3.4.5',
    '256.1.1.1',
    '1.2.3.4%eth0',
    ' 127.0.0.1',
    '127.0.0.1 ',
    '１２７.0.0.1',
    '::1::',
    ':::',
    ':',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4:5:6:7::8:9',
    '::1.2.3',
    '1.2.3.4::',
    '::1.2.3.4:5',
    '::ffff:0127.0.0.1',
    '12345::',
    'g::',
    'fe80::1%',
    'fe80::1%a b',
    '[::1]',
    '',
    'localhost',
  ])('%j is no address', (text) => expect(parseIp(text)).toBeUndefined());

  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::ffff:127.0.0.1', '127.0.0.1'],
    ['::FFFF:7f00:1', '127.0.0.1'],
    ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
    ['FE80::1%eth0', 'fe80::1'],
    ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['0:0:0:0:0:0:0:0', '::'],
    ['::1.2.3.4', '::102:304'],
    ['1::', '1::'],
  ])('%s is %s', (text, canonical) => expect(parseIp(text)?.text).toBe(canonical));

  test('agrees with the URL parser on the canonical text of every IPv6 address', () => {
    fc.assert(
      fc.property(fc.ipV6(), (text) => {
        const url = new URL(`http://[${text}]/`).hostname.slice(1, -1);
        const ip = parseIp(text);
        expect(ip).toBeDefined();
        if (ip?.family === 6) expect(ip.text).toBe(url);
        else expect(url.startsWith('::ffff:')).toBe(true);
        expect(parseIp(ip?.text ?? '')).toEqual(ip);
      }),
    );
  });

  test('agrees with Node on what is an address (zones apart, which Node takes with any characters), and never throws', () => {
    const nearly = fc
      .array(fc.constantFrom('0', '1', '9', 'f', '25', ':', '::', '.', '%', '/', 'x', ' '), { maxLength: 20 })
      .map((a) => a.join(''));
    fc.assert(
      fc.property(fc.oneof(nearly, fc.string()), (text) => {
        if (text.includes('%')) expect(parseIp(text) === undefined || isIP(text) !== 0).toBe(true);
        else expect(parseIp(text) !== undefined).toBe(isIP(text) !== 0);
      }),
      { numRuns: 3000 },
    );
  });
});

test.each([
  ['127.255.255.255', 'loopback'],
  ['::1', 'loopback'],
  ['::ffff:127.0.0.1', 'loopback'],
  ['10.1.2.3', 'private'],
  ['172.15.255.255', 'public'],
  ['172.16.0.0', 'private'],
  ['172.32.0.0', 'public'],
  ['192.168.9.9', 'private'],
  ['100.63.255.255', 'public'],
  ['100.64.0.1', 'cgnat'],
  ['100.127.255.255', 'cgnat'],
  ['100.128.0.0', 'public'],
  ['169.254.169.254', 'link-local'],
  ['fe80::1%lo', 'link-local'],
  ['febf::1', 'link-local'],
  ['fec0::1', 'special'],
  ['fd7a:115c:a1e0::1', 'ula'],
  ['0.0.0.0', 'unspecified'],
  ['::', 'unspecified'],
  ['0.0.0.1', 'special'],
  ['224.0.0.1', 'multicast'],
  ['ff02::1', 'multicast'],
  ['255.255.255.255', 'special'],
  ['198.18.0.1', 'special'],
  ['64:ff9b::7f00:1', 'special'],
  ['2002:7f00:1::', 'special'],
  ['2001::1', 'special'],
  ['2001:db8::1', 'special'],
  ['2a00:1450::5efe:7f00:1', 'special'],
  ['2a00:1450:4001::1', 'public'],
  ['::127.0.0.1', 'special'],
  ['8.8.8.8', 'public'],
])('NET-1 %s is %s', (text, expected) => expect(classOf(text)).toBe(expected));

describe('NET-1 blocks', () => {
  test.each(['10.0.0.0/33', '10.0.0.0/', '10.0.0.0/8/8', '10.0.0.0/08', '10/8', '::/129', '::ffff:0:0/90', 'fe80::%lo/10', '/8', ''])(
    '%j is none',
    (text) => expect(parseCidr(text)).toBeUndefined(),
  );

  test('a mapped block is the IPv4 block it means', () => {
    expect(parseCidr('::ffff:10.0.0.0/104')).toEqual(parseCidr('10.0.0.0/8'));
  });

  test('an empty list holds nobody', () => {
    const ip = parseIp('127.0.0.1');
    expect(ip && inAnyCidr(ip, [])).toBe(false);
  });

  test('membership agrees with BlockList', () => {
    const family = (text: string): 'ipv4' | 'ipv6' => (text.includes(':') ? 'ipv6' : 'ipv4');
    const address = fc.oneof(fc.ipV4(), fc.ipV6()).filter((text) => !text.toLowerCase().includes('ffff'));
    fc.assert(
      fc.property(address, address, fc.nat(128), (base, other, bits) => {
        const prefix = family(base) === 'ipv4' ? bits % 33 : bits;
        const cidr = parseCidr(`${base}/${prefix}`);
        const ip = parseIp(other);
        if (!cidr || !ip || ip.family !== cidr.family) return;
        const list = new BlockList();
        list.addSubnet(base, prefix, family(base));
        expect(inCidr(ip, cidr)).toBe(list.check(other, family(other)));
      }),
    );
  });
});

test.each([
  ['203.0.113.9', '203.0.113.9'],
  ['::ffff:203.0.113.9', '203.0.113.9'],
  ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
  ['2001:db8:1:2:ffff::', '2001:db8:1:2::/64'],
  ['fe80::1%eth0', 'fe80::/64'],
  ['::1', '::/64'],
  ['nonsense', 'unknown'],
  [undefined, 'unknown'],
])('NET-2 limiterKey(%s) is %s', (address, key) => expect(limiterKey(address)).toBe(key));
