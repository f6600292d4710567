import { isRecord } from '../../lib/json.ts';
import { JsonScanner, type LongString, type ScanFault } from '../../lib/json-scan.ts';
import { err, ok, type Result } from '../../lib/result.ts';
import { turn } from '../../lib/turn.ts';

/** Up to here (bytes) a text is parsed where it is: at most two milliseconds, whatever it holds. */
export const SMALL_JSON = 66 * 1024;
/** Bytes that are looked over between two turns of the event loop: about 3 ms. */
const STEP = 2 * 1024 * 1024;
/** Of a text with escapes so much is read at once, bytes: about 5 ms. */
const SLICE = 1024 * 1024;
/** The first step: what usual clients say first is known after it. */
const HEAD = 1024;

/**
 * Parses a large JSON text (UTF-8) without holding the event loop: looked over first, within the bounds of `JsonScanner`; then its
 * long strings one by one, and last the little that is left. `mayGoOn` is asked as soon as what the outermost object says under `noted` can be known, and may end
 * it before anything is parsed: with what it gives.
 */
export async function parseLargeJson<Refused>(
  bytes: Buffer,
  noted: readonly string[],
  mayGoOn: (top: ReadonlyMap<string, string>) => Refused | undefined,
): Promise<Result<unknown, { readonly refused: Refused } | { readonly fault: ScanFault }>> {
  const scanner = new JsonScanner(bytes, noted);
  for (let step = HEAD; !scanner.done; step = STEP) {
    const fault = scanner.step(step);
    const refused = mayGoOn(scanner.top);
    if (refused !== undefined) return err({ refused });
    if (fault !== undefined) return err({ fault });
    await turn();
  }
  try {
    const { long } = scanner;
    // Drawn anew each time: nobody can write it into a text of theirs.
    const mark = `long ${crypto.randomUUID()} `;
    const skeleton = JSON.parse(withoutLong(bytes, long, mark)) as unknown;
    const texts: string[] = [];
    for (const each of long) texts.push(await textOf(bytes, each));
    return ok(long.length === 0 ? skeleton : filledIn(skeleton, texts, mark));
  } catch {
    return err({ fault: 'not-json' });
  }
}

async function textOf(bytes: Buffer, { from, to, escaped }: LongString): Promise<string> {
  await turn();
  if (!escaped) return bytes.toString('utf8', from, to);
  let text = '';
  for (let at = from; at < to; await turn()) {
    const end = cutAfter(bytes, at, to);
    text += JSON.parse(`"${bytes.toString('utf8', at, end)}"`) as string;
    at = end;
  }
  return text;
}

/** Where about a slice behind `from` the text of a string may be cut: neither inside of an escape nor of a character. */
function cutAfter(bytes: Buffer, from: number, to: number): number {
  let at = from;
  while (at < to && at - from < SLICE) at += bytes[at] !== 0x5c ? 1 : bytes[at + 1] === 0x75 ? 6 : 2;
  while (at < to && ((bytes[at] as number) & 0xc0) === 0x80) at++;
  return Math.min(at, to);
}

/** The text with `mark` and a number in place of each long string. */
function withoutLong(bytes: Buffer, long: readonly LongString[], mark: string): string {
  let text = '';
  let from = 0;
  for (const [index, each] of long.entries()) {
    text += `${bytes.toString('utf8', from, each.from)}${mark}${index}`;
    from = each.to;
  }
  return text + bytes.toString('utf8', from);
}

/** Depth is bounded by the scanner. */
function filledIn(value: unknown, texts: readonly string[], mark: string): unknown {
  if (typeof value === 'string') return value.startsWith(mark) ? (texts[Number(value.slice(mark.length))] ?? value) : value;
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) value[i] = filledIn(value[i], texts, mark);
  } else if (isRecord(value)) {
    for (const key of Object.keys(value)) {
      const filled = filledIn(value[key], texts, mark);
      if (filled !== value[key]) value[key] = filled;
    }
  }
  return value;
}
