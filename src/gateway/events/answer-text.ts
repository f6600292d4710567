/** A text event of a run: what came, and all that is visible so far. */
export interface TextPiece {
  readonly delta: string;
  readonly text: string;
  readonly itemId: string;
  readonly ts: number;
}

/**
 * Up to this length every piece becomes an `agent` frame, as existing gateways do. Each frame repeats the whole text, so beyond it
 * pieces are joined at the pace of the chat deltas: the bytes written for one answer stay in proportion to its length × its duration
 * and not to its length squared.
 */
export const EVERY_PIECE_CHARS = 8_192;

/** What of an answer clients have been told, on its two streams. `paceMs`: least time between two chat deltas. */
export class AnswerText {
  readonly #paceMs: number;
  #text = '';
  #itemId = '';
  /** Not yet in an `agent` frame. */
  #unsent = '';
  /** How much of `#text` the last chat delta showed. */
  #shown = '';
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor(paceMs: number) {
    this.#paceMs = paceMs;
  }

  get text(): string {
    return this.#text;
  }

  /** Takes a piece in; says which of the two streams have to speak now. */
  add(piece: TextPiece): { readonly agent: TextPiece | undefined; readonly chat: string | undefined } {
    this.#text = piece.text;
    this.#itemId = piece.itemId;
    this.#unsent += piece.delta;
    // A clock that was set back must not silence a run.
    const due = Math.abs(piece.ts - this.#shownAt) >= this.#paceMs;
    return {
      agent: due || piece.text.length <= EVERY_PIECE_CHARS ? this.agentRest(piece.ts) : undefined,
      chat: due ? this.chatRest(piece.ts) : undefined,
    };
  }

  /** The `agent` frame that is still owed, if any. */
  agentRest(ts: number): TextPiece | undefined {
    if (this.#unsent === '') return undefined;
    const delta = this.#unsent;
    this.#unsent = '';
    return { delta, text: this.#text, itemId: this.#itemId, ts };
  }

  /** What the chat has not been shown yet; undefined when there is nothing. Marks it as shown. */
  chatRest(ts: number): string | undefined {
    if (this.#text === this.#shown) return undefined;
    // Visible text only grows, except after `reset`; then everything is new.
    const rest = this.#text.startsWith(this.#shown) ? this.#text.slice(this.#shown.length) : this.#text;
    this.#shown = this.#text;
    this.#shownAt = ts;
    return rest;
  }

  /** The answer starts again from nothing. */
  reset(ts: number): void {
    this.#text = '';
    this.#unsent = '';
    this.#shown = '';
    this.#shownAt = ts;
  }
}
