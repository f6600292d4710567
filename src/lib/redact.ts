import { isRecord } from './json.ts';
import { hideShapes } from './secret-shapes.ts';
import { hideInUrls } from './shown-url.ts';

const HIDDEN = '[redacted]';
const SECRET_KEY = /token|password|passwd|secret|authorization|api[-_]?key|cookie|credential|private[-_]?key|signature/i;
/** Names that look secret and are not: counts, ids and flags that a log needs. */
const PLAIN_KEY = /^(?:.*tokens|tokenId|credentialId|credentialClass|maxTokens|tokenSource|passwordSource)$/i;
const SECRET_SHAPES = [
  /\bBearer\s+[^\s"',]+/gi,
  /([?#&](?:token|password|bootstrapToken|access_token)=)[^&\s"']+/gi,
  /(:\/\/[^\s/:@]+:)[^\s/@]+(?=@)/g,
];

/** Longer than this, one field of a log line is cut. */
export const FIELD_CHARS = 300;

/** Replaces what looks like a secret, and every text of `known`, by a marker. */
export function redactText(text: string, known: Iterable<string> = []): string {
  let out = text;
  for (const secret of known) if (secret.length >= 8) out = out.replaceAll(secret, HIDDEN);
  for (const shape of SECRET_SHAPES)
    out = out.replace(shape, (_match, kept: unknown) => (typeof kept === 'string' ? `${kept}${HIDDEN}` : HIDDEN));
  return hideShapes(hideInUrls(out, HIDDEN), HIDDEN);
}

/** Makes what nobody sees visible: controls, direction marks, characters of no width, halves of a character. */
export const escapeUnseen = (text: string): string =>
  text.replace(/[\p{Cc}\p{Cf}\p{Cs}\u2028\u2029]/gu, (char) => `\\u${(char.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`);

/** One line, printable, bounded, so that a client's text cannot forge a line of the log. */
export const printable = (text: string, max: number = FIELD_CHARS): string =>
  escapeUnseen(text.length > max ? `${text.slice(0, max)}…(${text.length} chars)` : text);

/** Fields of a log line: by key and by value, three levels deep; what lies deeper is not for a log. */
export function redactFields(fields: Readonly<Record<string, unknown>>, known: Iterable<string> = [], depth = 3): Record<string, unknown> {
  const out: Record<string, unknown> = {};
  const secrets = [...known];
  for (const [key, value] of Object.entries(fields))
    out[key] = SECRET_KEY.test(key) && !PLAIN_KEY.test(key) ? HIDDEN : redactValue(value, secrets, depth);
  return out;
}

function redactValue(value: unknown, known: readonly string[], depth: number): unknown {
  if (typeof value === 'string') return printable(redactText(value, known));
  if (value instanceof Error) return printable(redactText(value.message, known));
  if (typeof value !== 'object' || value === null) return value;
  if (depth <= 0) return '…';
  if (Array.isArray(value)) return value.slice(0, 32).map((item) => redactValue(item, known, depth - 1));
  return isRecord(value) ? redactFields(value, known, depth - 1) : '…';
}
