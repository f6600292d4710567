import type { AssistantPart } from './api.ts';

/** Cuts to at most `max` UTF-16 units without splitting a character; says so with an ellipsis. */
export function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = max - 1;
  const last = text.charCodeAt(end - 1);
  return `${text.slice(0, last >= 0xd800 && last < 0xdc00 ? end - 1 : end)}…`;
}

/** The first `max` UTF-16 units of a text, or one less where that would split a character. */
export function head(text: string, max: number): string {
  if (text.length <= max) return text;
  const last = text.charCodeAt(max - 1);
  return text.slice(0, Math.max(0, last >= 0xd800 && last < 0xdc00 ? max - 1 : max));
}

/** One line for people: control characters and runs of white space become one blank. */
export const oneLine = (text: string, max: number): string =>
  clip(
    text
      .slice(0, max * 4)
      .replace(/[\s\p{C}]+/gu, ' ')
      .trim(),
    max,
  );

/** What a person sees of an assistant's message. */
export const visibleText = (content: readonly AssistantPart[]): string =>
  content.map((part) => (part.type === 'text' ? part.text : '')).join('');
