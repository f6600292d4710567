import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatAuthority, isLoopbackHost, originOf, parseAuthority } from './hosts.ts';

describe('NET-3 parseAuthority', () => {
  test.each([
    ['LocalHost:18789', 'localhost', 18789],
    ['localhost.', 'localhost', undefined],
    ['127.0.0.1:1', '127.0.0.1', 1],
    ['127.0.0.1.', '127.0.0.1', undefined],
    ['[::1]:65535', '::1', 65535],
    ['[::FFFF:127.0.0.1]', '127.0.0.1', undefined],
    ['my_host.Example-1.com', 'my_host.example-1.com', undefined],
  ])('%s', (text, host, port) => expect(parseAuthority(text)).toMatchObject({ host, port }));

  test.each([
    '',
    'user@localhost',
    'localhost:0',
    'localhost:',
    'localhost:65536',
    'localhost:080',
    'localhost:80:80',
    'localhost:80, evil',
    'a..b',
    '.a',
    'localhost..',
    '-a.com',
    'a-.com',
    '::1',
    '[::1',
    '[::1]x',
    '[localhost]',
    '[127.0.0.1]',
    '[fe80::1%25lo]',
    '127.1',
    '0x7f.1',
    '0x7f000001',
    '2130706433',
    '127.0.0.01',
    '1.2.3.4.5',
    'a.0x',
    'ｌocalhost',
    'local host',
    'local\u0000host',
    'a%2eb',
    'a'.repeat(64),
    `${'a.'.repeat(127)}com`,
    'x'.repeat(10_000),
  ])('%j is refused', (text) => expect(parseAuthority(text)).toBeUndefined());

  test('what it takes, the URL parser reads the same way; it never throws', () => {
    const piece = fc.constantFrom(
      'a',
      'localhost',
      '127',
      '0',
      '1',
      '.',
      ':',
      '[',
      ']',
      '@',
      '-',
      'x',
      '0x7f',
      '::',
      '%',
      '80',
      '_',
      '\\',
      '#',
    );
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece, { maxLength: 8 }).map((a) => a.join('')),
          fc.domain(),
          fc.ipV4(),
        ),
        (text) => {
          const authority = parseAuthority(text);
          if (!authority) return;
          const url = URL.parse(`foo://${text}`) && URL.parse(`http://${text}`);
          // Invalid punycode is a name to us and none to the URL parser.
          if (!url || text.toLowerCase().includes('xn--')) return;
          const fromUrl = parseAuthority(url.host);
          expect(fromUrl?.host).toBe(authority.host);
          expect(formatAuthority(authority.host)).toMatch(/^[a-z0-9._:[\]-]+$/);
        },
      ),
      { numRuns: 3000 },
    );
  });
});

test.each([
  ['localhost', true],
  ['LOCALHOST:1', true],
  ['127.8.9.10', true],
  ['[::1]', true],
  ['[::ffff:127.0.0.1]', true],
  ['evil.localhost', false],
  ['localhost.evil.com', false],
  ['127.0.0.1.nip.io', false],
  ['0.0.0.0', false],
])('NET-3 isLoopbackHost(%s) is %s', (text, expected) => {
  const authority = parseAuthority(text);
  expect(authority && isLoopbackHost(authority)).toBe(expected);
});

describe('NET-4 originOf', () => {
  test.each([
    ['https://Claw.Example', { scheme: 'https', host: 'claw.example', port: 443 }],
    ['http://127.0.0.1:18789', { scheme: 'http', host: '127.0.0.1', port: 18789 }],
    ['http://[::1]', { scheme: 'http', host: '::1', port: 80 }],
    ['tauri://localhost', { scheme: 'tauri', host: 'localhost', port: undefined }],
  ])('%s', (text, origin) => expect(originOf(text)).toEqual(origin));

  test.each([
    'null',
    '',
    'https://a/',
    'https://a/b',
    'https://a?b',
    'https://a#b',
    'https://u@a',
    'https://a, https://b',
    'https://',
    'a',
    'file://',
    'https:a',
    'https://a\\b',
    'http://127.1',
  ])('%j is none', (text) => expect(originOf(text)).toBeUndefined());
});
