import { width } from '../format/text.ts';

/** What a key press asks for beside changing the line. */
export type EditorAction =
  | { readonly kind: 'submit'; readonly text: string }
  | { readonly kind: 'escape' }
  | { readonly kind: 'interrupt' }
  | { readonly kind: 'end' }
  | { readonly kind: 'redraw' };

const MAX_LINE = 200_000;
const MAX_HISTORY = 200;
const PASTE_START = '\u001b[200~';
const PASTE_END = '\u001b[201~';

/**
 * One line of input with the keys that people's fingers know (arrows, Home/End, Ctrl-A/E/U/K/W, history). Pure: keys go in, actions come
 * out. Text that an input method composed arrives as whole characters, and a paste (bracketed) never submits by itself.
 */
export class LineEditor {
  #chars: string[] = [];
  #cursor = 0;
  #history: string[] = [];
  #historyAt = 0;
  #draft = '';
  #rest = '';
  #pasting = false;

  get text(): string {
    return this.#chars.join('');
  }
  /** Columns left of the cursor. */
  get cursorColumn(): number {
    return width(this.#chars.slice(0, this.#cursor).join(''));
  }

  clear(): void {
    this.#set('');
  }

  feed(keys: string): EditorAction[] {
    const actions: EditorAction[] = [];
    let input = this.#rest + keys;
    this.#rest = '';
    while (input !== '') {
      if (this.#pasting) {
        const end = input.indexOf(PASTE_END);
        // Line ends of a paste stay line ends of one message: nothing is sent until Enter is pressed.
        this.#insert((end === -1 ? input : input.slice(0, end)).replace(/\r\n?/g, '\n'));
        if (end === -1) break;
        this.#pasting = false;
        input = input.slice(end + PASTE_END.length);
        continue;
      }
      if (input.startsWith(PASTE_START)) {
        this.#pasting = true;
        input = input.slice(PASTE_START.length);
        continue;
      }
      if (input[0] === '\u001b') {
        const sequence = /^\u001b(?:\[[0-9;]*[A-Za-z~]|O[A-Za-z]|[a-zA-Z\u007f\r])/.exec(input)?.[0];
        if (sequence === undefined) {
          // Escape alone, or a sequence of which the end has not come yet.
          if (/^\u001b(\[[0-9;]*|O)$/.test(input)) this.#rest = input;
          else actions.push({ kind: 'escape' });
          input = this.#rest === '' ? input.slice(1) : '';
          continue;
        }
        this.#escape(sequence);
        input = input.slice(sequence.length);
        continue;
      }
      const char = String.fromCodePoint(input.codePointAt(0) ?? 0);
      input = input.slice(char.length);
      const action = this.#key(char);
      if (action !== undefined) actions.push(action);
    }
    actions.push({ kind: 'redraw' });
    return actions;
  }

  #key(char: string): EditorAction | undefined {
    switch (char) {
      case '\r':
      case '\n': {
        const text = this.text;
        if (text.trim() !== '') {
          this.#history = [...this.#history.filter((line) => line !== text), text].slice(-MAX_HISTORY);
        }
        this.#historyAt = this.#history.length;
        this.#set('');
        return { kind: 'submit', text };
      }
      case '\u0003':
        return { kind: 'interrupt' };
      case '\u0004':
        if (this.#chars.length === 0) return { kind: 'end' };
        this.#chars.splice(this.#cursor, 1);
        return undefined;
      case '\u007f':
      case '\b':
        if (this.#cursor > 0) this.#chars.splice(--this.#cursor, 1);
        return undefined;
      case '\u0001':
        this.#cursor = 0;
        return undefined;
      case '\u0005':
        this.#cursor = this.#chars.length;
        return undefined;
      case '\u0015':
        this.#chars.splice(0, this.#cursor);
        this.#cursor = 0;
        return undefined;
      case '\u000b':
        this.#chars.splice(this.#cursor);
        return undefined;
      case '\u0017':
        this.#deleteWord();
        return undefined;
      case '\u0002':
        this.#cursor = Math.max(0, this.#cursor - 1);
        return undefined;
      case '\u0006':
        this.#cursor = Math.min(this.#chars.length, this.#cursor + 1);
        return undefined;
      case '\u0010':
        this.#walkHistory(-1);
        return undefined;
      case '\u000e':
        this.#walkHistory(1);
        return undefined;
      default:
        if (char >= ' ' && char !== '\u007f') this.#insert(char);
        return undefined;
    }
  }

  #escape(sequence: string): void {
    switch (sequence) {
      case '\u001b[A':
      case '\u001bOA':
        this.#walkHistory(-1);
        break;
      case '\u001b[B':
      case '\u001bOB':
        this.#walkHistory(1);
        break;
      case '\u001b[C':
      case '\u001bOC':
        this.#cursor = Math.min(this.#chars.length, this.#cursor + 1);
        break;
      case '\u001b[D':
      case '\u001bOD':
        this.#cursor = Math.max(0, this.#cursor - 1);
        break;
      case '\u001b[H':
      case '\u001bOH':
      case '\u001b[1~':
        this.#cursor = 0;
        break;
      case '\u001b[F':
      case '\u001bOF':
      case '\u001b[4~':
        this.#cursor = this.#chars.length;
        break;
      case '\u001b[3~':
        this.#chars.splice(this.#cursor, 1);
        break;
      case '\u001b\u007f':
        this.#deleteWord();
        break;
      case '\u001b\r':
        this.#insert('\n');
        break;
      default:
        // Keys that mean nothing here.
        break;
    }
  }

  #insert(text: string): void {
    const clean = [...text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, ' ')].slice(0, MAX_LINE - this.#chars.length);
    this.#chars.splice(this.#cursor, 0, ...clean);
    this.#cursor += clean.length;
  }

  #deleteWord(): void {
    let from = this.#cursor;
    while (from > 0 && this.#chars[from - 1] === ' ') from--;
    while (from > 0 && this.#chars[from - 1] !== ' ') from--;
    this.#chars.splice(from, this.#cursor - from);
    this.#cursor = from;
  }

  #walkHistory(step: -1 | 1): void {
    const to = this.#historyAt + step;
    if (to < 0 || to > this.#history.length) return;
    // What was being typed waits below the newest line.
    if (this.#historyAt === this.#history.length) this.#draft = this.text;
    this.#historyAt = to;
    this.#set(to === this.#history.length ? this.#draft : (this.#history[to] ?? ''));
  }

  #set(text: string): void {
    this.#chars = [...text];
    this.#cursor = this.#chars.length;
  }
}
