import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/**
 * Recordings of existing clients with existing gateways, as they lie in `captures/`: one JSON value per line, sanitised and thinned.
 * `T+n` is a time in ms, `<uuid1>` and the like stand for values that changed, `…` marks what was cut.
 */

export type Line = '3' | '9';

// biome-ignore lint/suspicious/noExplicitAny: recorded values are looked into freely
export type Value = any;

export interface RecordedLine {
  /** Connection: c1, c2, … */
  readonly c?: string;
  readonly dir?: 'client' | 'server';
  readonly open?: string;
  readonly origin?: string;
  readonly frame?: Value;
  readonly close?: { readonly by: string; readonly code: number; readonly reason: string };
  readonly http?: string;
  readonly mark?: string;
  readonly page?: string;
  readonly m?: string;
  readonly p?: Value;
  readonly [key: string]: unknown;
}

export function recording(name: string): readonly RecordedLine[] {
  const path = fileURLToPath(new URL(`../captures/${name}.jsonl`, import.meta.url));
  return readFileSync(path, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as RecordedLine);
}

export interface RecordedConnect {
  readonly capture: string;
  readonly c: string;
  readonly params: Value;
  readonly origin: string | undefined;
  /** `hello-ok.auth` as the reference gave it to this client; undefined: none, or not recorded. */
  readonly auth: Value;
  /** What `signedAt` was taken from. */
  readonly signs: 'challenge' | 'own-clock';
}

/** The `connect` of one connection of a recording. Connections of parts between `mark`s share their names: `mark` chooses the part. */
export function recordedConnect(capture: string, c = 'c1', mark?: string): RecordedConnect {
  const lines = part(recording(capture), mark).filter((line) => line.c === c);
  const sent = lines.find(({ dir, frame }) => dir === 'client' && frame?.method === 'connect');
  if (sent === undefined) throw new Error(`${capture} ${mark ?? ''} has no connect of ${c}`);
  const answer = lines.find(({ dir, frame }) => dir === 'server' && frame?.type === 'res' && frame.id === sent.frame.id);
  const challenge = lines.find(({ frame }) => frame?.event === 'connect.challenge');
  const { params } = sent.frame;
  return {
    capture,
    c,
    params,
    origin: lines.find(({ open }) => open !== undefined)?.origin,
    auth: answer?.frame.payload?.auth,
    signs: params.device !== undefined && challenge?.frame.payload.ts === params.device.signedAt ? 'challenge' : 'own-clock',
  };
}

/** The lines after a `mark`, up to the next; without one, all. */
export function part(lines: readonly RecordedLine[], mark: string | undefined): readonly RecordedLine[] {
  if (mark === undefined) return lines;
  const from = lines.findIndex((line) => line.mark === mark);
  if (from === -1) throw new Error(`no mark ${mark}`);
  const rest = lines.slice(from + 1);
  const to = rest.findIndex((line) => line.mark !== undefined);
  return to === -1 ? rest : rest.slice(0, to);
}

export interface RecordedCall {
  readonly method: string;
  /** Undefined where the client sent none. */
  readonly params: Value;
  /** The reference's first answer; undefined when it was not recorded. */
  readonly res: Value;
}

/** Every request of a connection after `connect`, with what the reference answered. */
export function recordedCalls(capture: string, c = 'c1', mark?: string): readonly RecordedCall[] {
  const lines = part(recording(capture), mark).filter((line) => line.c === c);
  return lines
    .filter(({ dir, frame }) => dir === 'client' && frame?.type === 'req' && frame.method !== undefined && frame.method !== 'connect')
    .map(({ frame }) => ({
      method: frame.method,
      params: usable(frame.params),
      res: lines.find(({ dir, frame: other }) => dir === 'server' && other?.type === 'res' && other.id === frame.id)?.frame,
    }));
}

/** Params as they can be sent: what the sanitiser put in for cut list items is taken out. */
export function usable(params: Value): Value {
  if (Array.isArray(params)) return params.filter((item) => !(typeof item === 'string' && item.startsWith('…'))).map(usable);
  if (params === null || typeof params !== 'object') return params;
  return Object.fromEntries(Object.entries(params).map(([key, value]) => [key, usable(value)]));
}

/** The `m`/`p` records of "what each page asks for", each different call once, in the order of the pages. */
export function pageCalls(capture: string): readonly RecordedCall[] {
  const seen = new Set<string>();
  return recording(capture).flatMap(({ m, p }) => {
    const text = JSON.stringify([m, p]);
    if (m === undefined || seen.has(text)) return [];
    seen.add(text);
    return [{ method: m, params: usable(p), res: undefined }];
  });
}
