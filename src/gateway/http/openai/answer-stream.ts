import type { RunEvent } from '../../../agent/api.ts';
import type { EventStream } from '../event-stream.ts';
import { type Fault, faultBody } from '../fault.ts';
import { type CompletionHead, DONE, roleChunk, stopChunk, textChunk, usageChunk } from './completion-shape.ts';
import { runFault } from './run-fault.ts';

type EndEvent = Extract<RunEvent, { type: 'end' }>;

/** A stream cannot take back what it has said. */
const RESTARTED: Fault = {
  status: 502,
  type: 'api_error',
  code: 'answer_restarted',
  message:
    "The provider failed mid-answer and is being asked again; this stream cannot take text back. Read the session's history, or ask again.",
};

/**
 * One answer as chunks. What a slow reader has not taken yet is one text and not a queue of pieces: it gets the rest in one chunk when it is
 * ready. The whole text is looked at only where that is needed: a piece costs its own length, however long the answer.
 */
export class AnswerStream {
  readonly #stream: EventStream;
  readonly #head: CompletionHead;
  readonly #includeUsage: boolean;
  #text = '';
  #unsent = '';
  #sent = 0;
  /** Set after `replace`: what was sent, to be compared with the new answer. */
  #said: string | undefined;
  #end: EndEvent | undefined;
  #isOver = false;

  constructor(stream: EventStream, head: CompletionHead, includeUsage: boolean) {
    this.#stream = stream;
    this.#head = head;
    this.#includeUsage = includeUsage;
    stream.onDrain(() => this.#pump());
    stream.write(roleChunk(head));
  }

  /** The last word was said, well or not. */
  get isOver(): boolean {
    return this.#isOver;
  }

  feed(event: RunEvent): void {
    if (this.#isOver) return;
    if (event.type === 'text') {
      this.#text = event.text;
      if (this.#said === undefined) this.#unsent += event.delta;
      else if (!this.#says(this.#said, event)) return this.fail(RESTARTED);
    } else if (event.type === 'replace') {
      this.#said ??= this.#text.slice(0, this.#sent);
      this.#text = '';
      this.#unsent = '';
    } else if (event.type === 'end') {
      this.#end = event;
      // It ended well, and shorter than what the reader was told.
      if (event.outcome === 'ok' && this.#said !== undefined && this.#said !== '') return this.fail(RESTARTED);
    } else return;
    this.#pump();
  }

  fail(fault: Fault): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#stream.write(faultBody(fault));
    this.#stream.end();
  }

  #pump(): void {
    if (this.#isOver || !this.#stream.isWritable) return;
    if (this.#unsent !== '') {
      // Half a surrogate pair waits for its other half.
      const last = this.#unsent.charCodeAt(this.#unsent.length - 1);
      const end = this.#end === undefined && last >= 0xd800 && last <= 0xdbff ? this.#unsent.length - 1 : this.#unsent.length;
      const piece = this.#unsent.slice(0, end);
      this.#unsent = this.#unsent.slice(end);
      this.#sent += end;
      if (piece !== '' && !this.#stream.write(textChunk(this.#head, piece))) return;
    }
    if (this.#end) this.#finish(this.#end);
  }

  /** Whether the answer that was begun again can still become what has been said already. */
  #says(said: string, { text, delta }: { readonly text: string; readonly delta: string }): boolean {
    const from = text.length - delta.length;
    const common = said.length - from;
    if (!said.startsWith(delta.slice(0, common), from)) return false;
    if (delta.length < common) return true;
    this.#said = undefined;
    this.#unsent = delta.slice(common);
    return true;
  }

  #finish(end: EndEvent): void {
    const fault = runFault(end);
    if (fault) this.fail(fault);
    if (fault || end.outcome !== 'ok') return;
    this.#isOver = true;
    this.#stream.write(stopChunk(this.#head, end.stopReason));
    if (this.#includeUsage) this.#stream.write(usageChunk(this.#head, end.usage));
    this.#stream.write(DONE);
    this.#stream.end();
  }
}
