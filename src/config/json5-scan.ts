export type TokenType = 'space' | 'newline' | 'comment' | 'punctuation' | 'string' | 'word' | 'end';

/** What cannot be read, at an offset of the text (UTF-16). Thrown and caught within the readers of JSON5. */
export class ScanError extends Error {
  readonly offset: number;
  constructor(offset: number, message: string) {
    super(message);
    this.offset = offset;
  }
}

const SPACES = /[\t\v\f \u00a0\ufeff\p{Zs}]+/uy;
const BLANKS = /\s+/y;
const LINE_END = /[\n\r\u2028\u2029]/g;
const WORD = /[^\s\ufeff{}[\],:"'/]+/y;

/**
 * The tokens of JSON5, one after the other, in time that is linear in the text: no piece of it is looked at twice.
 * What a word or a string means is asked with `wordValue` and `stringValue`.
 */
export class Scanner {
  readonly text: string;
  type: TokenType = 'end';
  /** Offsets of the token, `end` exclusive. */
  start = 0;
  end = 0;
  constructor(text: string) {
    this.text = text;
  }

  /** Reads the next token. Throws ScanError. */
  next(): void {
    const { text } = this;
    this.start = this.end;
    const char = text[this.start];
    switch (char) {
      case undefined:
        this.type = 'end';
        return;
      case '{':
      case '}':
      case '[':
      case ']':
      case ':':
      case ',':
        this.#is('punctuation', this.start + 1);
        return;
      case '\n':
      case '\u2028':
      case '\u2029':
        this.#is('newline', this.start + 1);
        return;
      case '\r':
        this.#is('newline', this.start + (text[this.start + 1] === '\n' ? 2 : 1));
        return;
      case '/':
        this.#is('comment', this.#commentEnd());
        return;
      case '"':
      case "'":
        this.#is('string', this.#stringEnd(char));
        return;
      default:
    }
    SPACES.lastIndex = this.start;
    if (SPACES.test(text)) {
      this.#is('space', SPACES.lastIndex);
      return;
    }
    WORD.lastIndex = this.start;
    if (!WORD.test(text)) throw new ScanError(this.start, `invalid character '${char}'`);
    this.#is('word', WORD.lastIndex);
  }

  /** The next token that means something. */
  nextPlain(): void {
    do this.nextInk();
    while (this.type === 'comment');
  }

  /** The next token that is more than blanks and line ends, of which there may be millions. */
  nextInk(): void {
    BLANKS.lastIndex = this.end;
    if (BLANKS.test(this.text)) this.end = BLANKS.lastIndex;
    this.next();
  }

  #is(type: TokenType, end: number): void {
    this.type = type;
    this.end = end;
  }

  #commentEnd(): number {
    const { text, start } = this;
    if (text[start + 1] === '*') {
      const end = text.indexOf('*/', start + 2);
      if (end === -1) throw new ScanError(text.length, 'invalid end of input');
      return end + 2;
    }
    if (text[start + 1] !== '/') throw new ScanError(start, "invalid character '/'");
    LINE_END.lastIndex = start;
    return LINE_END.test(text) ? LINE_END.lastIndex - 1 : text.length;
  }

  #stringEnd(quote: '"' | "'"): number {
    const { text } = this;
    const close = quote.charCodeAt(0);
    for (let at = this.start + 1; at < text.length; at++) {
      const char = text.charCodeAt(at);
      if (char === close) return at + 1;
      if (char === 0x5c) at++;
    }
    throw new ScanError(text.length, 'invalid end of input');
  }
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v', 0: '\0' };

/** What a string token says. Throws ScanError. */
export function stringValue(source: string, offset = 0): string {
  const inner = source.slice(1, -1);
  if (!inner.includes('\\')) {
    const bad = inner.search(/[\n\r]/);
    if (bad !== -1) throw new ScanError(offset + 1 + bad, `invalid character '${inner[bad] === '\n' ? '\\n' : '\\r'}'`);
    return inner;
  }
  // Nearly always it is a string of JSON, too, but for its quotes, and that is read natively.
  const json = source.startsWith('"') ? source : inner.includes('"') ? undefined : `"${inner.replaceAll("\\'", "'")}"`;
  if (json !== undefined) {
    try {
      return JSON.parse(json) as string;
    } catch {
      // Escapes that only JSON5 has, control characters, or a mistake.
    }
  }
  // By hand: a function called for each of a million escapes takes seconds.
  const pieces: string[] = [];
  let from = 0;
  const upTo = (at: number): void => {
    const piece = inner.slice(from, at);
    if (piece.includes('\n') || piece.includes('\r')) throw new ScanError(offset + 1 + from, 'a line end in a string');
    if (piece !== '') pieces.push(piece);
  };
  for (let at = inner.indexOf('\\'); at !== -1; at = inner.indexOf('\\', from)) {
    upTo(at);
    if (pieces.length > MAX_ESCAPES) throw new ScanError(offset, 'more escapes than a text of a config needs');
    const char = inner[at + 1] ?? '';
    const digits = char === 'u' ? 4 : char === 'x' ? 2 : 0;
    if (digits > 0) {
      const code = inner.slice(at + 2, at + 2 + digits);
      if (code.length < digits || !/^[0-9a-fA-F]+$/.test(code)) throw new ScanError(offset + 1 + at, 'invalid escape');
      pieces.push(String.fromCharCode(Number.parseInt(code, 16)));
    } else if ((char >= '1' && char <= '9') || (char === '0' && /\d/.test(inner[at + 2] ?? ''))) {
      throw new ScanError(offset + 1 + at, 'invalid escape');
    } else if (char !== '\n' && char !== '\r' && char !== '\u2028' && char !== '\u2029') pieces.push(ESCAPES[char] ?? char);
    from = at + 2 + digits + (char === '\r' && inner[at + 2] === '\n' ? 1 : 0);
  }
  upTo(inner.length);
  return pieces.join('');
}

/** Of the escapes that JSON does not have, and that are read one by one. */
const MAX_ESCAPES = 200_000;

const DECIMAL = /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?$/;
const HEX = /^[+-]?0[xX][0-9a-fA-F]+$/;

/** What a word token says as a value: null, true, false or a number. Throws ScanError. */
export function wordValue(source: string, offset = 0): unknown {
  switch (source) {
    case 'null':
      return null;
    case 'true':
      return true;
    case 'false':
      return false;
    default:
  }
  if (DECIMAL.test(source)) return Number(source);
  const sign = source.startsWith('-') ? -1 : 1;
  const size = source.startsWith('-') || source.startsWith('+') ? source.slice(1) : source;
  if (size === 'Infinity') return sign * Infinity;
  if (size === 'NaN') return NaN;
  if (HEX.test(source)) return sign * Number(size);
  throw new ScanError(offset, `invalid character '${source[0] ?? ''}'`);
}

const NAME = /^[$_\p{ID_Start}][$\p{ID_Continue}]*$/u;

/** What a string or word token says as a key. Throws ScanError. */
export function keyValue(source: string, offset = 0): string {
  if (source.startsWith('"') || source.startsWith("'")) return stringValue(source, offset);
  const name = source.includes('\\')
    ? source.replace(/\\(?:u([0-9a-fA-F]{4})|)/g, (_whole, code: string | undefined) => {
        if (code === undefined) throw new ScanError(offset, "invalid character '\\'");
        return String.fromCharCode(Number.parseInt(code, 16));
      })
    : source;
  if (!NAME.test(name)) throw new ScanError(offset, `invalid character '${source[0] ?? ''}'`);
  return name;
}
