import { createHash, createPrivateKey, createPublicKey } from 'node:crypto';
import { request } from 'node:http';
import { createInterface } from 'node:readline';
import { type ConnectOptions, connectParams, type Frame, RawClient, type TestDevice } from './wire.ts';

// A client in a process of its own, so that it can stand in another network namespace or belong to another user:
// one job a line on stdin, one answer a line on stdout. See `knocker.ts`.

export interface Knock {
  readonly url: string;
  readonly connect: Omit<ConnectOptions, 'device' | 'origin' | 'headers'> & {
    /** PKCS 8, PEM. */
    readonly deviceKey?: string;
    readonly origin?: string;
    readonly headers?: Readonly<Record<string, string>>;
  };
  /** Called one after the other once connected. */
  readonly calls?: readonly { readonly method: string; readonly params?: unknown }[];
}
export interface HttpKnock {
  readonly http: {
    readonly port: number;
    readonly host: string;
    readonly path: string;
    readonly method?: string;
    readonly headers?: Readonly<Record<string, string>>;
    readonly body?: string;
    readonly localAddress?: string;
  };
}
export interface Knocked {
  readonly ok: boolean;
  readonly error?: Frame;
  readonly closed?: { readonly code: number; readonly reason: string };
  readonly hello?: Frame;
  /** `ok` or the message of the refusal, by method. */
  readonly answers: Readonly<Record<string, string>>;
}
export interface HttpKnocked {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly body: string;
}

/** The device of a private key. */
function deviceOf(pem: string): TestDevice {
  const privateKey = createPrivateKey(pem);
  const raw = createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32);
  return { id: createHash('sha256').update(raw).digest('hex'), publicKey: raw.toString('base64url'), privateKey };
}

async function knock(job: Knock): Promise<Knocked> {
  const { deviceKey, ...options } = job.connect;
  const device = deviceKey === undefined ? undefined : deviceOf(deviceKey);
  const full: ConnectOptions = { ...options, ...(device === undefined ? {} : { device }) };
  await using client = new RawClient(job.url, full);
  const challenge = await client.event('connect.challenge');
  const res = await client.request('connect', connectParams(challenge, full));
  if (!res.ok) return { ok: false, error: res.error, closed: await client.closing(), answers: {} };
  const answers: Record<string, string> = {};
  for (const { method, params } of job.calls ?? []) {
    const answer = await client.request(method, params);
    answers[method] = answer.ok ? 'ok' : answer.error.message;
  }
  return { ok: true, hello: res.payload, answers };
}

const knockHttp = ({ http }: HttpKnock): Promise<HttpKnocked> =>
  new Promise((resolve, reject) => {
    const sent = request({
      host: http.host,
      port: http.port,
      path: http.path,
      method: http.method ?? 'GET',
      headers: { ...http.headers },
      agent: false,
      ...(http.localAddress === undefined ? {} : { localAddress: http.localAddress }),
    });
    sent.on('error', reject);
    sent.on('response', (response) => {
      let body = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        body += chunk;
      });
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
    });
    sent.end(http.body);
  });

for await (const line of createInterface({ input: process.stdin })) {
  const job = JSON.parse(line) as Knock | HttpKnock;
  const answer = await ('http' in job ? knockHttp(job) : knock(job)).catch((thrown: unknown) => ({ threw: String(thrown) }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
