/** Where a conversation lives: `agent:<agentId>:<rest>`. The one place that knows the short forms. */
const AGENT_ID = /^[a-z0-9][a-z0-9_-]{0,63}$/;
const REST = /^[^\u0000-\u001f\u007f]{1,440}$/u;

export const DEFAULT_AGENT = 'main';
export const MAIN_KEY = 'main';
export const mainSessionKey = (agentId: string = DEFAULT_AGENT): string => `agent:${agentId}:${MAIN_KEY}`;

/** The canonical form of what a client sent, or undefined where it is none. `main` and `agent:main` are short for the default agent's main session; any other bare word is a session of the default agent. */
export function canonicalSessionKey(key: string, defaultAgent: string = DEFAULT_AGENT): string | undefined {
  const trimmed = key.trim();
  if (trimmed === '' || trimmed === MAIN_KEY) return mainSessionKey(defaultAgent);
  if (!trimmed.startsWith('agent:')) return REST.test(trimmed) ? `agent:${defaultAgent}:${trimmed}` : undefined;
  const [, agentId = '', ...rest] = trimmed.split(':');
  if (!AGENT_ID.test(agentId)) return undefined;
  const tail = rest.join(':');
  if (tail === '') return mainSessionKey(agentId);
  return REST.test(tail) ? `agent:${agentId}:${tail}` : undefined;
}

export const agentOfSessionKey = (key: string): string => key.split(':')[1] ?? DEFAULT_AGENT;
