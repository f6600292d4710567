import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Cidr, type IpAddress, parseCidr, parseIp } from './addresses.ts';
import { type Forwarding, forwarding, forwardingHeaders, type HeaderMap, parseForwarded, parseForwardedFor } from './proxy-headers.ts';

const ip = (text: string): IpAddress => {
  const parsed = parseIp(text);
  if (!parsed) throw new Error(text);
  return parsed;
};
const trusted = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8'].map((text) => parseCidr(text) as Cidr);
const from = (peer: string, headers: HeaderMap, allowRealIp = false): Forwarding =>
  forwarding({ peer: ip(peer), headers, trusted, allowRealIp });

test('NET-12 presence of any forwarding header is seen, empty ones too', () => {
  const headers = {
    host: 'x',
    Forwarded: '',
    'x-forwarded-proto': 'https',
    'x-real-ip': '1',
    'cf-ray': '1',
    'tailscale-user-login': 'a',
    'x-other': '1',
    'x-forwarded-for': undefined,
  };
  expect(forwardingHeaders(headers)).toEqual(['forwarded', 'x-forwarded-proto', 'x-real-ip', 'cf-ray', 'tailscale-user-login']);
});

describe('NET-13 the right-most untrusted address', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['1.1.1.1, 203.0.113.9', '203.0.113.9'],
    ['1.1.1.1, 203.0.113.9, 10.0.0.7', '203.0.113.9'],
    ['1.1.1.1,203.0.113.9:4711,[fd00::1]:80', '203.0.113.9'],
    ['10.0.0.9, 10.0.0.8', '10.0.0.9'],
    ['garbage, 203.0.113.9', '203.0.113.9'],
    ['2001:db8::7', '2001:db8::7'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
  ])('X-Forwarded-For: %s', (text, client) => {
    expect(from('127.0.0.1', { 'x-forwarded-for': text })).toMatchObject({
      isTrusted: true,
      source: 'x-forwarded-for',
      client: { text: client },
      problem: undefined,
    });
  });

  test.each(['', 'unknown', '203.0.113.9, garbage', '203.0.113.9, ', '127.1', '1.1.1.1,'.repeat(40), '1'.repeat(5000)])(
    'unreadable %j falls to the proxy itself',
    (text) => {
      const result = from('127.0.0.1', { 'x-forwarded-for': text });
      expect(result).toMatchObject({ source: 'peer', client: { text: '127.0.0.1' } });
      expect(result.problem).toBeDefined();
    },
  );

  test.each([
    ['for=203.0.113.9;proto=https;by=10.0.0.1', '203.0.113.9'],
    ['for=1.1.1.1, For="[2001:db8::7]:99"', '2001:db8::7'],
    ['for="1.1.1.1", for=10.1.1.1', '1.1.1.1'],
  ])('Forwarded: %s', (text, client) => {
    expect(from('10.0.0.1', { forwarded: text })).toMatchObject({ source: 'forwarded', client: { text: client } });
  });

  test.each(['for=unknown', 'for=_hidden', 'by=1.1.1.1', 'for=1.1.1.1;for=2.2.2.2', 'for="1.1.1.1', 'for="1.1.1.1\\"', ';;;', ''])(
    'Forwarded: %j names nobody',
    (text) => {
      expect(from('10.0.0.1', { forwarded: text })).toMatchObject({ source: 'peer', client: { text: '10.0.0.1' } });
    },
  );

  test('a comma in quotes splits nothing', () => {
    expect(parseForwarded('for=1.1.1.1;x="a,b;c", for=2.2.2.2')?.map((each) => each?.text)).toEqual(['1.1.1.1', '2.2.2.2']);
  });

  test('two headers that disagree: neither counts, so a client cannot choose under which address it is limited', () => {
    const result = from('127.0.0.1', { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=6.6.6.6' });
    expect(result).toMatchObject({ source: 'peer', client: { text: '127.0.0.1' } });
    expect(result.problem).toContain('disagree');
    expect(from('127.0.0.1', { 'x-forwarded-for': '203.0.113.9', forwarded: 'for=203.0.113.9' }).client.text).toBe('203.0.113.9');
  });

  test('X-Real-IP only when asked for and alone', () => {
    const headers = { 'x-real-ip': '203.0.113.9' };
    expect(from('127.0.0.1', headers).source).toBe('peer');
    expect(from('127.0.0.1', headers, true)).toMatchObject({ source: 'x-real-ip', client: { text: '203.0.113.9' } });
    expect(from('127.0.0.1', { ...headers, 'x-forwarded-for': '1.1.1.1' }, true).client.text).toBe('1.1.1.1');
    expect(from('127.0.0.1', { 'x-real-ip': '1.1.1.1, 2.2.2.2' }, true)).toMatchObject({ source: 'peer' });
  });

  test('duplicates are one list in order of arrival', () => {
    expect(from('127.0.0.1', { 'x-forwarded-for': ['6.6.6.6', '203.0.113.9'] }).client.text).toBe('203.0.113.9');
  });
});

const headerText = fc.oneof(
  fc.string(),
  fc.ipV4(),
  fc
    .array(fc.constantFrom('for=', '"', ',', ';', '1.2.3.4', '[::1]:1', ' ', '\\', '127.0.0.1', 'unknown'), { maxLength: 12 })
    .map((a) => a.join('')),
);

test('NET-12 a forwarding header of a peer that nobody listed changes nothing but presence', () => {
  const names = fc.constantFrom(
    'forwarded',
    'x-forwarded-for',
    'x-forwarded-host',
    'x-real-ip',
    'cf-connecting-ip',
    'tailscale-user-login',
  );
  fc.assert(
    fc.property(
      fc.dictionary(names, headerText),
      fc.constantFrom('192.0.2.1', '::1', '172.16.0.1'),
      fc.boolean(),
      (headers, peer, allowRealIp) => {
        expect(from(peer, headers, allowRealIp)).toEqual({ ...from(peer, {}), present: Object.keys(headers) });
      },
    ),
  );
});

test('NET-13 parsing is total, and what the proxy appended decides whatever stands before it', () => {
  fc.assert(
    fc.property(headerText, (text) => {
      parseForwardedFor(text);
      parseForwarded(text);
      const client = from('127.0.0.1', { 'x-forwarded-for': `${text}, 203.0.113.9` }).client.text;
      expect(['203.0.113.9', '127.0.0.1']).toContain(client);
    }),
  );
});
