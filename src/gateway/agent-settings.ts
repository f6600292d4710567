import { join } from 'node:path';
import { type AgentFileConfig, agentConfig, KEY_VARIABLES } from '../agent/config.ts';
import type { AgentConfig } from '../agent/ports.ts';
import { agentList } from '../config/agent-list.ts';
import { secretContext } from '../config/credential-inputs.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import { defaultWorkspace } from '../config/load.ts';
import { configuredPath } from '../config/local-path.ts';
import { resolveSecret } from '../config/secrets.ts';
import type { SecretInput } from '../config/spec.ts';

export interface AgentSettings {
  readonly config: AgentConfig;
  /** Keys that were named and could not be had; their providers stand there without one. */
  readonly warnings: readonly string[];
  /** Provider keys in force, for the redaction of logs. */
  readonly secrets: readonly string[];
}

/** The agent's slice of a snapshot, its secret references followed. A key that cannot be resolved costs its provider, never the start. */
export async function agentSettings(snapshot: ConfigSnapshot): Promise<AgentSettings> {
  const { config, paths, env } = snapshot;
  const warnings: string[] = [];
  const secrets: string[] = [];
  const context = secretContext(snapshot);
  const plain = async (input: SecretInput | undefined, field: string): Promise<string | undefined> => {
    const found = await resolveSecret(input, field, context);
    if (found.state === 'unresolved') warnings.push(`${found.path}: ${found.reason}`);
    if (found.state !== 'value') return undefined;
    secrets.push(found.value);
    return found.value;
  };
  const providers: Record<string, NonNullable<NonNullable<AgentFileConfig['models']>['providers']>[string]> = {};
  for (const [id, provider] of Object.entries(config.models.providers)) {
    const at = `models.providers.${id}`;
    const headers: Record<string, string> = {};
    for (const [name, value] of Object.entries(provider.headers)) {
      const text = await plain(value, `${at}.headers.${name}`);
      if (text !== undefined) headers[name] = text;
    }
    const apiKey = await plain(provider.apiKey, `${at}.apiKey`);
    providers[id] = { baseUrl: provider.baseUrl, apiKey, api: provider.api, headers, models: provider.models };
  }
  const envKeys: Record<string, string | undefined> = {};
  for (const name of KEY_VARIABLES) {
    const value = env[name]?.trim();
    if (value === undefined || value === '') continue;
    envKeys[name] = value;
    secrets.push(value);
  }
  const file: AgentFileConfig = {
    models: { providers },
    agents: { defaults: config.agents.defaults, list: agentList(config.agents) },
    tools: config.tools,
    messages: { queue: { cap: config.messages.queue.cap } },
    keepSessionsHours: config.gateway.http.endpoints.chatCompletions.keepSessionsHours,
    ui: { assistant: { name: config.ui.assistant.name, avatar: config.ui.assistant.avatar } },
  };
  return {
    config: agentConfig(file, {
      resolvePath: (path) => configuredPath(path, paths),
      workspace: defaultWorkspace(snapshot),
      // The last ones belong to an earlier installation in the same state dir.
      protectedPaths: [
        paths.stateDir,
        paths.gatewayDir,
        paths.configPath,
        ...snapshot.files,
        ...['credentials', 'identity', 'devices'].map((name) => join(paths.stateDir, name)),
      ],
      envKeys,
    }),
    warnings,
    secrets,
  };
}
