import { expect, test } from 'vitest';
import { startTestGateway } from '../support/gateway.ts';
import { startScriptedProvider } from '../support/scripted-provider.ts';
import { connect, newDevice } from '../support/wire.ts';

test('AG-99 images arrive at the provider as they were sent, of a run that begins at once and of one that waited', async () => {
  await using provider = await startScriptedProvider();
  const model = { id: 'model', name: 'Model', input: ['text', 'image'] };
  const scripted = { baseUrl: provider.url, apiKey: 'not-a-secret', api: 'openai-completions', models: [model] };
  const config = JSON.stringify({ agents: { defaults: { model: 'scripted/model' } }, models: { providers: { scripted } } });
  await using gateway = await startTestGateway({ config });
  await using client = await connect(gateway.url, { device: newDevice(), auth: { token: gateway.token() } });
  const images = [100, 400_003].map((length, n) => Buffer.from(Array.from({ length }, (_, i) => (i * 7 + n) % 256)).toString('base64'));
  const attachments = images.map((content) => ({ type: 'image', mimeType: 'image/png', content }));
  const ids = ['first', 'second', 'third'];
  await Promise.all(
    ids.map((idempotencyKey) =>
      client.call('chat.send', { sessionKey: 'main', message: `TEST:text ${idempotencyKey}`, idempotencyKey, attachments }),
    ),
  );
  for (const runId of ids) expect(await client.call('agent.wait', { runId, timeoutMs: 20_000 })).toMatchObject({ status: 'ok' });
  const chats = await provider.chats();
  expect(chats.length).toBe(3);
  for (const chat of chats) {
    const sent = JSON.stringify(chat.messages.at(-1));
    for (const image of images) expect(sent.includes(`"data:image/png;base64,${image}"`)).toBe(true);
  }
});
