import type { Clock } from '../../lib/clock.ts';
import { BUILTIN_MODEL, BUILTIN_PROVIDER, type ModelView } from '../api.ts';
import { ENV_PROVIDERS } from '../config.ts';
import type { AgentConfig, AgentEntry, Fetch, ModelEntry, ProviderEntry, TryModel } from '../ports.ts';
import type { LocalServers } from './local-servers.ts';
import type { ConnectedModel } from './model-stream.ts';
import { sdkModel } from './sdk-model.ts';
import { tryModelConnection } from './try-model-connection.ts';

/** Provider id of the model that `openclaw models try` installs. */
export const TRY_PROVIDER = 'try';

/** What a turn will be answered by, best first. */
export type Candidates =
  | { readonly kind: 'models'; readonly models: readonly ConnectedModel[] }
  /** A model was chosen that is not there: it is said, and nobody stands in for it. */
  | { readonly kind: 'missing'; readonly ref: string; readonly reason: string; readonly fix: string }
  /** Nothing is connected. */
  | { readonly kind: 'none' };

export interface Catalog {
  /** Every model that can be talked to now, without looking. Never the guide. */
  views(): readonly ModelView[];
  /** The default of an agent, as far as it is known without looking. */
  defaultView(agent: AgentEntry): ModelView | undefined;
  find(ref: string): ModelView | undefined;
  /** Resolves a turn's models. Looks for local servers only when nothing else is named. */
  candidates(agent: AgentEntry, wanted: string | undefined): Promise<Candidates>;
}

export interface CatalogOptions {
  readonly config: () => AgentConfig;
  readonly local: LocalServers;
  readonly fetch: Fetch;
  readonly clock: Clock;
  readonly tryModel: TryModel | undefined;
}

export const GUIDE_VIEW: ModelView = {
  provider: BUILTIN_PROVIDER,
  id: BUILTIN_MODEL,
  name: 'Guide (no language model)',
  reasoning: false,
  input: ['text'],
  source: 'builtin',
};

interface Known {
  readonly view: ModelView;
  readonly connect: () => ConnectedModel;
}

/** All models by what is configured, found and installed; connections are made when first used and kept while the config stands. */
export function createCatalog(options: CatalogOptions): Catalog {
  // Connections hold only what they were made from; a new config snapshot makes new ones.
  let madeFor: AgentConfig | undefined;
  let connections = new Map<string, ConnectedModel>();
  const connected = (key: string, make: () => ConnectedModel): ConnectedModel => {
    const config = options.config();
    if (madeFor !== config || connections.size > 500) {
      madeFor = config;
      connections = new Map();
    }
    const kept = connections.get(key) ?? make();
    connections.set(key, kept);
    return kept;
  };

  const sdk = (provider: ProviderEntry, view: ModelView, tools: boolean, maxTokens?: number): ConnectedModel =>
    connected(`${provider.id}/${view.id} ${provider.baseUrl} ${view.contextWindow ?? ''} ${tools}`, () =>
      sdkModel({
        provider,
        view,
        tools,
        ...(maxTokens !== undefined && { maxTokens }),
        keyHint: keyHint(provider),
        fetch: options.fetch,
        clock: options.clock,
        timeouts: () => options.config().timeouts,
      }),
    );

  const configured = (): Known[] =>
    options.config().providers.flatMap((provider) =>
      provider.models.map((model): Known => {
        const view = viewOf(provider.id, model, provider.source);
        return { view, connect: () => sdk(provider, view, true, model.maxTokens) };
      }),
    );
  const local = (): Known[] =>
    options.local.seen().flatMap((probe) => {
      if (probe.state !== 'found') return [];
      const { server } = probe;
      // A provider of that name in the file is the owner's word on it.
      if (options.config().providers.some(({ id }) => id === server.id)) return [];
      const provider: ProviderEntry = {
        id: server.id,
        source: 'config',
        api: 'openai-completions',
        baseUrl: `${server.url}/v1`,
        headers: {},
        models: server.models,
      };
      return server.models.map((model): Known => {
        const view = viewOf(server.id, model, 'local-server');
        return { view, connect: () => sdk(provider, view, server.trusted) };
      });
    });
  const own = (): Known[] => {
    const { tryModel } = options;
    if (tryModel === undefined || !tryModel.installed()) return [];
    const view: ModelView = {
      provider: TRY_PROVIDER,
      id: tryModel.id,
      name: `${tryModel.id} (small, local)`,
      contextWindow: tryModel.contextWindow,
      reasoning: false,
      input: ['text'],
      source: 'local-child',
    };
    return [
      {
        view,
        connect: () =>
          connected(`${TRY_PROVIDER}/${tryModel.id}`, () =>
            tryModelConnection({ view, tryModel, fetch: options.fetch, clock: options.clock, timeouts: () => options.config().timeouts }),
          ),
      },
    ];
  };

  /** Undefined: every model may be chosen. What an agent is configured with always may. */
  const allowed = (): ReadonlySet<string> | undefined => {
    const { allowedModels, agents } = options.config();
    if (allowedModels.length === 0) return undefined;
    return new Set([...allowedModels, ...agents.flatMap(({ model }) => [model.primary ?? '', ...model.fallbacks]).map(expand)]);
  };

  const known = (): Known[] => {
    const all = [...configured(), ...local(), ...own()];
    const only = allowed();
    return only === undefined ? all : all.filter(({ view }) => only.has(refOf(view)));
  };

  const expand = (ref: string): string => {
    const { aliases } = options.config();
    return Object.hasOwn(aliases, ref) ? (aliases[ref] ?? ref) : ref;
  };

  /** A model by `provider/id`; a provider of the file also serves models it does not list. */
  const lookUp = (ref: string): Known | undefined => {
    const wanted = expand(ref);
    const listed = known().find(({ view }) => refOf(view) === wanted || view.id === wanted);
    if (listed !== undefined) return listed;
    const { providers } = options.config();
    if (allowed()?.has(wanted) === false) return undefined;
    const slash = wanted.indexOf('/');
    const provider = slash > 0 ? providers.find(({ id }) => id === wanted.slice(0, slash)) : undefined;
    const id = wanted.slice(slash + 1);
    if (provider === undefined || id === '' || id.length > 300) return undefined;
    const view = viewOf(provider.id, { id, name: id, reasoning: false, input: ['text'] }, provider.source);
    return { view, connect: () => sdk(provider, view, true) };
  };

  const unchosen = (): Known | undefined => known()[0];

  return {
    views: () => known().map(({ view }) => view),
    find: (ref) => lookUp(ref)?.view,
    defaultView(agent) {
      if (agent.model.primary === undefined) return unchosen()?.view;
      return lookUp(agent.model.primary)?.view ?? missingView(expand(agent.model.primary));
    },
    async candidates(agent, wanted) {
      const primary = wanted ?? agent.model.primary;
      if (primary === undefined) {
        if (unchosen() === undefined || configured().length === 0) await options.local.fresh();
        const first = unchosen();
        if (first === undefined) return { kind: 'none' };
        return { kind: 'models', models: [first, ...fallbacks(agent, refOf(first.view))].map((model) => model.connect()) };
      }
      let chosen = lookUp(primary);
      if (chosen === undefined) {
        await options.local.fresh();
        chosen = lookUp(primary);
      }
      const others = fallbacks(agent, chosen === undefined ? primary : refOf(chosen.view));
      if (chosen === undefined && others.length === 0) return missing(expand(primary));
      const models = [...(chosen === undefined ? [] : [chosen]), ...others];
      return { kind: 'models', models: models.map((model) => model.connect()) };
    },
  };

  function fallbacks(agent: AgentEntry, except: string): Known[] {
    return agent.model.fallbacks.flatMap((ref) => {
      const found = lookUp(ref);
      return found === undefined || refOf(found.view) === except ? [] : [found];
    });
  }
}

export const refOf = (view: { readonly provider: string; readonly id: string }): string => `${view.provider}/${view.id}`;

function viewOf(provider: string, model: ModelEntry, source: ModelView['source']): ModelView {
  return {
    provider,
    id: model.id,
    name: model.name,
    reasoning: model.reasoning,
    input: model.input,
    source,
    ...(model.contextWindow !== undefined && { contextWindow: model.contextWindow }),
  };
}

function missingView(ref: string): ModelView {
  const slash = ref.indexOf('/');
  const provider = slash > 0 ? ref.slice(0, slash) : 'unknown';
  const id = ref.slice(slash + 1);
  return { provider, id, name: id, reasoning: false, input: ['text'], source: 'config' };
}

function missing(ref: string): Candidates {
  const provider = ref.split('/')[0] ?? ref;
  const env = ENV_PROVIDERS.find(({ id }) => id === provider);
  if (provider === TRY_PROVIDER) {
    return { kind: 'missing', ref, reason: `${ref} is not installed`, fix: 'openclaw models try' };
  }
  return {
    kind: 'missing',
    ref,
    reason: env === undefined ? `${ref} is not among the connected models` : `${ref} is chosen, but there is no key for ${provider}`,
    fix: env === undefined ? 'Choose one of: openclaw models list' : `Set ${env.variable}, or models.providers.${provider}.apiKey`,
  };
}

function keyHint(provider: ProviderEntry): string {
  const env = ENV_PROVIDERS.find(({ id }) => id === provider.id);
  const place = `models.providers.${provider.id}.apiKey`;
  return env === undefined ? `Set ${place} to a valid key.` : `Set ${env.variable} or ${place} to a valid key.`;
}
