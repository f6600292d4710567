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
 * One answer as chunks. Text is cumulative on our side, so what a slow reader has not taken yet is kept as a position and not as a queue: it gets
 * the rest in one chunk when it is ready.
 */
export class AnswerStream {
  readonly #stream: EventStream;
  readonly #head: CompletionHead;
  readonly #includeUsage: boolean;
  #text = '';
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
    if (event.type === 'text') this.#text = event.text;
    else if (event.type === 'replace') {
      this.#said ??= this.#text.slice(0, this.#sent);
      this.#text = '';
    } else if (event.type === 'end') {
      this.#end = event;
      if (event.outcome === 'ok' && event.text.length >= this.#sent) this.#text = event.text;
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
    if (this.#said !== undefined && !this.#sameBeginning(this.#said)) {
      this.fail(RESTARTED);
      return;
    }
    if (this.#text.length > this.#sent && this.#said === undefined) {
      // Half a surrogate pair waits for its other half.
      const last = this.#text.charCodeAt(this.#text.length - 1);
      const end = this.#end === undefined && last >= 0xd800 && last <= 0xdbff ? this.#text.length - 1 : this.#text.length;
      const piece = this.#text.slice(this.#sent, end);
      this.#sent = end;
      if (piece !== '' && !this.#stream.write(textChunk(this.#head, piece))) return;
    }
    if (this.#end) this.#finish(this.#end);
  }

  /** Whether the answer that was begun again can still become what has been said already. */
  #sameBeginning(said: string): boolean {
    if (!said.startsWith(this.#text.slice(0, said.length))) return false;
    if (this.#text.length >= said.length) this.#said = undefined;
    // It ended well, and shorter than what the reader was told.
    else if (this.#end?.outcome === 'ok') return false;
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
