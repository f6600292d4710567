/**
 * What `/v1/chat/completions` adds to the provider behind it: time to the first word, streamed requests per second, memory.
 * A provider that answers at once (a thousand streams a second) shows the cost most clearly; the budget of the rate is meant
 * for one that takes 2 ms to its first word, as the stub did that it was set with.
 */
import { request } from 'node:http';
import { startTestGateway } from '../test/support/gateway.ts';
import { startScriptedProvider } from '../test/support/scripted-provider.ts';
import { rssMiB } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow, valueRow } from './row.ts';

const CHATS = 100;
const AT_ONCE = 'TEST:tokens n=14 delay=0';
const AFTER_A_MOMENT = 'TEST:slow first=2';

export async function run({ quick }: BenchOptions): Promise<Row[]> {
  await using provider = await startScriptedProvider({ seed: 1 });
  await using gateway = await startTestGateway({
    config: `{
      gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } },
      models: { providers: { scripted: { baseUrl: "${provider.url}", apiKey: "k", api: "openai-completions",
        models: [{ id: "scripted", name: "scripted", contextWindow: 100000 }] } } },
      agents: { defaults: { model: "scripted/scripted" } },
    }`,
  });
  const direct: Target = { port: Number(new URL(provider.origin).port), token: 'k', model: 'scripted' };
  const ours: Target = { port: gateway.port, token: gateway.token(), model: 'openclaw' };
  for (let i = 0; i < CHATS; i++) await chat(ours, AT_ONCE);
  const rss = rssMiB(gateway.child.pid as number);

  const first = { direct: [] as number[], ours: [] as number[] };
  const rate = { direct: [] as number[], ours: [] as number[] };
  const slowRate = { direct: [] as number[], ours: [] as number[] };
  for (let i = 0; i < (quick ? 3 : 7); i++) {
    for (const [name, target] of [
      ['direct', direct],
      ['ours', ours],
    ] as const) {
      const atOnce = await chats(target, AT_ONCE);
      first[name].push(atOnce.firstMs);
      rate[name].push(atOnce.perSecond);
      slowRate[name].push((await chats(target, AFTER_A_MOMENT)).perSecond);
    }
  }
  const alone = median(first.direct);
  return [
    {
      ...valueRow('/v1 chat: time to the first word', 'ms', median(first.ours), { atMost: 1.2 * alone + 5 }, alone),
      budget: '≤ 1.2 × the provider alone + 5 ms',
    },
    valueRow('/v1 chat: time to the first word, added', 'ms', median(first.ours) - alone, { atMost: 5 }),
    ratioRow(
      '/v1 chat streamed, one client',
      'per s',
      median(slowRate.ours),
      median(slowRate.direct),
      { atLeast: 0.4 },
      'the provider alone',
    ),
    valueRow('/v1 chat streamed, provider answers at once', 'per s', median(rate.ours), { atLeast: 130 }, median(rate.direct)),
    valueRow(`RSS after ${CHATS} chats`, 'MiB', rss, { atMost: 130 }),
  ];
}

async function chats(target: Target, script: string): Promise<{ firstMs: number; perSecond: number }> {
  const taken: number[] = [];
  const began = performance.now();
  for (let i = 0; i < CHATS; i++) taken.push((await chat(target, script)).firstMs);
  return { firstMs: median(taken), perSecond: (CHATS / (performance.now() - began)) * 1000 };
}

interface Target {
  readonly port: number;
  readonly token: string;
  readonly model: string;
}

let asked = 0;

/** One streamed chat; ms until its first word. */
function chat({ port, token, model }: Target, script: string): Promise<{ firstMs: number }> {
  const began = performance.now();
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: script }] });
  return new Promise((resolve, reject) => {
    let firstMs = 0;
    let text = '';
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    // A caller with the secret alone is told by its address, and begins 600 runs at once and then 20 a second: the bench is several callers.
    const localAddress = `127.0.1.${1 + (Math.floor(asked++ / 300) % 250)}`;
    request({ host: '127.0.0.1', localAddress, port, path: '/v1/chat/completions', method: 'POST', headers }, (response) => {
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (firstMs === 0 && /"content":"[^"]/.test(text)) firstMs = performance.now() - began;
      });
      response.on('end', () => (text.trimEnd().endsWith('data: [DONE]') ? resolve({ firstMs }) : reject(new Error(text.slice(0, 500)))));
    })
      .on('error', reject)
      .end(body);
  });
}
