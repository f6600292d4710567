import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'vitest';
import type { TestGateway } from '../../support/gateway.ts';
import type { Frame } from '../../support/wire.ts';
import type { Value } from './recording.ts';

/**
 * What we answered, kept in `transcripts/` as recordings are: sanitised, one frame per line. A change of any of it fails the test;
 * `UPDATE_TRANSCRIPTS=1` writes the files anew, and the diff of the commit shows what existing clients will see otherwise.
 */
export function expectTranscript(name: string, lines: readonly unknown[]): void {
  const path = fileURLToPath(new URL(`../transcripts/${name}.jsonl`, import.meta.url));
  const text = `${lines.map((line) => JSON.stringify(line)).join('\n')}\n`;
  if (process.env['UPDATE_TRANSCRIPTS'] === '1') {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, text);
    return;
  }
  expect(existsSync(path), `no ${name}: run with UPDATE_TRANSCRIPTS=1`).toBe(true);
  expect(text.split('\n')).toEqual(readFileSync(path, 'utf8').split('\n'));
}

/** The frames of a connection in order, without what comes when it likes: news of others, ticks, and all text pieces of a run but its first. */
export function thinned(frames: readonly Frame[]): Frame[] {
  const seen = new Set<string>();
  return frames.filter((f) => {
    if (f.type !== 'event') return true;
    if (f.event === 'tick' || f.event === 'health' || f.event === 'presence') return false;
    const piece = f.event === 'chat' ? f.payload.state === 'delta' : f.event === 'agent' && f.payload.stream === 'assistant';
    if (!piece) return true;
    const key = `${f.event} ${f.payload.runId}`;
    if (seen.has(key)) return false;
    seen.add(key);
    return true;
  });
}

const TIME = /^(ts|timestamp|at|age|.*At|.*AtMs|.*Ms|snapshotAt|onlineSince)$/;
const COUNTED = new Set([
  ...['seq', 'presence', 'health', 'pid', 'port', 'cursor', 'size', 'rowId', 'rssBytes', 'heapUsedBytes', 'heapTotalBytes'],
  ...['externalBytes', 'arrayBuffersBytes', 'input', 'output', 'total', 'inputTokens', 'outputTokens', 'totalTokens', 'remainingTokens'],
  ...['percentUsed', 'promptTokens', 'prompt_tokens', 'completion_tokens', 'total_tokens', 'created', 'connections', 'count'],
]);
const SETTLED = new Set(['tickIntervalMs', 'everyMs', 'restartExpectedMs', 'retryAfterMs']);

/** Lists that grow with every test that connects: one row shows what a row is. */
const LISTS = new Set(['presence', 'paired', 'sessions', 'nodes', 'payload']);
/** The same again under another name. */
const COPIES = new Set(['parsed', 'resolved', 'sourceConfig', 'runtimeConfig']);

/** Makes one value the same on every run and every machine. */
export function sanitiser(gateway: TestGateway): (value: unknown) => Value {
  const plain: [string, string][] = [
    [gateway.stateDir, '<state>'],
    [gateway.token(), '<token>'],
  ];
  const text = (value: string): string => {
    let out = value;
    for (const [from, to] of plain) out = out.replaceAll(from, to);
    return out
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, '<uuid>')
      .replace(/\b[0-9a-f]{64}\b/g, '<hex64>')
      .replace(/ocd_[\w-]{43}/g, '<deviceToken>')
      .replace(/\[(outside|end) [\w-]{12}(?=[:\]])/g, '[$1 <fence>')
      .replace(/\bcall_\d+\b/g, 'call_<n>')
      .replace(/127\.0\.0\.1:\d+/g, '127.0.0.1:<port>');
  };
  const clean = (value: unknown, key: string): Value => {
    if (typeof value === 'number') return TIME.test(key) && !SETTLED.has(key) ? '<ms>' : COUNTED.has(key) ? '<n>' : value;
    if (typeof value === 'string') {
      if (['version', 'runtimeVersion', 'serverVersion', 'buildId', 'serverBuildId', 'publicKey', 'nonce'].includes(key)) return `<${key}>`;
      if (['deltaCursor', 'source', 'modelIdentifier'].includes(key)) return `<${key}>`;
      if (key === 'platform' && / /.test(value)) return '<platform>';
      if (key === 'file' && value.includes('/logs/')) return '<log file>';
      if (key === 'raw') return '<json5>';
      // Only where it stands for itself: a short host name is part of many a random text.
      if (key === 'host' && value === hostname()) return '<host>';
      if (key === 'text' && value.startsWith('Gateway: ')) return 'Gateway: <host> · app <version>';
      return text(value);
    }
    if (Array.isArray(value)) {
      if (key === 'methods' || key === 'events') return `<${key}>`;
      // A snapshot of up to a second ago: which rows it holds is chance.
      if (key === 'lines' || (key === 'recent' && value.length > 0)) return `<${key}>`;
      const rows = LISTS.has(key) && value.length > 0 ? [value[0], '…'] : value;
      return rows.map((item) => clean(item, ''));
    }
    if (value === null || typeof value !== 'object') return value;
    if (COPIES.has(key) && Object.keys(value).length > 0) return `<${key}>`;
    return Object.fromEntries(Object.entries(value).map(([name, item]) => [text(name), clean(item, name)]));
  };
  return (value) => clean(value, '');
}
