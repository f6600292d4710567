import type { Agent } from '../../agent/api.ts';
import { agentOfSessionKey, MAIN_KEY } from '../../agent/session-key.ts';
import type { ParamsOf } from '../../protocol/define.ts';
import { isRefusal, refuse } from '../../protocol/errors.ts';
import type * as wire from '../../protocol/methods/agents.ts';
import type { Handler } from '../call.ts';
import { modelsListResult } from '../events/model-shape.ts';
import { NO_THINKING } from '../events/session-shape.ts';
import { sessionOf } from './session-of.ts';

export function agentHandlers(agent: Agent) {
  return {
    'agents.list': (_params: unknown, call) => {
      const agents = agent.agents();
      const byDefault = agent.defaultModel();
      return {
        defaultId: agents.find(({ isDefault }) => isDefault)?.id ?? 'main',
        mainKey: MAIN_KEY,
        scope: 'per-sender',
        ...(call.protocol === 4 && { ownership: 'sole', selectionRequired: false }),
        agents: agents.map(({ id, name, emoji, avatar, workspace }) => ({
          id,
          name,
          identity: { name, ...(emoji !== undefined && { emoji }), ...(avatar !== undefined && { avatar }) },
          ...(call.protocol === 4 && {
            kind: 'agent',
            workspace,
            ...NO_THINKING,
            ...(byDefault !== undefined && { model: { primary: `${byDefault.provider}/${byDefault.id}` } }),
          }),
        })),
      };
    },
    'agent.identity.get': (params: ParamsOf<typeof wire.agentIdentity>, call) => {
      let id = params.agentId;
      if (id === undefined && params.sessionKey !== undefined) {
        const key = sessionOf(agent, params.sessionKey);
        if (isRefusal(key)) return key;
        id = agentOfSessionKey(key);
      }
      const found = agent.agents().find((candidate) => (id === undefined ? candidate.isDefault : candidate.id === id));
      if (found === undefined) return refuse('INVALID_REQUEST', `unknown agent: ${id ?? ''}`);
      return {
        agentId: found.id,
        name: found.name,
        avatar: found.avatar ?? found.name.slice(0, 1).toUpperCase(),
        ...(found.emoji !== undefined && { emoji: found.emoji }),
        ...(call.protocol === 4 && { nameSource: 'config' }),
      };
    },
    'models.list': (_params: unknown, call) => modelsListResult(call.protocol, agent.models(), agent.defaultModel()),
  } satisfies Record<string, Handler<never>>;
}
