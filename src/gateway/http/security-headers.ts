/** Nothing may be loaded, framed or sent from what is not a page. */
const CSP_DATA = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/** On every response, errors included. No `Server`, no CORS: no other origin is to read anything here. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  'X-Content-Type-Options': 'nosniff',
  'Referrer-Policy': 'no-referrer',
  'Permissions-Policy': 'camera=(), microphone=(), geolocation=()',
  'Cross-Origin-Opener-Policy': 'same-origin',
  'Cross-Origin-Resource-Policy': 'same-origin',
  'X-Frame-Options': 'DENY',
  'Content-Security-Policy': CSP_DATA,
  'Cache-Control': 'no-store',
};

/** For a page without scripts, whose one style sheet stands in it. */
export const pageCsp = (styleHash: string): string =>
  `default-src 'none'; style-src '${styleHash}'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`;
