/** Tokens that a chat template adds to a message. */
export const MESSAGE_OVERHEAD = 6;

/**
 * How many tokens a text is, estimated on the high side: about 3.6 characters of English, less than one of other
 * scripts (small models spell those byte by byte). Real counts come from the provider afterwards.
 */
export function estimateTokens(text: string): number {
  let other = 0;
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) > 0x7f) other++;
  return Math.ceil((text.length - other) / 3.6 + other * 1.3);
}

/** The longest beginning of a text that is at most `tokens`, by the same estimate. */
export function clipTokens(text: string, tokens: number): string {
  if (estimateTokens(text) <= tokens) return text;
  let used = 0;
  for (let i = 0; i < text.length; i++) {
    used += text.charCodeAt(i) > 0x7f ? 1.3 : 1 / 3.6;
    if (used > tokens) {
      const code = text.charCodeAt(i - 1);
      return text.slice(0, i > 0 && code >= 0xd800 && code < 0xdc00 ? i - 1 : i);
    }
  }
  return text;
}
