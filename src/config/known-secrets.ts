/** A shorter text is too likely to be an ordinary word to be taken out wherever it stands. */
const MIN_INSIDE = 12;
/** A shorter text is none that anybody would be told by: alone as a value it is replaced from here on. */
const MIN_ALONE = 4;

/** The secrets that are known by their text, found inside of other texts in one pass, however many there are. */
export class KnownSecrets {
  readonly #alone: ReadonlySet<string>;
  readonly #byHead = new Map<string, string[]>();
  /** A first glance that costs no substring: which heads there may be, by three of their characters. */
  readonly #glance = new Uint8Array(4096);

  constructor(secrets: Iterable<string>) {
    const alone = new Set<string>();
    for (const secret of secrets) {
      const text = secret.trim();
      if (text.length >= MIN_ALONE) alone.add(text);
    }
    this.#alone = alone;
    for (const text of alone) {
      if (text.length < MIN_INSIDE) continue;
      const head = text.slice(0, MIN_INSIDE);
      this.#glance[hash(head, 0)] = 1;
      const same = this.#byHead.get(head);
      if (same === undefined) this.#byHead.set(head, [text]);
      else same.push(text);
    }
    // Of two that begin alike the longer one counts.
    for (const same of this.#byHead.values()) same.sort((a, b) => b.length - a.length);
  }

  /** Whether the text is one of them, and nothing else. */
  has(text: string): boolean {
    return this.#alone.has(text.trim());
  }

  /** The text with each of them replaced. */
  hide(text: string, mark: string): string {
    if (text.length < MIN_INSIDE || this.#byHead.size === 0) return text;
    const pieces: string[] = [];
    let from = 0;
    for (let at = 0; at + MIN_INSIDE <= text.length; at++) {
      if (this.#glance[hash(text, at)] === 0) continue;
      const secret = this.#byHead.get(text.slice(at, at + MIN_INSIDE))?.find((one) => text.startsWith(one, at));
      if (secret === undefined) continue;
      pieces.push(text.slice(from, at), mark);
      from = at + secret.length;
      at = from - 1;
    }
    return pieces.length === 0 ? text : pieces.join('') + text.slice(from);
  }
}

const hash = (text: string, at: number): number =>
  (text.charCodeAt(at) * 31 + text.charCodeAt(at + 5) * 17 + text.charCodeAt(at + 11) * 7) & 4095;
