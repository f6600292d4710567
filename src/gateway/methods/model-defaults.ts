import { type Agent, BUILTIN_MODEL, BUILTIN_PROVIDER } from '../../agent/api.ts';
import type { HistoryDefaults } from '../events/history-shape.ts';

/** What a session without a model of its own would be answered by, in the words of the wire. */
export function modelDefaults(agent: Agent): HistoryDefaults {
  const model = agent.defaultModel();
  return {
    modelProvider: model?.provider ?? BUILTIN_PROVIDER,
    model: model?.id ?? BUILTIN_MODEL,
    contextTokens: model?.contextWindow,
    thinkingLevel: 'off',
  };
}
