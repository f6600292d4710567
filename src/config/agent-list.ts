import type { AgentConfig, AgentsConfig } from './options.ts';

/**
 * The configured agents: those of `agents.list`, then those of `agents.entries`, which other versions write. Empty: one,
 * `main`, is meant. An id that stands in both counts as the list has it; entries of the list without an id are left out.
 */
export function agentList(agents: AgentsConfig): readonly AgentConfig[] {
  const listed = agents.list.filter((agent) => agent.id !== undefined);
  const ids = new Set(listed.map((agent) => agent.id));
  const entries = Object.entries(agents.entries).filter(([id]) => !ids.has(id));
  return [...listed, ...entries.map(([id, agent]) => ({ ...agent, id }))];
}
