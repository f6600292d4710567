/** Without the characters of `tail` at its end. A pattern (`/[.!]+$/`) tries every start, and takes the square of the text's time. */
export function withoutTail(text: string, tail: string): string {
  let end = text.length;
  while (end > 0 && tail.includes(text.charAt(end - 1))) end--;
  return text.slice(0, end);
}
