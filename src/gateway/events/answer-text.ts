import { Allowance } from './allowance.ts';

/** A text event of a run: what came, and all that is visible so far. */
export interface TextPiece {
  readonly delta: string;
  readonly text: string;
  readonly itemId: string;
  readonly ts: number;
}

/**
 * Up to this length every piece becomes an `agent` frame, as existing gateways do. Beyond it pieces are joined at the pace of the chat
 * deltas. In both cases only as far as the run's `Allowance` goes.
 */
export const EVERY_PIECE_CHARS = 8_192;

/** What of an answer clients have been told, on its two streams. `paceMs`: least time between two chat deltas. */
export class AnswerText {
  readonly #paceMs: number;
  readonly #allowance = new Allowance();
  #text = '';
  #itemId = '';
  /** Not yet in an `agent` frame. */
  #unsent = '';
  /** Not yet in a chat delta. */
  #unshown = '';
  #shownAt = Number.NEGATIVE_INFINITY;

  constructor(paceMs: number) {
    this.#paceMs = paceMs;
  }

  get text(): string {
    return this.#text;
  }

  /** Takes a piece in; says which of the two streams have to speak now; none while their reader is behind. */
  add(piece: TextPiece, isBehind = false): { readonly agent: TextPiece | undefined; readonly chat: string | undefined } {
    const { text, delta, itemId, ts } = piece;
    this.#text = text;
    this.#itemId = itemId;
    this.#unsent += delta;
    this.#unshown += delta;
    this.#allowance.grow(delta.length, ts);
    if (isBehind) return { agent: undefined, chat: undefined };
    // A clock that was set back must not silence a run.
    const isDue = Math.abs(ts - this.#shownAt) >= this.#paceMs;
    if (text.length > EVERY_PIECE_CHARS) {
      const both = isDue && this.#allowance.take(2 * text.length);
      return { agent: both ? this.agentRest(ts) : undefined, chat: both ? this.chatRest(ts) : undefined };
    }
    return {
      agent: this.#allowance.take(text.length) ? this.agentRest(ts) : undefined,
      chat: isDue && this.#allowance.take(text.length) ? this.chatRest(ts) : undefined,
    };
  }

  /** Whether what is held back may be told before something else comes. A short text always may. */
  mayCatchUp(): boolean {
    return this.#text.length <= EVERY_PIECE_CHARS || this.#allowance.take(2 * this.#text.length);
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
    if (this.#unshown === '') return undefined;
    const rest = this.#unshown;
    this.#unshown = '';
    this.#shownAt = ts;
    return rest;
  }

  /** The answer starts again from nothing. */
  reset(ts: number): void {
    this.#text = '';
    this.#unsent = '';
    this.#unshown = '';
    this.#shownAt = ts;
  }
}

/** What of the reasoning of a step a client has been told: one stream, like an answer's `agent` frames. */
export class ThinkingText {
  readonly #paceMs: number;
  readonly #allowance = new Allowance();
  #text = '';
  #unsent = '';
  #sentAt = Number.NEGATIVE_INFINITY;

  constructor(paceMs: number) {
    this.#paceMs = paceMs;
  }

  /** Takes a piece in; gives what has to be said now. */
  add({ delta, text, ts }: Omit<TextPiece, 'itemId'>, isBehind = false): { readonly text: string; readonly delta: string } | undefined {
    this.#text = text;
    this.#unsent += delta;
    this.#allowance.grow(delta.length, ts);
    const isDue = text.length <= EVERY_PIECE_CHARS || Math.abs(ts - this.#sentAt) >= this.#paceMs;
    return isDue ? this.mayRest(ts, isBehind) : undefined;
  }

  /** What is owed, as far as it may be said. */
  mayRest(ts: number, isBehind = false): { readonly text: string; readonly delta: string } | undefined {
    return !isBehind && this.#unsent !== '' && this.#allowance.take(this.#text.length) ? this.rest(ts) : undefined;
  }

  /** What is owed, if anything. */
  rest(ts: number): { readonly text: string; readonly delta: string } | undefined {
    if (this.#unsent === '') return undefined;
    const delta = this.#unsent;
    this.#unsent = '';
    this.#sentAt = ts;
    return { text: this.#text, delta };
  }

  /** What was not said is thrown away. */
  reset(): void {
    this.#text = '';
    this.#unsent = '';
  }
}
