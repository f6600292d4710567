import { describe, expect, test } from 'vitest';
import { type AgentFileConfig, agentConfig } from './config.ts';

const make = (file: AgentFileConfig, envKeys: Record<string, string> = {}) =>
  agentConfig(file, { resolvePath: (p) => `/abs/${p}`, workspace: '/state/workspace', protectedPaths: ['/state'], envKeys });

describe("the agent's slice", () => {
  test('AG-64 nothing configured: one agent, four at a time, ten minutes, the usual servers', () => {
    expect(make({})).toMatchObject({
      defaultAgentId: 'main',
      agents: [{ id: 'main', name: 'OpenClaw', workspace: '/state/workspace', model: { fallbacks: [] }, tools: { deny: [] } }],
      providers: [],
      limits: { maxConcurrent: 4, queueCap: 20, maxSteps: 25, keepUnnamedMs: 86_400_000 },
      timeouts: { run: 600_000 },
      localServers: [{ url: 'http://127.0.0.1:11434' }, { url: 'http://127.0.0.1:1234' }, { url: 'http://127.0.0.1:8080' }],
    });
  });

  test('AG-63 a key in the environment is a provider, at its own host', () => {
    const { providers, keyNames } = make({}, { OPENAI_API_KEY: 'k', ANTHROPIC_API_KEY: '' });
    expect(keyNames).toEqual(['OPENAI_API_KEY']);
    expect(providers).toMatchObject([
      { id: 'openai', source: 'env', api: 'openai-responses', baseUrl: 'https://api.openai.com/v1', apiKey: 'k' },
    ]);
  });

  test('AG-63 a key of the environment never goes where a file points its provider', () => {
    const file = (baseUrl: string): AgentFileConfig => ({ models: { providers: { openai: { baseUrl } } } });
    expect(make(file('https://evil.example/v1'), { OPENAI_API_KEY: 'k' }).providers).toMatchObject([{ id: 'openai', source: 'config' }]);
    expect(make(file('https://evil.example/v1'), { OPENAI_API_KEY: 'k' }).providers[0]?.apiKey).toBeUndefined();
    expect(make(file('https://api.openai.com/v1'), { OPENAI_API_KEY: 'k' }).providers[0]?.apiKey).toBe('k');
  });

  test('AG-64 agents of the file: names, workspaces, models; what is denied for all stays denied', () => {
    const config = make({
      agents: {
        defaults: { workspace: 'ws', model: 'a/b', maxConcurrent: 2, timeoutSeconds: 5, models: { 'a/b': { alias: 'quick' } } },
        list: [
          { id: 'Main' },
          {
            id: 'work',
            default: true,
            identity: { name: 'Worker', emoji: '🦞' },
            model: { primary: 'c/d', fallbacks: ['a/b'] },
            tools: { allow: ['read'], deny: ['edit'] },
          },
        ],
      },
      tools: { deny: ['write'] },
    });
    expect(config).toMatchObject({
      defaultAgentId: 'work',
      agents: [
        { id: 'main', workspace: '/abs/ws', model: { primary: 'a/b', fallbacks: [] } },
        {
          id: 'work',
          name: 'Worker',
          emoji: '🦞',
          workspace: '/abs/ws-work',
          model: { primary: 'c/d', fallbacks: ['a/b'] },
          tools: { allow: ['read'], deny: ['write', 'edit'] },
        },
      ],
      allowedModels: ['a/b'],
      aliases: { quick: 'a/b' },
      limits: { maxConcurrent: 2 },
      timeouts: { run: 5_000 },
    });
  });

  test('AG-64 an API that is not spoken here is kept and named when it is used; ollama speaks /v1', () => {
    const { providers } = make({
      models: {
        providers: {
          g: { baseUrl: 'https://x', api: 'bedrock-converse-stream' },
          o: { baseUrl: 'http://box:11434/', api: 'ollama' },
          p: { api: '__proto__', baseUrl: 'https://y' },
        },
      },
    });
    expect(providers).toMatchObject([
      { api: { unsupported: 'bedrock-converse-stream' } },
      { api: 'openai-completions', baseUrl: 'http://box:11434/v1' },
      { api: { unsupported: '__proto__' } },
    ]);
  });
});
