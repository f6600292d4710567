import type { Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

/** A line is cut here, so that a child that never ends one fills no memory. */
const MAX_LINE = 8_192;

/** Calls `task` with each line of a stream, without its end; of a longer one with its first 8 KiB. The last may lack its newline. */
export function eachLine(stream: Readable, task: (line: string) => void): void {
  const decoder = new StringDecoder('utf8');
  let rest = '';
  stream.on('data', (chunk: Buffer) => {
    const parts = decoder.write(chunk).split('\n');
    for (const [index, part] of parts.entries()) {
      if (rest.length < MAX_LINE) rest += part.slice(0, MAX_LINE - rest.length);
      if (index === parts.length - 1) break;
      const line = rest;
      rest = '';
      task(line.endsWith('\r') ? line.slice(0, -1) : line);
    }
  });
  stream.on('end', () => {
    if (rest) task(rest);
  });
  stream.on('error', () => {});
}
