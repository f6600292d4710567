/**
 * What a disk would hold after a power cut, from a `strace` of the process that wrote to it.
 *
 * A `kill -9` proves little about syncing: the kernel still writes what it was given. Here each write counts for sure
 * only once a later fsync of the same file has returned; of those after it, any part may be there or not.
 */

export interface Write {
  readonly at: number;
  readonly bytes: Buffer;
}
/** A file as far as the trace tells: synced content, and what was written since. */
export interface TracedFile {
  synced: Buffer;
  since: (Write | { readonly truncateTo: number })[];
}

export type TraceStep =
  | { readonly type: 'write'; readonly path: string; readonly write: Write }
  | { readonly type: 'append'; readonly path: string; readonly bytes: Buffer }
  | { readonly type: 'truncate'; readonly path: string; readonly size: number }
  | { readonly type: 'sync'; readonly path: string }
  | { readonly type: 'unlink'; readonly path: string };

/** For `strace -f -y -s 65536 -e trace=<TRACED>`; the process writes from one thread, so that lines are whole. */
export const TRACED = 'pwrite64,write,ftruncate,fsync,fdatasync,unlink';

/** `4711 pwrite64(22</d/x.sqlite-wal>, "\1ab"..., 24, 0) = 24` and its like; failed calls and other lines give nothing. */
export function parseTrace(trace: string): TraceStep[] {
  const steps: TraceStep[] = [];
  for (const line of trace.split('\n')) {
    const call = /^(?:\[?(?:pid +)?\d+\]? +)?(\w+)\((?:\d+<([^>]*)>)?(.*)\) += (\d+)$/.exec(line);
    if (call === null) continue;
    const [, name, path = '', rest = '', result] = call;
    const text = /^,? ?"((?:[^"\\]|\\.)*)"(\.\.\.)?/.exec(rest);
    if (name === 'fsync' || name === 'fdatasync') steps.push({ type: 'sync', path });
    else if (name === 'unlink' && text?.[1] !== undefined) steps.push({ type: 'unlink', path: bytesOf(text[1]).toString() });
    else if (name === 'ftruncate') steps.push({ type: 'truncate', path, size: Number(rest.slice(2)) });
    else if (text?.[1] !== undefined) {
      if (text[2] !== undefined) throw new Error(`strace cut a write short: ${line.slice(0, 120)}`);
      const bytes = bytesOf(text[1]).subarray(0, Number(result));
      if (name === 'write') steps.push({ type: 'append', path, bytes });
      else if (name === 'pwrite64')
        steps.push({ type: 'write', path, write: { at: Number(rest.slice(rest.lastIndexOf(',') + 1)), bytes } });
    }
  }
  return steps;
}

const ESCAPES: Readonly<Record<string, number>> = { n: 10, t: 9, r: 13, v: 11, f: 12, '"': 34, '\\': 92 };
/** C string escapes as strace prints them: `\n`, `\17`, `\x1f`. */
function bytesOf(text: string): Buffer {
  const out: number[] = [];
  for (let i = 0; i < text.length; i++) {
    if (text[i] !== '\\') {
      out.push(text.charCodeAt(i));
      continue;
    }
    const octal = /^[0-7]{1,3}/.exec(text.slice(i + 1, i + 4))?.[0];
    const hex = /^x[0-9a-f]{2}/.exec(text.slice(i + 1, i + 4))?.[0];
    if (octal !== undefined) {
      out.push(Number.parseInt(octal, 8));
      i += octal.length;
    } else if (hex !== undefined) {
      out.push(Number.parseInt(hex.slice(1), 16));
      i += 3;
    } else {
      out.push(ESCAPES[text[i + 1] ?? ''] ?? text.charCodeAt(i + 1));
      i++;
    }
  }
  return Buffer.from(out);
}

/** A disk that is told of each step in order and can be cut off at any moment. */
export class TracedDisk {
  readonly #files = new Map<string, TracedFile>();

  #file(path: string): TracedFile {
    const known = this.#files.get(path);
    if (known !== undefined) return known;
    const fresh: TracedFile = { synced: Buffer.alloc(0), since: [] };
    this.#files.set(path, fresh);
    return fresh;
  }

  apply(step: TraceStep): void {
    if (step.type === 'unlink') this.#files.delete(step.path);
    else if (step.type === 'write') this.#file(step.path).since.push(step.write);
    else if (step.type === 'truncate') this.#file(step.path).since.push({ truncateTo: step.size });
    else if (step.type === 'sync') {
      const file = this.#file(step.path);
      file.synced = file.since.reduce(played, file.synced);
      file.since = [];
    }
  }

  /** The file after a power cut now: what was synced, and of what came since each write with probability `survives`. */
  afterCut(path: string, survives: () => boolean): Buffer {
    const file = this.#file(path);
    return file.since.filter(survives).reduce(played, file.synced);
  }
}

function played(content: Buffer, step: Write | { readonly truncateTo: number }): Buffer {
  if ('truncateTo' in step) {
    return step.truncateTo <= content.length
      ? content.subarray(0, step.truncateTo)
      : Buffer.concat([content, Buffer.alloc(step.truncateTo - content.length)]);
  }
  const out = Buffer.alloc(Math.max(content.length, step.at + step.bytes.length));
  content.copy(out);
  step.bytes.copy(out, step.at);
  return out;
}
