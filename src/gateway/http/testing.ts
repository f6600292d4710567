import { connect, type Server } from 'node:net';
import type { AbortRequest, AgentView, ModelView, RunEvent, RunEventBody, TurnRequest } from '../../agent/api.ts';
import type { Admission } from '../../auth/admit.ts';
import type { ConnectionFacts } from '../../auth/facts.ts';
import { ingressOf } from '../../auth/ingress.ts';
import { systemClock } from '../../lib/clock.ts';
import { silentLog } from '../../lib/log.ts';
import { originPolicy } from '../../net/origin-policy.ts';
import { type Scope, SECRET_SCOPES } from '../../protocol/scopes.ts';
import type { FactsPolicy, ListenerFacts } from '../facts.ts';
import { heldPorts } from '../held-bytes.ts';
import { Intake } from '../intake/intake.ts';
import type { HttpConfig, HttpPorts } from './ports.ts';
import { RequestsUnderWay } from './requests-under-way.ts';
import { httpServers } from './server.ts';

/** Hand-written ports around a real `node:http` server on a free port of 127.0.0.1, and raw sockets to it. */
export const TOKEN = 'the-secret-of-this-test-0123456789';

type Script = (request: TurnRequest, run: FakeRun) => void | Promise<void>;

export class FakeRun {
  readonly #emit: (event: RunEvent) => void;
  readonly #request: TurnRequest;
  #seq = 0;
  text = '';
  constructor(request: TurnRequest, emit: (event: RunEvent) => void) {
    this.#request = request;
    this.#emit = emit;
  }
  event(body: RunEventBody): void {
    const { runId, sessionKey, origin } = this.#request;
    this.#emit({ runId, sessionKey, sessionId: 's', agentId: 'main', origin, seq: ++this.#seq, ts: this.#seq, ...body });
  }
  say(delta: string): void {
    this.text += delta;
    this.event({ type: 'text', delta, text: this.text, itemId: 'i:1' });
  }
  replace(): void {
    this.text = '';
    this.event({ type: 'replace', itemId: 'i:1' });
  }
  ok(stopReason = 'stop'): void {
    const usage = { input: 10, output: 4, cacheRead: 6, cacheWrite: 0, total: 20 };
    this.event({
      type: 'end',
      outcome: 'ok',
      startedAt: 1,
      endedAt: 2,
      text: this.text,
      stopReason,
      usage,
      provider: 'stub',
      model: 'm',
      toolNames: [],
    });
  }
}

export class FakeAgent {
  readonly sent: TurnRequest[] = [];
  readonly aborted: AbortRequest[] = [];
  readonly #listeners = new Set<(event: RunEvent) => void>();
  script: Script = (_request, run) => {
    run.say('hello');
    run.ok();
  };
  views: AgentView[] = [
    { id: 'main', name: 'Claw', emoji: '🦞', workspace: '/w', isDefault: true },
    { id: 'helper', name: 'Helper', workspace: '/w', isDefault: false },
  ];
  onAbort: (request: AbortRequest) => void = () => {};

  agents = (): readonly AgentView[] => this.views;
  models = (): readonly ModelView[] => [{ provider: 'stub', id: 'm', name: 'M', reasoning: false, input: ['text'], source: 'config' }];
  onRunEvent = (listener: (event: RunEvent) => void): (() => void) => {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  };
  send = async (request: TurnRequest) => {
    this.sent.push(request);
    const run = new FakeRun(request, (event) => {
      for (const listener of this.#listeners) listener(event);
    });
    queueMicrotask(() => void this.script(request, run));
    return { status: 'started', runId: request.runId } as const;
  };
  abort = async (request: AbortRequest) => {
    this.aborted.push(request);
    this.onAbort(request);
    return { ok: true, runIds: request.runId === undefined ? [] : [request.runId] } as const;
  };
}

export const HTTP_CONFIG: HttpConfig = {
  basePath: '',
  chatCompletions: { enabled: true, maxBodyBytes: 20 * 1024 * 1024, maxImageParts: 8, maxTotalImageBytes: 20 * 1024 * 1024 },
};

export interface HttpFixture extends AsyncDisposable {
  readonly port: number;
  readonly url: string;
  readonly server: Server;
  readonly agent: FakeAgent;
  /** Facts of every request that reached the door, in order. */
  readonly facts: ConnectionFacts[];
  /** Sends the bytes, resolves with all that came back once the server closed or `until` matched. */
  raw(text: string | Buffer, until?: RegExp): Promise<string>;
  upgrades: number;
}

export interface HttpFixtureOptions {
  readonly config?: Partial<HttpConfig>;
  readonly policy?: Partial<FactsPolicy>;
  readonly ports?: Partial<HttpPorts>;
  readonly listener?: ListenerFacts;
  readonly scopes?: readonly Scope[];
}

export async function startHttp(options: HttpFixtureOptions = {}): Promise<HttpFixture> {
  const agent = new FakeAgent();
  const facts: ConnectionFacts[] = [];
  const principal = {
    id: 'secret:test',
    kind: 'secret',
    role: 'operator',
    scopes: options.scopes ?? SECRET_SCOPES,
    credential: { class: 'shared-secret', generation: 1 },
    ingress: 'local',
    label: 'HTTP',
  } as const;
  const fixture = { upgrades: 0 };
  const ports: HttpPorts = {
    clock: systemClock,
    intake: new Intake(systemClock),
    log: silentLog,
    async admitHttp(connection, bearer): Promise<Admission> {
      facts.push(connection);
      const via = ingressOf(connection);
      if (bearer === TOKEN) {
        return {
          ok: true,
          principal,
          via,
          method: 'token',
          announced: [],
          handout: undefined,
          furtherHandouts: [],
          upgradeRequestId: undefined,
          warnings: [],
        };
      }
      const code = bearer === undefined ? 'AUTH_TOKEN_MISSING' : 'AUTH_TOKEN_MISMATCH';
      const close = { code: 1008, reason: 'unauthorized' } as const;
      return {
        ok: false,
        via,
        error: { code: 'INVALID_REQUEST', message: 'unauthorized', details: { code } },
        close,
        http: { status: 401 },
      };
    },
    stillStands: () => true,
    takeWrite: () => 0,
    underWay: new RequestsUnderWay(),
    held: heldPorts(systemClock),
    agent,
    readiness: { started: true, view: async () => ({ ready: true, failing: [], checkedAt: 1 }) },
    config: () => ({ ...HTTP_CONFIG, ...options.config }),
    policy: () => ({ origins: originPolicy({}), trustedProxies: [], ...options.policy }),
    peers: { read: async () => ({ kind: 'uid', uid: 1000 }), ownUid: 1000 },
    version: '1.2.3',
    buildId: 'b',
    uptimeMs: () => 7,
    onUpgrade(_request, socket) {
      fixture.upgrades++;
      socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\n');
    },
    ...options.ports,
  };
  const server = httpServers(ports)(options.listener ?? { kind: 'tcp', tls: false });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = address !== null && typeof address === 'object' ? address.port : 0;
  return Object.assign(fixture, {
    port,
    url: `http://127.0.0.1:${port}`,
    server,
    agent,
    facts,
    raw: (text: string | Buffer, until?: RegExp) => rawExchange(port, text, until),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  });
}

function rawExchange(port: number, text: string | Buffer, until: RegExp | undefined): Promise<string> {
  return new Promise((resolve) => {
    let received = '';
    const socket = connect(port, '127.0.0.1', () => socket.write(text));
    const finish = (): void => {
      socket.destroy();
      resolve(received);
    };
    socket.on('data', (chunk: Buffer) => {
      received += chunk.toString('latin1');
      if (until?.test(received)) finish();
    });
    socket.on('close', finish);
    socket.on('error', () => {});
  });
}

/** `GET <path>` as raw text, closing afterwards; `headers` as lines. */
export const get = (path: string, port: number, ...headers: readonly string[]): string =>
  [
    `GET ${path} HTTP/1.1`,
    ...(headers.some((h) => /^host:/i.test(h)) ? [] : [`Host: 127.0.0.1:${port}`]),
    'Connection: close',
    ...headers,
    '',
    '',
  ].join('\r\n');
