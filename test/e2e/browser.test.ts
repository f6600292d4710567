import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { browserMissing, openBrowser, type Page } from '../support/browser.ts';
import { startTestGateway, type TestGateway } from '../support/gateway.ts';

const missing = browserMissing();
const CONFIG = '{ gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } } }';

/** What a page can do with WebCrypto alone: a device of its own, signed for this challenge, as the panel does. */
const CONNECT = (url: string, token: string, scopes: readonly string[]) => `(async () => {
  const hex = (b) => [...new Uint8Array(b)].map((x) => x.toString(16).padStart(2, '0')).join('');
  const b64 = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '');
  const keys = await crypto.subtle.generateKey('Ed25519', true, ['sign', 'verify']);
  const raw = await crypto.subtle.exportKey('raw', keys.publicKey);
  const id = hex(await crypto.subtle.digest('SHA-256', raw));
  const scopes = ${JSON.stringify(scopes)};
  return await new Promise((resolve) => {
    const socket = new WebSocket(${JSON.stringify(url)});
    socket.onclose = (event) => resolve({ closed: event.code, reason: event.reason });
    socket.onmessage = async ({ data }) => {
      const frame = JSON.parse(data);
      if (frame.event === 'connect.challenge') {
        const { nonce, ts } = frame.payload;
        const token = ${JSON.stringify(token)};
        const text = ['v2', id, 'openclaw-control-ui', 'webchat', 'operator', scopes.join(','), ts, token, nonce].join('|');
        const signature = b64(await crypto.subtle.sign('Ed25519', keys.privateKey, new TextEncoder().encode(text)));
        socket.send(JSON.stringify({ type: 'req', id: '1', method: 'connect', params: { minProtocol: 3, maxProtocol: 4,
          client: { id: 'openclaw-control-ui', version: '1', platform: navigator.platform, mode: 'webchat' }, role: 'operator', scopes, caps: [],
          auth: { token }, device: { id, publicKey: b64(raw), signature, signedAt: ts, nonce } } }));
      } else if (frame.type === 'res') resolve(frame.ok ? { hello: frame.payload } : { refused: frame.error });
    };
  });
})()`;

describe.skipIf(missing !== undefined)(`in a real browser${missing === undefined ? '' : ` (skipped: ${missing})`}`, () => {
  let gateway: TestGateway;
  let page: Page;
  beforeAll(async () => {
    gateway = await startTestGateway({ config: CONFIG });
    page = await openBrowser();
  });
  afterAll(async () => {
    await page?.[Symbol.asyncDispose]();
    await gateway?.[Symbol.asyncDispose]();
  });

  test.each([
    [360, 'light', 'en', 'openclaw'],
    [360, 'dark', 'zh-CN,zh;q=0.9', '网关'],
    [1440, 'light', 'zh-CN', '网关'],
    [1440, 'dark', 'en-GB,en;q=0.8', 'openclaw'],
  ] as const)('HT-18 the page at / fits %i px, %s, in %s, and has nothing to complain about', async (width, colours, language, word) => {
    await page.look(width, colours);
    await page.language(language);
    expect(await page.open(`${gateway.httpUrl}/`)).toBe(200);
    expect(await page.eval('document.documentElement.scrollWidth <= innerWidth')).toBe(true);
    expect(await page.eval('document.body.innerText')).toContain(word);
    expect(await page.eval('document.documentElement.lang')).toBe(language.startsWith('zh') ? 'zh-CN' : 'en');
    expect(
      await page.eval('document.title !== "" && document.querySelectorAll("h1").length === 1 && document.querySelector("main") !== null'),
    ).toBe(true);
    // The contrast of text against what is behind it, WCAG AA.
    const ratio = await page.eval(`(() => {
      const channel = (v) => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
      const lum = (c) => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number); return 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b); };
      const behind = (e) => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor; if (!/, 0\\)$|transparent/.test(c)) return c; } return 'rgb(255, 255, 255)'; };
      return Math.min(...[...document.querySelectorAll('main *')].filter((e) => e.textContent.trim() !== '').map((e) => {
        const [a, b] = [lum(getComputedStyle(e).color), lum(behind(e))].sort((x, y) => y - x); return (a + 0.05) / (b + 0.05); }));
    })()`);
    expect(ratio).toBeGreaterThanOrEqual(4.5);
    expect(page.complaints.filter((text) => !text.includes('favicon'))).toEqual([]);
    const shots = process.env['SCREENSHOTS'];
    if (shots !== undefined) {
      mkdirSync(shots, { recursive: true });
      writeFileSync(`${shots}/page-${width}-${colours}-${language.slice(0, 2)}.png`, await page.screenshot());
    }
  });

  /** A page of somebody else, open in the owner's browser. */
  const foreignPage = async () => {
    const server = createServer((_request, response) => response.end('<!doctype html><title>elsewhere</title>'));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return {
      url: `http://localhost:${(server.address() as AddressInfo).port}/`,
      async [Symbol.asyncDispose]() {
        const closed = new Promise((resolve) => server.close(resolve));
        server.closeAllConnections();
        await closed;
      },
    };
  };

  test('AU-5 a page of another site is refused by name, even with the right token', async () => {
    await using foreign = await foreignPage();
    await page.open(foreign.url);
    const answer = await page.eval(CONNECT(gateway.url, gateway.token(), ['operator.admin']));
    expect(answer.refused).toMatchObject({ code: 'INVALID_REQUEST', details: { code: 'CONTROL_UI_ORIGIN_NOT_ALLOWED' } });
  });

  test('HT-3 a page of another site cannot make the agent do anything, nor read an answer', async () => {
    await using foreign = await foreignPage();
    await page.open(foreign.url);
    const post = (mode: string, headers: object) =>
      page.eval(`fetch(${JSON.stringify(`${gateway.httpUrl}/v1/chat/completions`)}, { method: 'POST', mode: ${JSON.stringify(mode)}, headers: ${JSON.stringify(headers)},
        body: JSON.stringify({ model: 'openclaw', user: 'evil', messages: [{ role: 'user', content: 'evil' }] }) }).then((r) => r.type + r.status, () => 'blocked')`);
    expect(await post('no-cors', { 'Content-Type': 'text/plain' })).toBe('blocked');
    expect(await post('cors', { Authorization: `Bearer ${gateway.token()}`, 'Content-Type': 'application/json' })).toBe('blocked');
    expect(await page.eval(`fetch(${JSON.stringify(`${gateway.httpUrl}/healthz`)}).then(() => 'read', () => 'blocked')`)).toBe('blocked');
    // Nothing of it arrived: no session was made.
    const models = await fetch(`${gateway.httpUrl}/v1/models`, { headers: { Authorization: `Bearer ${gateway.token()}` } });
    expect(models.status).toBe(200);
    const { connect, newDevice } = await import('../support/wire.ts');
    await using client = await connect(gateway.url, { device: newDevice(), auth: { token: gateway.token() } });
    expect(JSON.stringify(await client.call('sessions.list', {}))).not.toContain('evil');
  });

  test('AU-41 a page of our own origin pairs with its own key, by WebCrypto', async () => {
    // The page at / runs no scripts; with its policy lifted it stands in for a panel of the same origin.
    await page.bypassPolicy();
    await page.open(`${gateway.httpUrl}/`);
    const answer = await page.eval(CONNECT(gateway.url, gateway.token(), ['operator.admin', 'operator.approvals', 'operator.pairing']));
    expect(answer.hello ?? answer).toMatchObject({ type: 'hello-ok', protocol: 4 });
  });
});
