import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { HttpKnock, HttpKnocked, Knock, Knocked } from './knock.ts';
import type { Frame } from './wire.ts';

/** Somebody at the door, in a process of its own. */
export interface Knocker extends AsyncDisposable {
  knock(job: Knock): Promise<Knocked>;
  http(job: HttpKnock['http']): Promise<HttpKnocked>;
}

/** `wrap` puts it elsewhere: `ip netns exec …`, `setpriv --reuid …`. */
export function startKnocker(wrap: readonly string[] = []): Knocker {
  const script = fileURLToPath(new URL('./knock.ts', import.meta.url));
  const argv = [...wrap, process.execPath, '--disable-warning=ExperimentalWarning', script];
  const child = spawn(argv[0] as string, argv.slice(1), { stdio: ['pipe', 'pipe', 'inherit'], env: { PATH: process.env['PATH'] ?? '' } });
  const waiting: ((answer: unknown) => void)[] = [];
  createInterface({ input: child.stdout }).on('line', (line) => waiting.shift()?.(JSON.parse(line)));
  child.on('exit', (code) => {
    for (const settle of waiting.splice(0)) settle({ threw: `the knocker ended with ${code}` });
  });
  const ask = async <T>(job: Knock | HttpKnock): Promise<T> => {
    child.stdin.write(`${JSON.stringify(job)}\n`);
    const answer = await new Promise<unknown>((resolve) => waiting.push(resolve));
    if (typeof answer === 'object' && answer !== null && 'threw' in answer) throw new Error(String(answer.threw));
    return answer as T;
  };
  return {
    knock: (job) => ask<Knocked>(job),
    http: (http) => ask<HttpKnocked>({ http }),
    async [Symbol.asyncDispose]() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const gone = once(child, 'exit');
      child.stdin.end();
      await gone;
    },
  };
}

/** One call over the admin socket: the owner's own door. Throws what was refused. */
export function ownerCall(stateDir: string, method: string, params: unknown = {}): Promise<Frame> {
  return new Promise((resolve, reject) => {
    const socket = connect(`${stateDir}/gateway/admin.sock`);
    let text = '';
    socket.setEncoding('utf8');
    socket.on('connect', () => socket.write(`${JSON.stringify({ type: 'req', id: 'owner', method, params })}\n`));
    socket.on('data', (chunk: string) => {
      text += chunk;
      if (!text.includes('\n')) return;
      socket.end();
      const answer = JSON.parse(text.slice(0, text.indexOf('\n'))) as Frame;
      if (answer.ok) resolve(answer.payload);
      else reject(new Error(`${method}: ${JSON.stringify(answer.error)}`));
    });
    socket.on('error', reject);
  });
}
