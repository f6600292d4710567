import type { WireError } from '../../protocol/errors.ts';
import type { TurnRequest } from '../api.ts';
import { canonicalSessionKey } from '../session-key.ts';

/** UTF-16 units of one message. */
export const MAX_MESSAGE = 512 * 1024;
export const MAX_ATTACHMENTS = 16;
/** base64 characters: 5 MB of content. */
export const MAX_ATTACHMENT = Math.ceil((5 * 1024 * 1024 * 4) / 3) + 4;
const MAX_ATTACHMENTS_TOTAL = 20 * 1024 * 1024;
const MAX_EXTRA_PROMPT = 128 * 1024;
const MAX_CONTEXT_CHARS = 1024 * 1024;
const MAX_CONTEXT_MESSAGES = 2_000;
const MAX_TIMEOUT_MS = 24 * 60 * 60_000;
const RUN_ID = /^[^\p{C}]{1,256}$/u;

const invalid = (message: string, code: string): WireError => ({ code: 'INVALID_REQUEST', message, details: { code } });

/** Why a turn cannot be taken, whoever asks. */
export function checkRequest(request: TurnRequest): WireError | undefined {
  const { runId, sessionKey, message, attachments = [], context = [], timeoutMs } = request;
  if (!RUN_ID.test(runId)) return invalid('the run id must be 1 to 256 printable characters', 'BAD_RUN_ID');
  if (canonicalSessionKey(sessionKey) !== sessionKey) return invalid('that is not a session key', 'BAD_SESSION_KEY');
  if (message.trim() === '' && attachments.length === 0) return invalid('message or attachment required', 'EMPTY_MESSAGE');
  if (message.length > MAX_MESSAGE) return invalid(`the message is longer than ${MAX_MESSAGE} characters`, 'MESSAGE_TOO_LARGE');
  if (attachments.length > MAX_ATTACHMENTS) return invalid(`more than ${MAX_ATTACHMENTS} attachments`, 'TOO_MANY_ATTACHMENTS');
  let total = 0;
  for (const { mimeType, content } of attachments) {
    if (!/^image\/[a-z0-9.+-]{1,40}$/i.test(mimeType)) return invalid('only images can be attached', 'ATTACHMENT_TYPE');
    if (content.length > MAX_ATTACHMENT) return invalid('an attachment is larger than 5 MB', 'ATTACHMENT_TOO_LARGE');
    total += content.length;
  }
  if (total > MAX_ATTACHMENTS_TOTAL) return invalid('the attachments are larger than 15 MB together', 'ATTACHMENT_TOO_LARGE');
  if ((request.extraSystemPrompt?.length ?? 0) > MAX_EXTRA_PROMPT) return invalid('the system prompt is too long', 'PROMPT_TOO_LARGE');
  const chars = context.reduce((sum, { text }) => sum + text.length, 0);
  if (context.length > MAX_CONTEXT_MESSAGES || chars > MAX_CONTEXT_CHARS)
    return invalid('the earlier messages are too long', 'CONTEXT_TOO_LARGE');
  if (timeoutMs !== undefined && !(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS))
    return invalid('the timeout must be between 1 ms and a day', 'BAD_TIMEOUT');
  return undefined;
}
