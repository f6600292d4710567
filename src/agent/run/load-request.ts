import type { Attachment, TurnRequest } from '../api.ts';
import type { AttachmentStore, KeptRequest } from '../ports.ts';

/** What was asked, as it was sent. Rejects when the file with its attachments is not what it was. */
export async function loadRequest(kept: KeptRequest, file: string | undefined, store: AttachmentStore): Promise<TurnRequest> {
  const { attachments = [] } = kept;
  const sizes = attachments.flatMap((each) => ('bytes' in each ? [each.bytes] : []));
  if ('spilled' in kept) sizes.push(kept.spilled);
  const pieces = file === undefined ? [] : [...(await store.read(file, sizes))];
  if (pieces.length < sizes.length) throw new Error('its file is not known');
  const { attachments: _, ...body } = 'spilled' in kept ? (JSON.parse(pieces.pop()?.toString('utf8') ?? '') as TurnRequest) : kept;
  if (attachments.length === 0) return body;
  const whole: Attachment[] = [];
  for (const each of attachments) {
    // As an earlier version kept it.
    if ('content' in each) whole.push(each);
    else {
      const { mimeType, fileName } = each;
      whole.push({ mimeType, content: pieces.shift()?.toString('base64') ?? '', ...(fileName !== undefined && { fileName }) });
      // Others have their turn between two images.
      await new Promise((resolve) => setImmediate(resolve));
    }
  }
  return { ...body, attachments: whole };
}
