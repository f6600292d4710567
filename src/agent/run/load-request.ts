import type { TurnRequest } from '../api.ts';
import type { AttachmentStore, KeptRequest, LoadedRequest } from '../ports.ts';

/** What was asked, as it was sent. Rejects when the file with its attachments is not what it was. */
export async function loadRequest(kept: KeptRequest, file: string | undefined, store: AttachmentStore): Promise<LoadedRequest> {
  const { attachments = [] } = kept;
  const sizes = attachments.map((each) => ('chars' in each ? each.chars : 'bytes' in each ? each.bytes : 0));
  if ('spilled' in kept) sizes.push(kept.spilled);
  const all = sizes.reduce((sum, size) => sum + size, 0);
  if (all > 0 && file === undefined) throw new Error('its file is not known');
  const whole = file === undefined ? new Blob([]) : await store.open(file, all);
  let at = 0;
  const pieces = sizes.map((size) => {
    at += size;
    return whole.slice(at - size, at);
  });
  const { attachments: _, ...body } = 'spilled' in kept ? (JSON.parse((await pieces.pop()?.text()) ?? '') as TurnRequest) : kept;
  if (attachments.length === 0) return body;
  const loaded = attachments.map(async (each, n) => {
    const { mimeType, fileName } = each;
    const piece = pieces[n] ?? new Blob([]);
    const name = { ...(fileName !== undefined && { fileName }) };
    if ('chars' in each) return { mimeType, base64: piece, ...name };
    // As earlier versions kept it.
    const text = 'content' in each ? each.content : Buffer.from(await piece.arrayBuffer()).toString('base64');
    return { mimeType, base64: new Blob([text]), ...name };
  });
  return { ...body, attachments: await Promise.all(loaded) };
}
