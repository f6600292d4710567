import { spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WebSocket } from 'ws';
import { end } from './hosts.ts';
import { until } from './until.ts';

const CHROMIUM = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find((path) => existsSync(path));

/** Why browser tests cannot run here, with the command that mends it. */
export const browserMissing = (): string | undefined =>
  CHROMIUM === undefined ? 'needs Chromium: apt-get install -y chromium' : undefined;

export interface Page extends AsyncDisposable {
  /** Goes there and waits until it has loaded. The HTTP status of the document. */
  open(url: string): Promise<number>;
  /** The value of an expression, promises awaited. */
  // biome-ignore lint/suspicious/noExplicitAny: what a page says is looked into freely by tests
  eval(expression: string): Promise<any>;
  /** Width in CSS pixels, and how the person likes colours. */
  look(width: number, colours: 'light' | 'dark'): Promise<void>;
  language(accept: string): Promise<void>;
  /** Lets scripts of the test do what the page's own policy forbids. */
  bypassPolicy(): Promise<void>;
  screenshot(): Promise<Buffer>;
  /** What the console and the browser's own checks (CSP, mixed content) complained about since `open`. */
  readonly complaints: string[];
}

/** A headless Chromium with an empty profile, driven over its debugging socket. */
export async function openBrowser(): Promise<Page> {
  const profile = mkdtempSync(join(tmpdir(), 'ocg-chromium-'));
  const child = spawn(
    CHROMIUM as string,
    [
      '--headless',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-quic',
      '--no-first-run',
      '--disable-background-networking',
      '--disable-component-update',
      '--disable-sync',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: 'ignore', env: { PATH: process.env['PATH'] ?? '', HOME: profile } },
  );
  const portFile = join(profile, 'DevToolsActivePort');
  await until(() => existsSync(portFile) && readFileSync(portFile, 'utf8').includes('\n'), 30_000);
  const port = readFileSync(portFile, 'utf8').split('\n')[0];
  const targets = (await (await fetch(`http://127.0.0.1:${port}/json/list`)).json()) as { type: string; webSocketDebuggerUrl: string }[];
  const socket = new WebSocket(targets.find(({ type }) => type === 'page')?.webSocketDebuggerUrl as string, { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));

  let next = 0;
  const waiting = new Map<number, { resolve: (value: unknown) => void; reject: (error: Error) => void }>();
  const complaints: string[] = [];
  let status = 0;
  let loaded: () => void = () => {};
  socket.on('message', (data: Buffer) => {
    const message = JSON.parse(data.toString());
    if (message.id !== undefined) {
      const waiter = waiting.get(message.id);
      waiting.delete(message.id);
      if (message.error === undefined) waiter?.resolve(message.result);
      else waiter?.reject(new Error(message.error.message));
    } else if (message.method === 'Page.loadEventFired') loaded();
    else if (message.method === 'Network.responseReceived' && message.params.type === 'Document') status = message.params.response.status;
    else if (message.method === 'Log.entryAdded') complaints.push(message.params.entry.text);
    else if (message.method === 'Runtime.exceptionThrown') complaints.push(message.params.exceptionDetails.text);
    else if (message.method === 'Runtime.consoleAPICalled') complaints.push(`console.${message.params.type}`);
  });
  // biome-ignore lint/suspicious/noExplicitAny: as above
  const send = (method: string, params: object = {}): Promise<any> =>
    new Promise((resolve, reject) => {
      const id = ++next;
      waiting.set(id, { resolve, reject });
      socket.send(JSON.stringify({ id, method, params }));
    });
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await send(`${domain}.enable`);

  return {
    complaints,
    async open(url) {
      complaints.length = 0;
      const done = new Promise<void>((resolve) => {
        loaded = resolve;
      });
      await send('Page.navigate', { url });
      await done;
      return status;
    },
    async eval(expression) {
      const { result, exceptionDetails } = await send('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails !== undefined) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    async look(width, colours) {
      await send('Emulation.setDeviceMetricsOverride', { width, height: 800, deviceScaleFactor: 1, mobile: width < 600 });
      await send('Emulation.setEmulatedMedia', { features: [{ name: 'prefers-color-scheme', value: colours }] });
    },
    language: (accept) => send('Network.setExtraHTTPHeaders', { headers: { 'Accept-Language': accept } }),
    bypassPolicy: () => send('Page.setBypassCSP', { enabled: true }),
    async screenshot() {
      return Buffer.from((await send('Page.captureScreenshot', { format: 'png' })).data, 'base64');
    },
    async [Symbol.asyncDispose]() {
      socket.close();
      await end(child);
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}
