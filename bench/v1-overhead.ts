/** What `/v1/chat/completions` adds to the provider behind it: time to the first word, and streamed requests per second. */
import { request } from 'node:http';
import { startTestGateway } from '../test/support/gateway.ts';
import { bundledFloor, startListening } from './processes.ts';
import { median, type Row, ratioRow, round } from './row.ts';

const RUNS = 5;
const FIRST = 40;
const STREAMED = 150;

export async function run(): Promise<Row[]> {
  using stub = await bundledFloor('stub-provider');
  await using provider = await startListening([process.execPath, stub.file], { PATH: process.env['PATH'] ?? '' });
  await using gateway = await startTestGateway({
    config: `{
      gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } },
      models: { providers: { stub: { baseUrl: "http://127.0.0.1:${provider.port}/v1", apiKey: "k", api: "openai-completions",
        models: [{ id: "stub", name: "stub", contextWindow: 100000 }] } } },
      agents: { defaults: { model: "stub/stub" } },
    }`,
  });
  const direct: Target = { port: provider.port, token: 'k', model: 'stub' };
  const ours: Target = { port: gateway.port, token: gateway.token(), model: 'openclaw' };
  const first = { direct: [] as number[], ours: [] as number[] };
  const rate = { direct: [] as number[], ours: [] as number[] };
  for (let i = 0; i <= RUNS; i++) {
    for (const [name, target] of [
      ['direct', direct],
      ['ours', ours],
    ] as const) {
      const taken: number[] = [];
      for (let j = 0; j < FIRST; j++) taken.push((await chat(target)).firstMs);
      const began = performance.now();
      for (let j = 0; j < STREAMED; j++) await chat(target);
      const perSecond = (STREAMED / (performance.now() - began)) * 1000;
      if (i === 0) continue;
      first[name].push(median(taken));
      rate[name].push(perSecond);
    }
  }
  const added = median(first.ours) - median(first.direct);
  const limit = 0.2 * median(first.direct) + 5;
  return [
    {
      figure: '/v1/chat/completions, time to the first word added',
      value: round(added),
      unit: 'ms',
      floor: round(median(first.direct)),
      budget: '≤ 0.2 × the provider alone + 5 ms',
      ok: added <= limit,
    },
    ratioRow(
      '/v1/chat/completions streamed, one client',
      'per s',
      median(rate.ours),
      median(rate.direct),
      { atLeast: 0.4 },
      'the provider alone',
    ),
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
  const body = JSON.stringify({ model, stream: true, messages: [{ role: 'user', content: 'Say words' }] });
  return new Promise((resolve, reject) => {
    let firstMs = 0;
    let text = '';
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    request({ host: '127.0.0.1', port, path: '/v1/chat/completions', method: 'POST', headers }, (response) => {
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (firstMs === 0 && text.includes('word')) firstMs = performance.now() - began;
      });
      response.on('end', () => (text.trimEnd().endsWith('data: [DONE]') ? resolve({ firstMs }) : reject(new Error(text.slice(0, 500)))));
    })
      .on('error', reject)
      .end(body);
  });
}
