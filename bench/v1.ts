/** What `/v1/chat/completions` adds to the provider behind it: time to the first word, streamed requests per second, memory. */
import { request } from 'node:http';
import { startTestGateway } from '../test/support/gateway.ts';
import { startScriptedProvider } from '../test/support/scripted-provider.ts';
import { rssMiB } from './processes.ts';
import { type BenchOptions, median, type Row, ratioRow, valueRow } from './row.ts';

const CHATS = 100;

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
  for (let i = 0; i < CHATS; i++) await chat(ours);
  const rss = rssMiB(gateway.child.pid as number);

  const first = { direct: [] as number[], ours: [] as number[] };
  const rate = { direct: [] as number[], ours: [] as number[] };
  for (let i = 0; i < (quick ? 3 : 7); i++) {
    for (const [name, target] of [
      ['direct', direct],
      ['ours', ours],
    ] as const) {
      const taken: number[] = [];
      const began = performance.now();
      for (let j = 0; j < CHATS; j++) taken.push((await chat(target)).firstMs);
      rate[name].push((CHATS / (performance.now() - began)) * 1000);
      first[name].push(median(taken));
    }
  }
  const alone = median(first.direct);
  return [
    {
      ...valueRow('/v1 chat: time to the first word', 'ms', median(first.ours), { atMost: 1.2 * alone + 5 }, alone),
      budget: '≤ 1.2 × the provider alone + 5 ms',
    },
    valueRow('/v1 chat: time to the first word, added', 'ms', median(first.ours) - alone, { atMost: 5 }),
    ratioRow('/v1 chat streamed, one client', 'per s', median(rate.ours), median(rate.direct), { atLeast: 0.4 }, 'the provider alone'),
    valueRow(`RSS after ${CHATS} chats`, 'MiB', rss, { atMost: 130 }),
  ];
}

interface Target {
  readonly port: number;
  readonly token: string;
  readonly model: string;
}

/** One streamed chat; ms until its first word. */
function chat({ port, token, model }: Target): Promise<{ firstMs: number }> {
  const began = performance.now();
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'TEST:tokens n=14 delay=0' }] });
  return new Promise((resolve, reject) => {
    let firstMs = 0;
    let text = '';
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    request({ host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', headers }, (response) => {
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
