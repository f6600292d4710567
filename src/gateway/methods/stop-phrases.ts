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

export const isStopPhrase = (message: string): boolean => STOP.has(withoutTail(message.trim(), '.!。！').toLowerCase());
