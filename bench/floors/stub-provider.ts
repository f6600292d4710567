/** An OpenAI-compatible model that streams twenty words in four steps a millisecond apart: about 250 answers a second. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

const WORDS = 20;
const STEPS = 4;
const chunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'stub', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;
const WORD = chunk({ content: 'word ' });
const END = `${chunk({}, 'stop')}data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 0, model: 'stub', choices: [], usage: { prompt_tokens: 1, completion_tokens: WORDS, total_tokens: WORDS + 1 } })}\n\ndata: [DONE]\n\n`;

const server = createServer((request, response) => {
  request.resume();
  request.on('end', () => {
    if (request.method !== 'POST') return response.end('{"object":"list","data":[{"id":"stub","object":"model"}]}');
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(chunk({ role: 'assistant', content: '' }));
    let step = 0;
    const timer = setInterval(() => {
      response.write(WORD.repeat(WORDS / STEPS));
      if (++step < STEPS) return;
      clearInterval(timer);
      response.end(END);
    }, 1);
    return timer;
  });
});
server.listen(0, '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${(server.address() as AddressInfo).port}`));
