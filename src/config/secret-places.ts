import type { KeyPath } from './key-path.ts';
import { deepestOption, type Option } from './lookup.ts';

// Names of keys that the table does not know. `maxTokens` and `userHeader` are no secrets.
const SECRET_NAME =
  /(^|[a-z_-])(token|password|passwd|passphrase|passcode|secret|credentials?|cookie|authorization|bearer|signature|webhookurl|mnemonic)s?$|(api|private|access|signing|encryption|service|account|auth|bot|app|secret|license|shared|master)[_-]?key(s|base64|id|file)?$|connection[_-]?string$|^key$|^(pwd|pass|auth|dsn)$|secret|password|apikey|privatekey|session[_-]?id$/i;
// Too short to be looked for inside of longer words.
const SHORT_NAME =
  /(?:^|[_-])(?:pat|pin|otp|totp|jwt|sid|psk|salt|seed|creds?|PAT|PIN|OTP|TOTP|JWT|SID|PSK|CREDS?)s?$|[a-z](?:Pat|Pin|Otp|Totp|Jwt|Psk|Creds?)$/;
const COUNT_NAME = /^(max|min|context|total|input|output|prompt|completion|reserve|keep|budget|num|target)[a-z_-]*tokens?([A-Z_].*)?$/i;

/** Whether a key by this name holds a secret. Nobody names a setting at great length; what it is is not worth a pattern's time. */
export function looksSecret(name: string): boolean {
  if (name.length > 200) return true;
  let known = judged.get(name);
  if (known === undefined) {
    known = (SECRET_NAME.test(name) || SHORT_NAME.test(name)) && !COUNT_NAME.test(name);
    if (judged.size >= MAX_JUDGED) judged.clear();
    judged.set(name, known);
  }
  return known;
}
/** The same few names stand on every way through a file. */
const MAX_JUDGED = 1_000;
const judged = new Map<string, boolean>();

/** Whose entries are closed, whatever their names: what programs are started with, and what is sent with requests. */
const CLOSED: ReadonlySet<string> = new Set([
  'env',
  'environment',
  'envVars',
  'vars',
  'variables',
  'headers',
  'cookies',
  'params',
  'query',
]);

const URL_NAME = /(?:ur[il]|uris|urls|origins?|endpoints?|webhooks?|proxy|proxies|dsn)$/i;

/** What is known of a place of the file. */
export interface Place {
  /** A text here is a secret, by the table or by the names on the way. */
  readonly sensitive: boolean;
  /** The table's option; undefined for what it does not judge. */
  readonly option: Option | undefined;
  /** A text here is meant to be a URL. */
  readonly url: boolean;
}

export function placeOf(keys: KeyPath): Place {
  const name = keys.findLast((key) => typeof key === 'string');
  const url = typeof name === 'string' && name.length <= 200 && URL_NAME.test(name);
  const { option, depth } = deepestOption(keys);
  if (depth === keys.length)
    return { sensitive: option.sensitive || (option.spec.kind === 'open' && isClosed(keys, depth - 1)), option, url };
  // Below what the table judges its word counts; below an object that it does not judge, the names on the way.
  if (option.spec.kind !== 'open') return { sensitive: option.sensitive || isClosed(keys, depth), option: undefined, url };
  return { sensitive: option.sensitive || isClosed(keys, depth - 1), option: undefined, url };
}

function isClosed(keys: KeyPath, from: number): boolean {
  for (let i = Math.max(from, 0); i < keys.length; i++) {
    const key = keys[i];
    if (typeof key === 'string' && (looksSecret(key) || (i < keys.length - 1 && CLOSED.has(key)))) return true;
  }
  return false;
}

/** Whether a text at this place is a secret: by the table, and where it knows nothing, by the names on the way. */
export const isSensitive = (keys: KeyPath): boolean => placeOf(keys).sensitive;
