import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { startWatchedGateway, type WatchedGateway } from './attack.ts';

/** How a run ended, and how many bytes it cost its sender and the worst-off of the others. */
export interface Ended {
  readonly sessionKey: string;
  readonly state: 'final' | 'error' | 'aborted';
  readonly stopReason?: string;
  readonly error?: string;
  readonly refused?: string;
  readonly chars: number;
  readonly head: string;
  readonly ms: number;
  readonly mine: number;
  readonly others: number;
}
export interface Crowd extends AsyncDisposable {
  /** Sends a message; resolves when its run has ended. */
  ask(message: string, sessionKey?: string): Promise<Ended>;
}

const run = (script: URL, args: readonly string[]): ChildProcess =>
  spawn(process.execPath, ['--disable-warning=ExperimentalWarning', fileURLToPath(script), ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.stdin?.end();
  await gone;
}

/** A gateway whose only model is a hostile server in a process of its own. */
export async function startAgainstHostile(runs = 4): Promise<WatchedGateway & { crowd(count: number, protocol: 3 | 4): Promise<Crowd> }> {
  const provider = run(new URL('./hostile-provider.ts', import.meta.url), []);
  const [baseUrl] = (await once(createInterface({ input: provider.stdout as NodeJS.ReadableStream }), 'line')) as [string];
  const gateway = await startWatchedGateway({
    config: JSON.stringify({
      gateway: { http: { endpoints: { chatCompletions: { enabled: true } } } },
      agents: { defaults: { model: { primary: 'h/m' }, maxConcurrent: runs } },
      models: { providers: { h: { api: 'openai-completions', baseUrl, models: [{ id: 'm', name: 'm', contextWindow: 200_000 }] } } },
    }),
  });
  return {
    ...gateway,
    async crowd(count, protocol) {
      const child = run(new URL('./subscribers.ts', import.meta.url), [gateway.url, gateway.token(), String(count), String(protocol)]);
      const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
      const waiting = new Map<string, (ended: Ended) => void>();
      await once(lines, 'line');
      lines.on('line', (line) => {
        const ended = JSON.parse(line) as Ended;
        waiting.get(ended.sessionKey)?.(ended);
      });
      let next = 0;
      return {
        ask(message, sessionKey = `agent:main:hostile-${child.pid}-${++next}`) {
          return new Promise((resolve) => {
            waiting.set(sessionKey, resolve);
            child.stdin?.write(`${JSON.stringify({ sessionKey, message })}\n`);
          });
        },
        [Symbol.asyncDispose]: () => endOf(child),
      };
    },
    async [Symbol.asyncDispose]() {
      await gateway[Symbol.asyncDispose]();
      await endOf(provider);
    },
  };
}
