import { withoutTail } from '../../lib/without-tail.ts';

/** Words that stop a run when they are the whole message (existing clients send them through `chat.send`). */
const STOP = new Set([
  '/stop',
  '/abort',
  'stop',
  'esc',
  'abort',
  'exit',
  'wait',
  'interrupt',
  'halt',
  'please stop',
  '停止',
  '停下',
  '取消',
  '中止',
]);

/** The longest of them with some marks behind it: what is longer is a message, and nobody looks for its end. */
const LONGEST = 64;

export function isStopPhrase(message: string): boolean {
  const text = message.trim();
  return text.length <= LONGEST && STOP.has(withoutTail(text, '.!。！').toLowerCase());
}
