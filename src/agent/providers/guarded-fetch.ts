import { isLoopback, isPrivate, parseIp } from '../../net/addresses.ts';
import type { Fetch } from '../ports.ts';
import { ProviderRedirect, ProviderRefused, ProviderTooMuch } from './failure.ts';

/** Bytes of one answer. A model that writes more than this has lost its way, or is not a model. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;

/**
 * A fetch for one provider: it goes to the configured origin and nowhere else, follows no redirect (the request carries
 * a key and a conversation), and reads a bounded answer.
 *
 * @throws ProviderRefused for an address that is no http(s) URL, or a key over plain http to a public host
 */
export function guardedFetch(fetch: Fetch, baseUrl: string, hasKey: boolean, provider: string): Fetch {
  const base = checkedBase(baseUrl, hasKey, provider);
  return async (input, init) => {
    const url = new URL(input instanceof Request ? input.url : String(input));
    if (url.origin !== base.origin) throw new ProviderRedirect(`a request for ${url.origin}`);
    const response = await fetch(input, { ...init, redirect: 'manual' });
    if (response.type === 'opaqueredirect' || (response.status >= 300 && response.status < 400)) {
      await response.body?.cancel();
      throw new ProviderRedirect('redirected');
    }
    return response.body === null ? response : bounded(response, response.body);
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

function bounded(response: Response, body: ReadableStream<Uint8Array>): Response {
  let bytes = 0;
  const counted = body.pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform(chunk, controller) {
        bytes += chunk.byteLength;
        if (bytes > MAX_ANSWER_BYTES) controller.error(new ProviderTooMuch('too large'));
        else controller.enqueue(chunk);
      },
    }),
  );
  return new Response(counted, { status: response.status, statusText: response.statusText, headers: response.headers });
}
