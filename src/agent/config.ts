import { withoutTail } from '../lib/without-tail.ts';
import type { AgentConfig, AgentEntry, LocalServerSpec, ModelChoice, ModelEntry, ProviderApi, ProviderEntry, ToolPolicy } from './ports.ts';

/** The parts of the configuration file that concern the agent, in the file's own shape (a subset, all optional). */
export interface AgentFileConfig {
  readonly models?: {
    readonly providers?: Readonly<
      Record<
        string,
        {
          readonly baseUrl?: string | undefined;
          readonly apiKey?: string | undefined;
          readonly api?: string | undefined;
          readonly headers?: Readonly<Record<string, string>> | undefined;
          readonly models?: readonly {
            readonly id?: string | undefined;
            readonly name?: string | undefined;
            readonly reasoning?: boolean | undefined;
            readonly input?: readonly string[] | undefined;
            readonly contextWindow?: number | undefined;
            readonly maxTokens?: number | undefined;
          }[];
        }
      >
    >;
  };
  readonly agents?: {
    readonly defaults?: {
      readonly workspace?: string | undefined;
      readonly model?: FileModelChoice | undefined;
      readonly models?: Readonly<Record<string, { readonly alias?: string | undefined }>> | undefined;
      readonly maxConcurrent?: number | undefined;
      readonly timeoutSeconds?: number | undefined;
    };
    readonly list?: readonly {
      readonly id?: string | undefined;
      readonly default?: boolean | undefined;
      readonly name?: string | undefined;
      readonly workspace?: string | undefined;
      readonly model?: FileModelChoice | undefined;
      readonly identity?:
        | {
            readonly name?: string | undefined;
            readonly emoji?: string | undefined;
            readonly avatar?: string | undefined;
          }
        | undefined;
      readonly tools?: FileToolPolicy | undefined;
    }[];
  };
  readonly tools?: FileToolPolicy | undefined;
  readonly messages?: { readonly queue?: { readonly cap?: number | undefined } };
  /** Of `gateway.http.endpoints.chatCompletions`. */
  readonly keepSessionsHours?: number | undefined;
  readonly ui?: { readonly assistant?: { readonly name?: string | undefined; readonly avatar?: string | undefined } };
}
type FileModelChoice = string | { readonly primary?: string | undefined; readonly fallbacks?: readonly string[] | undefined };
interface FileToolPolicy {
  readonly profile?: ToolPolicy['profile'] | undefined;
  readonly allow?: readonly string[] | undefined;
  readonly alsoAllow?: readonly string[] | undefined;
  readonly deny?: readonly string[] | undefined;
}

export interface AgentConfigContext {
  /** Makes a path of the file absolute (`~`, relative). */
  readonly resolvePath: (path: string) => string;
  /** Default workspace: `<state>/workspace`. */
  readonly workspace: string;
  /** What tools never reach, whatever the workspace is: the state dir, what holds secrets inside it, the config file. Absolute. */
  readonly protectedPaths: readonly string[];
  /** Provider keys of the environment, by variable name. */
  readonly envKeys: Readonly<Record<string, string | undefined>>;
  /** Replaces the servers that are looked for on this machine; `[]` looks for none. */
  readonly localServers?: readonly LocalServerSpec[];
}

/** Where people's own model servers listen, in order of preference. */
export const LOCAL_SERVERS: readonly LocalServerSpec[] = [
  { kind: 'ollama', url: 'http://127.0.0.1:11434' },
  { kind: 'lmstudio', url: 'http://127.0.0.1:1234' },
  { kind: 'llamacpp', url: 'http://127.0.0.1:8080' },
];

const cloudModel = (id: string, contextWindow: number): ModelEntry => ({
  id,
  name: id,
  reasoning: true,
  input: ['text', 'image'],
  contextWindow,
});

/** Providers that a key in the environment is enough for. The first model is the default one. */
export const ENV_PROVIDERS: readonly {
  readonly id: string;
  readonly variable: string;
  readonly api: ProviderApi;
  readonly baseUrl: string;
  readonly models: readonly ModelEntry[];
}[] = [
  {
    id: 'anthropic',
    variable: 'ANTHROPIC_API_KEY',
    api: 'anthropic-messages',
    baseUrl: 'https://api.anthropic.com/v1',
    models: [cloudModel('claude-opus-4-6', 200_000), cloudModel('claude-sonnet-4-6', 200_000), cloudModel('claude-haiku-4-5', 200_000)],
  },
  {
    id: 'openai',
    variable: 'OPENAI_API_KEY',
    api: 'openai-responses',
    baseUrl: 'https://api.openai.com/v1',
    models: [cloudModel('gpt-5.4', 400_000), cloudModel('gpt-5.4-mini', 400_000)],
  },
  {
    id: 'google',
    variable: 'GEMINI_API_KEY',
    api: 'openai-completions',
    baseUrl: 'https://generativelanguage.googleapis.com/v1beta/openai',
    models: [cloudModel('gemini-2.5-pro', 1_000_000), cloudModel('gemini-2.5-flash', 1_000_000)],
  },
  {
    id: 'openrouter',
    variable: 'OPENROUTER_API_KEY',
    api: 'openai-completions',
    baseUrl: 'https://openrouter.ai/api/v1',
    models: [cloudModel('openrouter/auto', 128_000)],
  },
];
/** The variables in which a provider key is looked for. */
export const KEY_VARIABLES: readonly string[] = ENV_PROVIDERS.map(({ variable }) => variable);

const DEFAULT_CONCURRENT = 4;
const DEFAULT_QUEUE_CAP = 20;
const DEFAULT_RUN_SECONDS = 600;
const DEFAULT_KEEP_HOURS = 24;
const APIS: Readonly<Record<string, ProviderApi>> = {
  'openai-completions': 'openai-completions',
  'openai-responses': 'openai-responses',
  'anthropic-messages': 'anthropic-messages',
  // Ollama speaks the OpenAI API under /v1 as well.
  ollama: 'openai-completions',
};

/** The agent's slice, made complete: defaults filled in, keys of the environment turned into providers. Pure. */
export function agentConfig(file: AgentFileConfig, context: AgentConfigContext): AgentConfig {
  const defaults = file.agents?.defaults ?? {};
  const list = (file.agents?.list ?? []).filter((entry) => entry.id !== undefined && entry.id !== '');
  const entries = list.length > 0 ? list : [{ id: 'main' }];
  const policy = toolPolicy(file.tools);
  const agents = entries.map((entry): AgentEntry => {
    const id = (entry.id ?? 'main').toLowerCase();
    const identity = 'identity' in entry ? entry.identity : undefined;
    const name =
      identity?.name ?? ('name' in entry ? entry.name : undefined) ?? file.ui?.assistant?.name ?? (id === 'main' ? 'OpenClaw' : id);
    const avatar = identity?.avatar ?? file.ui?.assistant?.avatar;
    const own = 'workspace' in entry ? entry.workspace : undefined;
    const shared = defaults.workspace === undefined ? context.workspace : context.resolvePath(defaults.workspace);
    return {
      id,
      name,
      ...(identity?.emoji !== undefined && { emoji: identity.emoji }),
      ...(avatar !== undefined && { avatar }),
      workspace: own !== undefined ? context.resolvePath(own) : id === 'main' ? shared : `${shared}-${id}`,
      protectedPaths: context.protectedPaths,
      model: modelChoice(('model' in entry ? entry.model : undefined) ?? defaults.model),
      tools: 'tools' in entry && entry.tools !== undefined ? merged(policy, toolPolicy(entry.tools)) : policy,
    };
  });
  const chosen = list.find((entry) => entry.default === true)?.id?.toLowerCase();
  return {
    defaultAgentId: chosen ?? agents[0]?.id ?? 'main',
    agents,
    providers: providers(file, context),
    keyNames: KEY_VARIABLES.filter((name) => (context.envKeys[name] ?? '') !== ''),
    allowedModels: Object.keys(defaults.models ?? {}),
    aliases: Object.fromEntries(Object.entries(defaults.models ?? {}).flatMap(([ref, { alias }]) => (alias ? [[alias, ref]] : []))),
    localServers: context.localServers ?? LOCAL_SERVERS,
    limits: {
      maxConcurrent: defaults.maxConcurrent ?? DEFAULT_CONCURRENT,
      queueCap: file.messages?.queue?.cap ?? DEFAULT_QUEUE_CAP,
      maxSteps: 25,
      keepUnnamedMs: (file.keepSessionsHours ?? DEFAULT_KEEP_HOURS) * 3_600_000,
    },
    timeouts: { run: (defaults.timeoutSeconds ?? DEFAULT_RUN_SECONDS) * 1000, firstPart: 300_000, idle: 120_000 },
  };
}

function providers(file: AgentFileConfig, context: AgentConfigContext): readonly ProviderEntry[] {
  const found: ProviderEntry[] = [];
  for (const [id, entry] of Object.entries(file.models?.providers ?? {})) {
    const known = ENV_PROVIDERS.find((candidate) => candidate.id === id);
    const envKey = known && context.envKeys[known.variable];
    const named = entry.api ?? known?.api ?? 'openai-completions';
    const baseUrl = entry.baseUrl ?? known?.baseUrl;
    if (baseUrl === undefined) continue;
    // A key of the environment belongs to its provider's own host, not to wherever a file points that name.
    const apiKey = entry.apiKey ?? (known && sameOrigin(baseUrl, known.baseUrl) ? envKey : undefined);
    const models = (entry.models ?? []).flatMap((model): ModelEntry[] =>
      model.id === undefined
        ? []
        : [
            {
              id: model.id,
              name: model.name ?? model.id,
              reasoning: model.reasoning ?? false,
              input: model.input?.includes('image') ? ['text', 'image'] : ['text'],
              ...(model.contextWindow !== undefined && { contextWindow: model.contextWindow }),
              ...(model.maxTokens !== undefined && { maxTokens: model.maxTokens }),
            },
          ],
    );
    found.push({
      id,
      source: 'config',
      api: Object.hasOwn(APIS, named) ? (APIS[named] ?? { unsupported: named }) : { unsupported: named },
      baseUrl: named === 'ollama' && !/\/v1\/?$/.test(baseUrl) ? `${withoutTail(baseUrl, '/')}/v1` : baseUrl,
      ...(apiKey !== undefined && apiKey !== '' && { apiKey }),
      headers: entry.headers ?? {},
      models: models.length > 0 ? models : (known?.models ?? []),
    });
  }
  for (const known of ENV_PROVIDERS) {
    const apiKey = context.envKeys[known.variable];
    if (!apiKey || found.some(({ id }) => id === known.id)) continue;
    found.push({ id: known.id, source: 'env', api: known.api, baseUrl: known.baseUrl, apiKey, headers: {}, models: known.models });
  }
  return found;
}

function sameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}

function modelChoice(choice: FileModelChoice | undefined): ModelChoice {
  if (choice === undefined) return { fallbacks: [] };
  if (typeof choice === 'string') return { primary: choice, fallbacks: [] };
  return { ...(choice.primary !== undefined && { primary: choice.primary }), fallbacks: choice.fallbacks ?? [] };
}

const toolPolicy = (file: FileToolPolicy | undefined): ToolPolicy => ({
  ...(file?.profile !== undefined && { profile: file.profile }),
  ...(file?.allow !== undefined && { allow: file.allow }),
  ...(file?.alsoAllow !== undefined && { alsoAllow: file.alsoAllow }),
  deny: file?.deny ?? [],
});

// An agent's own policy narrows or widens the profile, but what is denied for all stays denied.
const merged = (all: ToolPolicy, own: ToolPolicy): ToolPolicy => ({ ...all, ...own, deny: [...all.deny, ...own.deny] });
