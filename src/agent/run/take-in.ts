import type { Attachment, TurnRequest } from '../api.ts';
import { crypto } from '../builtins.ts';
import type { AttachmentStore, KeptAttachment, NewRun } from '../ports.ts';

/** base64 characters that are looked at in one turn of the event loop: about a millisecond. */
const SLICE = 512 * 1024;
/** Texts of a request beyond this (bytes) go into its file and not through the database. */
const SPILL = 64 * 1024;

export interface TakenIn extends Pick<NewRun, 'request' | 'spilled' | 'file'> {
  /** Of session and content: tells a repeat from another message under the same id. */
  readonly digest: string;
}

/** Content that is not base64. */
export class NotBase64 extends Error {
  constructor(index: number) {
    super(`attachments[${index}].content is not base64`);
  }
}

/**
 * Reads the attachments of a request once, in slices: checked, digested, and written to a file that is durable on return,
 * with all of a large request (`textBytes`) behind them. Of a small one without attachments nothing is awaited.
 * Throws `NotBase64`, and what the disk says; then no file is left.
 */
export function takeIn(request: TurnRequest, textBytes: number, store: AttachmentStore): TakenIn | Promise<TakenIn> {
  const { attachments = [], ...body } = request;
  const hash = headHash(request);
  if (attachments.length === 0 && textBytes <= SPILL) return { request: body, digest: hash.digest('base64url') };
  return (async () => {
    const kept: KeptAttachment[] = [];
    let spilled: number | undefined;
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (const [index, attachment] of attachments.entries()) {
        let bytes = 0;
        let chars = 0;
        for (const chunk of decoded(attachment, index, hash)) {
          // Text again, in its plain form: a provider is sent it from the file.
          const text = Buffer.from(chunk.toString('base64'), 'latin1');
          bytes += chunk.length;
          chars += text.length;
          yield text;
        }
        const { mimeType, fileName } = attachment;
        kept.push({ mimeType, bytes, chars, ...(fileName !== undefined && { fileName }) });
      }
      if (textBytes <= SPILL) return;
      const json = Buffer.from(JSON.stringify(body));
      spilled = json.length;
      yield json;
    }
    const file = await store.write(chunks());
    return {
      request: kept.length === 0 ? body : { ...body, attachments: kept },
      digest: hash.digest('base64url'),
      file,
      ...(spilled !== undefined && { spilled }),
    };
  })();
}

/** The digest alone, of a request that may be a repeat. */
export async function digestOf(request: TurnRequest): Promise<string> {
  const hash = headHash(request);
  for (const [index, attachment] of (request.attachments ?? []).entries()) {
    for (const _ of decoded(attachment, index, hash)) await nextTurn();
  }
  return hash.digest('base64url');
}

interface Hash {
  update(text: string): Hash;
  digest(encoding: 'base64url'): string;
}
const headHash = ({ sessionKey, message }: TurnRequest): Hash =>
  crypto()
    .createHash('sha256')
    .update(JSON.stringify([sessionKey, message]));

const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

/** The bytes of base64 text (either alphabet, blanks anywhere, padding or none), a slice of whole triples at a time; its characters go through `hash`. */
function* decoded({ mimeType, content }: Attachment, index: number, hash: Hash): Generator<Buffer> {
  hash.update(JSON.stringify([mimeType, content.length]));
  const padding = content.indexOf('=');
  const end = padding === -1 ? content.length : padding;
  // Characters that do not fill three bytes yet: blanks may stand anywhere.
  let rest = '';
  for (let at = 0; at < end; at += SLICE) {
    const slice = content.slice(at, Math.min(end, at + SLICE));
    hash.update(slice);
    const text = rest + (/\s/.test(slice) ? slice.replace(/\s+/g, '') : slice);
    const whole = text.length - (text.length % 4);
    rest = text.slice(whole);
    yield bytesOf(text.slice(0, whole), index);
  }
  const tail = content.slice(end);
  // A last character by itself makes no byte to count.
  if (!/^={0,2}\s*$/.test(tail) || !/^[A-Za-z0-9+/_-]*$/.test(rest)) throw new NotBase64(index);
  hash.update(tail);
  yield bytesOf(rest, index);
}

/** The decoder passes over what is no base64, so a wrong character shows as a byte too few (and one beyond ASCII as bytes too many). */
function bytesOf(text: string, index: number): Buffer {
  const bytes = Buffer.from(text, 'base64');
  if (Buffer.byteLength(text) !== text.length || bytes.length !== Math.floor((text.length * 3) / 4)) throw new NotBase64(index);
  return bytes;
}
