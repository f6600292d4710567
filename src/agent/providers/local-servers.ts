import type { Clock } from '../../lib/clock.ts';
import { isRecord } from '../../lib/json.ts';
import { portHolder } from '../../net/port-holder.ts';
import type { Fetch, LocalServerSpec, ModelEntry } from '../ports.ts';

/** A model server that answered on this machine. */
export interface LocalServer {
  readonly kind: LocalServerSpec['kind'];
  readonly url: string;
  /** Provider id under which its models appear. */
  readonly id: string;
  readonly models: readonly ModelEntry[];
  /** Its listener belongs to this user, root or a system account. Only such a server is offered tools. */
  readonly trusted: boolean;
}
/** What looking found at one address. */
export type Probe =
  | { readonly spec: LocalServerSpec; readonly state: 'found'; readonly server: LocalServer }
  /** Answers, but not as such a server does. */
  | { readonly spec: LocalServerSpec; readonly state: 'other' }
  | { readonly spec: LocalServerSpec; readonly state: 'nothing' }
  /** Answers like one, but its listener belongs to another ordinary user of this machine. */
  | { readonly spec: LocalServerSpec; readonly state: 'foreign'; readonly uid: number };

export interface LocalServers {
  /** The last look, without one. */
  seen(): readonly Probe[];
  /** A look that is at most `FRESH_MS` old; looks now when there is none. Bounded by `PROBE_MS` per request. Never rejects. */
  fresh(): Promise<readonly Probe[]>;
  /** Looks now. */
  look(): Promise<readonly Probe[]>;
}

/** Deadline of one request (ms), and how long a look counts (ms): the shorter when nothing was found. */
export const PROBE_MS = 500;
export const FRESH_MS = 60_000;
export const FRESH_EMPTY_MS = 30_000;
const MAX_BODY = 1024 * 1024;
const MAX_MODELS = 200;
/** Accounts below this are the system's: services run under them, people do not. */
const FIRST_PERSON_UID = 1000;
/** What Ollama gives a conversation unless it was told otherwise; a longer prompt it cuts without a word. */
const OLLAMA_CONTEXT = 4096;

export interface LocalServersOptions {
  readonly specs: () => readonly LocalServerSpec[];
  readonly fetch: Fetch;
  readonly clock: Clock;
  /** uid of the listener, where it can be told. */
  readonly listenerUid?: (url: URL) => Promise<number | undefined>;
}

/**
 * Finds Ollama, LM Studio and llama.cpp on this machine, without a key and without following redirects. Anything else on
 * those ports (8080 is everybody's) is not taken for one: the answer must have the shape of that very server.
 */
export function createLocalServers(options: LocalServersOptions): LocalServers {
  let probes: readonly Probe[] = [];
  let lookedAt: number | undefined;
  let looking: Promise<readonly Probe[]> | undefined;
  const listenerUid = options.listenerUid ?? uidOfListener;

  const look = (): Promise<readonly Probe[]> => {
    looking ??= Promise.all(options.specs().map((spec) => probe(spec, options, listenerUid))).then((found) => {
      probes = found;
      lookedAt = options.clock.monotonic();
      looking = undefined;
      return found;
    });
    return looking;
  };
  return {
    seen: () => probes,
    look,
    fresh() {
      const age = lookedAt === undefined ? undefined : options.clock.monotonic() - lookedAt;
      const limit = probes.some(({ state }) => state === 'found') ? FRESH_MS : FRESH_EMPTY_MS;
      return age !== undefined && age < limit ? Promise.resolve(probes) : look();
    },
  };
}

async function uidOfListener(url: URL): Promise<number | undefined> {
  return (await portHolder(url.hostname, Number(url.port)))?.uid;
}

async function probe(
  spec: LocalServerSpec,
  { fetch, clock }: LocalServersOptions,
  listenerUid: (url: URL) => Promise<number | undefined>,
): Promise<Probe> {
  try {
    const get = (path: string): Promise<Answer> => getJson(fetch, clock, `${spec.url}${path}`);
    const models = await READERS[spec.kind](get);
    if (models === 'nothing') return { spec, state: 'nothing' };
    if (models === 'other') return { spec, state: 'other' };
    const uid = await listenerUid(new URL(spec.url));
    const own = process.getuid?.();
    if (uid !== undefined && uid >= FIRST_PERSON_UID && uid !== own) return { spec, state: 'foreign', uid };
    return {
      spec,
      state: 'found',
      server: { kind: spec.kind, url: spec.url, id: spec.kind, models: models.slice(0, MAX_MODELS), trusted: uid !== undefined },
    };
  } catch {
    return { spec, state: 'nothing' };
  }
}

type Answer = { readonly state: 'json'; readonly body: unknown } | { readonly state: 'other' } | { readonly state: 'nothing' };
type Get = (path: string) => Promise<Answer>;
type Found = readonly ModelEntry[] | 'other' | 'nothing';

async function getJson(fetch: Fetch, clock: Clock, url: string): Promise<Answer> {
  const controller = new AbortController();
  const cancel = clock.after(PROBE_MS, () => controller.abort());
  try {
    const response = await fetch(url, { redirect: 'manual', signal: controller.signal, headers: { accept: 'application/json' } });
    if (response.status !== 200) {
      await response.body?.cancel();
      return { state: 'other' };
    }
    return { state: 'json', body: JSON.parse(await boundedText(response)) };
  } catch (thrown) {
    return { state: thrown instanceof SyntaxError || thrown instanceof RangeError ? 'other' : 'nothing' };
  } finally {
    cancel();
    controller.abort();
  }
}

async function boundedText(response: Response): Promise<string> {
  if (response.body === null) return '';
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of response.body) {
    size += chunk.byteLength;
    if (size > MAX_BODY) throw new RangeError('too large');
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString('utf8');
}

const READERS: Readonly<Record<LocalServerSpec['kind'], (get: Get) => Promise<Found>>> = {
  async ollama(get) {
    const tags = await get('/api/tags');
    if (tags.state !== 'json') return tags.state;
    if (!isRecord(tags.body) || !Array.isArray(tags.body['models'])) return 'other';
    const loaded = await get('/api/ps');
    const windows = new Map<string, number>();
    if (loaded.state === 'json' && isRecord(loaded.body) && Array.isArray(loaded.body['models'])) {
      for (const entry of loaded.body['models']) {
        const window = isRecord(entry) ? positive(entry['context_length']) : undefined;
        if (isRecord(entry) && window !== undefined) windows.set(String(entry['name']), window);
      }
    }
    return tags.body['models'].flatMap((entry): ModelEntry[] => {
      const name = isRecord(entry) ? idOf(entry['name']) : undefined;
      const family = isRecord(entry) && isRecord(entry['details']) ? String(entry['details']['family']) : '';
      if (name === undefined || isEmbedding(name) || family.includes('bert')) return [];
      return [{ id: name, name, reasoning: false, input: ['text'], contextWindow: windows.get(name) ?? OLLAMA_CONTEXT }];
    });
  },
  async lmstudio(get) {
    // Its own route tells it from any other server that speaks /v1.
    const listed = await get('/api/v0/models');
    if (listed.state !== 'json') return listed.state;
    if (!isRecord(listed.body) || !Array.isArray(listed.body['data'])) return 'other';
    return listed.body['data'].flatMap((entry): ModelEntry[] => {
      const id = isRecord(entry) ? idOf(entry['id']) : undefined;
      if (!isRecord(entry) || id === undefined || entry['type'] === 'embeddings' || isEmbedding(id)) return [];
      const window = positive(entry['loaded_context_length']) ?? positive(entry['max_context_length']);
      return [
        {
          id,
          name: id,
          reasoning: false,
          input: entry['type'] === 'vlm' ? ['text', 'image'] : ['text'],
          ...(window !== undefined && { contextWindow: window }),
        },
      ];
    });
  },
  async llamacpp(get) {
    const [listed, props] = await Promise.all([get('/v1/models'), get('/props')]);
    if (listed.state !== 'json') return listed.state;
    if (props.state !== 'json') return 'other';
    const settings = isRecord(props.body) ? props.body['default_generation_settings'] : undefined;
    if (!isRecord(settings) || !isRecord(listed.body) || !Array.isArray(listed.body['data'])) return 'other';
    // Per slot: what one conversation has, not what the server was started with.
    const window = positive(settings['n_ctx']);
    if (window === undefined) return 'other';
    return listed.body['data'].flatMap((entry): ModelEntry[] => {
      const id = isRecord(entry) ? idOf(entry['id']) : undefined;
      return id === undefined || isEmbedding(id)
        ? []
        : [{ id, name: id.split('/').at(-1) ?? id, reasoning: false, input: ['text'], contextWindow: window }];
    });
  },
};

const idOf = (value: unknown): string | undefined =>
  typeof value === 'string' && value.length > 0 && value.length <= 300 && !/[\p{C}]/u.test(value) ? value : undefined;
const positive = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isInteger(value) && value > 0 ? value : undefined;
const isEmbedding = (name: string): boolean => /embed|rerank/i.test(name);
