import type { Attachment, TurnRequest } from '../api.ts';
import { crypto } from '../builtins.ts';
import type { AttachmentStore, KeptAttachment, KeptRequest } from '../ports.ts';

/** base64 characters that are looked at in one turn of the event loop: about a millisecond. */
const SLICE = 512 * 1024;

export interface TakenIn {
  readonly request: KeptRequest;
  /** Of session and content: tells a repeat from another message under the same id. */
  readonly digest: string;
  readonly file: string | undefined;
}

/** Content that is not base64: `index` of the attachment. */
export class NotBase64 extends Error {
  readonly index: number;
  constructor(index: number) {
    super(`attachments[${index}].content is not base64`);
    this.index = index;
  }
}

/**
 * Reads the attachments of a request once, in slices: checked, digested, and written to a file that is durable on return.
 * Without attachments nothing is awaited. Throws `NotBase64`, and what the disk says; then no file is left.
 */
export function takeIn(request: TurnRequest, store: AttachmentStore): TakenIn | Promise<TakenIn> {
  const { attachments = [], ...rest } = request;
  if (attachments.length === 0) return { request: rest, digest: headHash(request).digest('base64url'), file: undefined };
  return (async () => {
    const hash = headHash(request);
    const kept: KeptAttachment[] = [];
    async function* chunks(): AsyncGenerator<Uint8Array> {
      for (const [index, attachment] of attachments.entries()) {
        let bytes = 0;
        for (const chunk of decoded(attachment, index, hash)) {
          bytes += chunk.length;
          yield chunk;
        }
        const { mimeType, fileName } = attachment;
        kept.push({ mimeType, bytes, ...(fileName !== undefined && { fileName }) });
      }
    }
    const file = await store.write(chunks());
    return { request: { ...rest, attachments: kept }, digest: hash.digest('base64url'), file };
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

/** The bytes of base64 text (either alphabet, blanks anywhere, padding or none), a slice at a time; its characters go through `hash`. */
function* decoded({ mimeType, content }: Attachment, index: number, hash: Hash): Generator<Buffer> {
  hash.update(JSON.stringify([mimeType, content.length]));
  const padding = content.indexOf('=');
  const end = padding === -1 ? content.length : padding;
  // Characters that do not fill three bytes yet: blanks may stand anywhere.
  let rest = '';
  for (let at = 0; at < end; at += SLICE) {
    const slice = content.slice(at, Math.min(end, at + SLICE));
    if (/[^A-Za-z0-9+/_\-\s]/.test(slice)) throw new NotBase64(index);
    hash.update(slice);
    const text = rest + (/\s/.test(slice) ? slice.replace(/\s+/g, '') : slice);
    const whole = text.length - (text.length % 4);
    rest = text.slice(whole);
    yield Buffer.from(text.slice(0, whole), 'base64');
  }
  const tail = content.slice(end);
  if (!/^={0,2}\s*$/.test(tail)) throw new NotBase64(index);
  hash.update(tail);
  yield Buffer.from(rest, 'base64');
}
