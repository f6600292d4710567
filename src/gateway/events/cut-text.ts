/** At most `max` UTF-16 units, never half a character; what was cut ends in `mark`, which counts. */
export function cutText(text: string, max: number, mark = ''): string {
  if (text.length <= max) return text;
  const end = Math.max(0, max - mark.length);
  const last = text.charCodeAt(end - 1);
  return `${text.slice(0, last >= 0xd800 && last <= 0xdbff ? end - 1 : end)}${mark}`;
}
