import type { Attachment, TurnRequest } from '../api.ts';
import type { AttachmentStore, KeptRequest } from '../ports.ts';

/** What was asked, as it was sent. Rejects when the file with its attachments is not what it was. */
export async function loadRequest(kept: KeptRequest, file: string | undefined, store: AttachmentStore): Promise<TurnRequest> {
  const { attachments, ...rest } = kept;
  if (attachments === undefined) return rest;
  const sizes = attachments.flatMap((each) => ('bytes' in each ? [each.bytes] : []));
  const contents = file === undefined ? [] : await store.read(file, sizes);
  let next = 0;
  return {
    ...rest,
    attachments: attachments.map((each): Attachment => {
      // As an earlier version kept it.
      if ('content' in each) return each;
      const { mimeType, fileName } = each;
      return { mimeType, content: contents[next++] ?? '', ...(fileName !== undefined && { fileName }) };
    }),
  };
}
