import { isLoopback, isPrivate, parseIp } from '../../net/addresses.ts';
import type { Fetch } from '../ports.ts';
import { eventGate, type Meter } from './event-gate.ts';
import { ProviderRedirect, ProviderRefused } from './failure.ts';

/** Bytes that are read of the body of a refusal; a message of 500 characters is made of it. */
const MAX_ERROR_BYTES = 64 * 1024;

/**
 * A fetch for one provider: it goes to the configured origin and nowhere else, follows no redirect (the request carries
 * a key and a conversation), and reads a bounded answer, a slice at a time. For one call: `meter` counts what came of it.
 *
 * @throws ProviderRefused for an address that is no http(s) URL, or a key over plain http to a public host
 */
export function guardedFetch(fetch: Fetch, baseUrl: string, hasKey: boolean, provider: string, meter: Meter): Fetch {
  const base = checkedBase(baseUrl, hasKey, provider);
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    if (url.origin !== base.origin) throw new ProviderRedirect(`a request for ${url.origin}`);
    // Unpacked here a few bytes could become gigabytes, and a stream waits for its packer.
    const headers = new Headers(init?.headers);
    headers.set('accept-encoding', 'identity');
    const response = await fetch(input, { ...init, headers, redirect: 'manual' });
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      response.body?.cancel().catch(() => {});
      throw new ProviderRedirect('redirected');
    }
    if (response.body === null) return response;
    return response.status >= 400
      ? beginning(response, response.body, MAX_ERROR_BYTES)
      : withBody(response, eventGate(response.body, meter));
  };
}

function checkedBase(baseUrl: string, hasKey: boolean, provider: string): URL {
  const path = `models.providers.${provider}.baseUrl`;
  if (!URL.canParse(baseUrl))
    throw new ProviderRefused('bad-request', `${path} is not a URL.`, `Set ${path}, e.g. "http://127.0.0.1:8080/v1".`);
  const url = new URL(baseUrl);
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw new ProviderRefused(
      'bad-request',
      `${path} begins with ${url.protocol}`,
      `Use https:// (or http:// on this machine) in ${path}.`,
    );
  }
  if (url.username !== '' || url.password !== '') {
    throw new ProviderRefused(
      'bad-request',
      `${path} holds a user name or password.`,
      `Put the key into models.providers.${provider}.apiKey.`,
    );
  }
  if (url.protocol === 'http:' && hasKey && !isNearby(url.hostname)) {
    throw new ProviderRefused(
      'bad-request',
      `A key would travel in the clear to ${url.hostname}.`,
      `Use https:// in ${path}, or remove the key.`,
    );
  }
  return url;
}

/** Names and addresses that do not leave the house: there a plain connection is the owner's own choice. */
function isNearby(hostname: string): boolean {
  const ip = parseIp(hostname.replace(/^\[|\]$/g, ''));
  if (ip !== undefined) return isLoopback(ip) || isPrivate(ip);
  return !hostname.includes('.') || /\.(localhost|local|lan|internal|home\.arpa|ts\.net)$/.test(hostname);
}

/** The beginning of a body, at most `max` bytes; the rest is not read. */
function beginning(response: Response, body: ReadableStream<Uint8Array>, max: number): Response {
  const reader = body.getReader();
  let left = max;
  const cut = new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        const { done, value } = await reader.read();
        if (done) {
          controller.close();
          return;
        }
        controller.enqueue(value.subarray(0, left));
        left -= value.byteLength;
        if (left > 0) return;
        controller.close();
        reader.cancel().catch(() => {});
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
  return withBody(response, cut);
}

const withBody = (response: Response, body: ReadableStream<Uint8Array>): Response =>
  new Response(body, { status: response.status, statusText: response.statusText, headers: response.headers });
