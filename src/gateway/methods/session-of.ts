import type { Agent } from '../../agent/api.ts';
import { agentOfSessionKey, canonicalSessionKey } from '../../agent/session-key.ts';
import { type Refusal, refuse } from '../../protocol/errors.ts';

/** The canonical key that a client means, of an agent that exists; or why it is none. The one place where a session key from the wire is believed. */
export function sessionOf(agent: Agent, key: string, agentId?: string): string | Refusal {
  const agents = agent.agents();
  const fallback = agentId ?? agents.find((candidate) => candidate.isDefault)?.id ?? 'main';
  const canonical = canonicalSessionKey(key, fallback);
  if (canonical === undefined) return refuse('INVALID_REQUEST', 'invalid sessionKey: expected agent:<agentId>:<name>');
  const owner = agentOfSessionKey(canonical);
  if (!agents.some((candidate) => candidate.id === owner)) return refuse('INVALID_REQUEST', `unknown agent: ${owner}`);
  return canonical;
}
