import { err, ok, type Result } from '../lib/result.ts';
import { Pauses } from './breathe.ts';
import { keyValue, ScanError, Scanner, stringValue, wordValue } from './json5-scan.ts';

/** Where and why a text is not JSON5. 1-based. */
export interface SyntaxFlaw {
  readonly message: string;
  readonly line: number;
  readonly column: number;
}

/** Values, keys, comments and brackets of a config, with all that it includes. */
export const MAX_CONFIG_NODES = 20_000;
/** Of a longer text the library does not say what is wrong with it: it would take its time over that. */
const MAX_EXPLAINED_CHARS = 128 * 1024;

/** Without the byte order mark that some editors write. */
export const stripBom = (text: string): string => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);

/**
 * How many values, keys and comments a JSON or JSON5 text has at least, without reading it: one pass over its bytes, which stops past `limit`.
 * Told by commas, colons, opening brackets and comments outside of strings.
 */
export function countNodes(text: string, limit: number = MAX_CONFIG_NODES): number {
  let nodes = 0;
  for (let i = 0; i < text.length && nodes <= limit; i++) {
    const c = text.charCodeAt(i);
    if (c === 0x22 || c === 0x27) {
      for (i++; i < text.length; i++) {
        const s = text.charCodeAt(i);
        if (s === 0x5c) i++;
        else if (s === c) break;
      }
    } else if (c === 0x2c || c === 0x3a || c === 0x7b || c === 0x5b) nodes++;
    else if (c === 0x2f) {
      nodes++;
      const next = text.charCodeAt(i + 1);
      if (next === 0x2a) {
        const end = text.indexOf('*/', i + 2);
        i = end === -1 ? text.length : end + 1;
      } else if (next === 0x2f) {
        for (i += 2; i < text.length; i++) {
          const s = text.charCodeAt(i);
          if (s === 0x0a || s === 0x0d || s === 0x2028 || s === 0x2029) break;
        }
      }
    }
  }
  return nodes;
}

/**
 * Parses JSON5, in slices. Never throws, whatever the text. Nesting is not judged here (`treeFlaw`); who reads text of others asks
 * `countNodes` first.
 */
export async function parseJson5(text: string, pauses: Pauses = new Pauses()): Promise<Result<unknown, SyntaxFlaw>> {
  const body = stripBom(text);
  // Files that tools wrote are plain JSON, and there the two agree; that is read natively.
  try {
    return ok(JSON.parse(body));
  } catch {
    // Comments, bare keys, trailing commas, or a mistake.
  }
  const nul = body.indexOf('\0');
  if (nul !== -1) {
    return err({
      message: 'has NUL bytes: it was cut short by a crash or a full disk, restore it from a backup',
      ...positionOf(body, nul),
    });
  }
  try {
    return ok(await readTree(body, pauses));
  } catch (thrown) {
    if (!(thrown instanceof ScanError)) throw thrown;
    return body.length > MAX_EXPLAINED_CHARS
      ? err({ message: inWords(thrown.message), ...positionOf(body, thrown.offset) })
      : explained(body);
  }
}

/** The library's reading of a text that ours refused: it says exactly what is wrong, and where. */
async function explained(body: string): Promise<Result<unknown, SyntaxFlaw>> {
  const { default: json5 } = await import('json5');
  try {
    return ok(json5.parse(body));
  } catch (thrown) {
    const flaw = thrown as { message?: unknown; lineNumber?: unknown; columnNumber?: unknown };
    const message = String(flaw.message ?? 'is not JSON5')
      .replace(/^JSON5: /, '')
      .replace(/ at \d{1,9}:\d{1,9}$/, '');
    return err({ message: inWords(message), line: Number(flaw.lineNumber) || 1, column: Number(flaw.columnNumber) || 1 });
  }
}

const inWords = (message: string): string =>
  message.replace('invalid end of input', 'the file ends too early: a bracket, brace or quote is not closed');

function positionOf(text: string, offset: number): { line: number; column: number } {
  let line = 1;
  let from = 0;
  for (let at = text.indexOf('\n'); at !== -1 && at < offset; at = text.indexOf('\n', from)) {
    line++;
    from = at + 1;
  }
  return { line, column: offset - from + 1 };
}

// Without recursion: a stack of what is open.
async function readTree(text: string, pauses: Pauses): Promise<unknown> {
  const scanner = new Scanner(text);
  const open: (Record<string, unknown> | unknown[])[] = [];
  const keys: string[] = [];
  let root: unknown;
  let needs: 'value' | 'value or end' | 'key or end' | 'comma or end' | 'nothing' = 'value';
  const bad = (): ScanError =>
    scanner.type === 'end'
      ? new ScanError(text.length, 'invalid end of input')
      : new ScanError(scanner.start, `invalid character '${text[scanner.start] ?? ''}'`);

  const place = (value: unknown): void => {
    const parent = open.at(-1);
    if (parent === undefined) root = value;
    else if (Array.isArray(parent)) parent.push(value);
    else {
      const key = keys.pop() ?? '';
      if (key === '__proto__') Object.defineProperty(parent, key, { value, enumerable: true, configurable: true, writable: true });
      else parent[key] = value;
    }
    if (typeof value === 'object' && value !== null) {
      open.push(value as Record<string, unknown> | unknown[]);
      needs = Array.isArray(value) ? 'value or end' : 'key or end';
    } else needs = parent === undefined ? 'nothing' : 'comma or end';
  };

  for (;;) {
    scanner.nextPlain();
    if (pauses.due()) await pauses.now();
    const { type, start, end } = scanner;
    const char = text[start];
    if (type === 'end') {
      if (needs !== 'nothing') throw bad();
      return root;
    }
    if (needs === 'nothing') throw bad();
    if (type === 'punctuation') {
      const parent = open.at(-1);
      if (char === '{' || char === '[') {
        if (needs !== 'value' && needs !== 'value or end') throw bad();
        place(char === '{' ? {} : []);
      } else if (char === ',') {
        if (needs !== 'comma or end') throw bad();
        needs = Array.isArray(parent) ? 'value or end' : 'key or end';
      } else if (char === '}' || char === ']') {
        if (parent === undefined || Array.isArray(parent) !== (char === ']') || needs === 'value') throw bad();
        open.pop();
        needs = open.length === 0 ? 'nothing' : 'comma or end';
      } else throw bad();
    } else if (needs === 'key or end') {
      keys.push(keyValue(text.slice(start, end), start));
      scanner.nextPlain();
      if (text[scanner.start] !== ':' || scanner.type !== 'punctuation') throw bad();
      needs = 'value';
    } else if (needs === 'comma or end') throw bad();
    else place(type === 'string' ? stringValue(text.slice(start, end), start) : wordValue(text.slice(start, end), start));
  }
}
