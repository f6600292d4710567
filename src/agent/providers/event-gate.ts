import { turn } from '../../lib/turn.ts';
import { ProviderTooMuch } from './failure.ts';

/** Bytes of one answer. A model that writes more than this has lost its way, or is not a model. */
export const MAX_ANSWER_BYTES = 64 * 1024 * 1024;
/** Bytes of one event of a stream: what has to be held, decoded and parsed in one go. */
export const MAX_EVENT_BYTES = 1024 * 1024;
/** Bytes of events one after the other of which nothing came out: no text, no reasoning, no part of a tool call. */
export const MAX_EMPTY_BYTES = 2 * 1024 * 1024;
/** Values in one event. An event above `LARGE_EVENT` bytes is counted: many small values cost far more than their bytes. */
const MAX_EVENT_VALUES = 4_096;
const LARGE_EVENT = 16 * 1024;

// What one turn of the event loop passes on. Parsing and checking an event costs some 30 µs, whatever its size.
const SLICE_EVENTS = 32;
const SLICE_BYTES = 8 * 1024;
const SLICE_SCANNED = 64 * 1024;
const SLICE_LINES = 1_000;
const SLICE_CHUNKS = 256;

const LF = 10;
const CR = 13;
const COLON = 58;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPEN_BRACE = 0x7b;
const OPEN_BRACKET = 0x5b;

/** Counts what a stream let through since the last time something came of it; its reader sets it back to 0. */
export interface Meter {
  bytes: number;
}

/**
 * Server-sent events on their way to the parser: whole events, bounded, without comments, a few per turn of the event loop, and read no
 * faster than the parser takes them. A body that is no event stream passes as one event.
 *
 * Errors with `ProviderTooMuch`.
 */
export function eventGate(body: ReadableStream<Uint8Array>, meter: Meter): ReadableStream<Uint8Array> {
  const reader = body.getReader();
  const lines = new EventLines();
  let total = 0;
  let chunk: Uint8Array = new Uint8Array(0);
  let at = 0;
  const slice = { events: 0, bytes: 0, scanned: 0, lines: 0, chunks: 0 };

  const isFull = (): boolean =>
    slice.events >= SLICE_EVENTS ||
    slice.bytes >= SLICE_BYTES ||
    slice.scanned >= SLICE_SCANNED ||
    slice.lines >= SLICE_LINES ||
    slice.chunks >= SLICE_CHUNKS;

  async function more(): Promise<boolean> {
    const { done, value } = await reader.read();
    if (done) return false;
    total += value.byteLength;
    if (total > MAX_ANSWER_BYTES) throw new ProviderTooMuch(`more than ${MAX_ANSWER_BYTES >> 20} MiB`);
    slice.chunks++;
    chunk = value;
    at = 0;
    return true;
  }

  /** The next events, together; undefined at the end. */
  async function next(): Promise<Uint8Array | undefined> {
    const events: Uint8Array[] = [];
    for (;;) {
      if (isFull()) {
        if (events.length > 0) break;
        slice.events = slice.bytes = slice.scanned = slice.lines = slice.chunks = 0;
        await turn();
      }
      if (at >= chunk.byteLength) {
        // What is whole goes on before anything is waited for.
        if (events.length > 0) break;
        if (await more()) continue;
        return lines.rest();
      }
      const to = Math.min(chunk.byteLength, at + 4_096);
      const before = at;
      const event = lines.take(chunk, at, to);
      at = event.at;
      slice.scanned += at - before;
      slice.lines += event.lines;
      if (event.bytes === undefined) continue;
      slice.events++;
      slice.bytes += event.bytes.byteLength;
      meter.bytes += event.bytes.byteLength;
      if (meter.bytes > MAX_EMPTY_BYTES) throw new ProviderTooMuch(`${MAX_EMPTY_BYTES >> 20} MiB without a word`);
      events.push(event.bytes);
      if (event.bytes.byteLength <= LARGE_EVENT) continue;
      mustBeSimple(event.bytes);
      // Parsing it is a slice of its own.
      await turn();
      break;
    }
    return events.length === 1 ? events[0] : Buffer.concat(events);
  }

  return new ReadableStream<Uint8Array>(
    {
      async pull(controller) {
        try {
          const bytes = await next();
          if (bytes !== undefined && bytes.byteLength > 0) controller.enqueue(bytes);
          else controller.close();
        } catch (thrown) {
          controller.error(thrown);
          reader.cancel().catch(() => {});
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

const found = (at: number): number => (at === -1 ? Number.POSITIVE_INFINITY : at);

/** Cuts bytes into events, and keeps the one that is not whole yet. */
class EventLines {
  #buffer = Buffer.allocUnsafe(4_096);
  #length = 0;
  /** Where the line that is being read begins in the buffer. */
  #line = 0;
  #inComment = false;
  #afterCr = false;
  #nextLf = -1;
  #nextCr = -1;

  /** Reads on from `at` to `to`, or to the end of an event, whichever comes first. */
  take(
    chunk: Uint8Array,
    from: number,
    to: number,
  ): { readonly at: number; readonly lines: number; readonly bytes: Uint8Array | undefined } {
    let lines = 0;
    if (from === 0) {
      this.#nextLf = -1;
      this.#nextCr = -1;
    }
    for (let at = from; at < to; ) {
      const first = chunk[at] as number;
      if (this.#afterCr) {
        this.#afterCr = false;
        if (first === LF) {
          at++;
          continue;
        }
      }
      if (this.#length === this.#line && first === COLON) this.#inComment = true;
      const end = Math.min(to, this.#lineEnd(chunk, at));
      if (!this.#inComment) this.#add(chunk, at, end);
      at = end;
      if (end === to) break;
      this.#afterCr = chunk[end] === CR;
      at = end + 1;
      lines++;
      if (this.#inComment) {
        this.#inComment = false;
        continue;
      }
      const isBlank = this.#length === this.#line;
      // An event of comments alone is none.
      if (isBlank && this.#length === 0) continue;
      this.#push(LF);
      this.#line = this.#length;
      if (isBlank) return { at, lines, bytes: this.#out() };
    }
    return { at: to, lines, bytes: undefined };
  }

  /** Where the next line end of this chunk stands, looked up once for each. */
  #lineEnd(chunk: Uint8Array, at: number): number {
    if (this.#nextLf < at) this.#nextLf = found(chunk.indexOf(LF, at));
    if (this.#nextCr < at) this.#nextCr = found(chunk.indexOf(CR, at));
    return Math.min(this.#nextLf, this.#nextCr);
  }

  /** What was left without its end. */
  rest(): Uint8Array | undefined {
    return this.#length === 0 ? undefined : this.#out();
  }

  #out(): Uint8Array {
    const bytes = Buffer.from(this.#buffer.subarray(0, this.#length));
    this.#length = 0;
    this.#line = 0;
    if (this.#buffer.length > LARGE_EVENT) this.#buffer = Buffer.allocUnsafe(4_096);
    return bytes;
  }

  #push(byte: number): void {
    this.#room(1);
    this.#buffer[this.#length++] = byte;
  }

  #add(chunk: Uint8Array, from: number, to: number): void {
    this.#room(to - from);
    this.#buffer.set(chunk.subarray(from, to), this.#length);
    this.#length += to - from;
  }

  #room(bytes: number): void {
    const wanted = this.#length + bytes;
    if (wanted > MAX_EVENT_BYTES) throw new ProviderTooMuch(`one event of more than ${MAX_EVENT_BYTES >> 20} MiB`);
    if (wanted <= this.#buffer.length) return;
    const larger = Buffer.allocUnsafe(Math.max(wanted, this.#buffer.length * 2));
    this.#buffer.copy(larger, 0, 0, this.#length);
    this.#buffer = larger;
  }
}

/**
 * Counts the values of a JSON text without parsing it: each has a bracket or a comma before it, outside of strings.
 *
 * @throws ProviderTooMuch when an event holds more values than any answer needs
 */
function mustBeSimple(bytes: Uint8Array): void {
  let values = 0;
  for (let at = 0; at < bytes.byteLength; at++) {
    const byte = bytes[at];
    if (byte === QUOTE) {
      // To the closing quote, stepping over escapes.
      for (at++; at < bytes.byteLength && bytes[at] !== QUOTE; at++) if (bytes[at] === BACKSLASH) at++;
    } else if (byte === COMMA || byte === OPEN_BRACE || byte === OPEN_BRACKET) values++;
  }
  if (values > MAX_EVENT_VALUES) throw new ProviderTooMuch(`one event of more than ${MAX_EVENT_VALUES} values`);
}
