import type { ModelView } from '../../agent/api.ts';
import type { JsonObject } from '../../lib/json.ts';
import type { Protocol } from '../../protocol/version.ts';

const LEVELS = ['off', 'minimal', 'low', 'medium', 'high'] as const;

/** One model as a row of `models.list`. */
export function modelRow(protocol: Protocol, model: ModelView, isDefault: boolean): JsonObject {
  const { id, name, provider, contextWindow, reasoning, input } = model;
  const base = { id, name, provider, ...(contextWindow === undefined ? {} : { contextWindow }), reasoning };
  if (protocol === 3) return { ...base, input };
  const levels = reasoning ? LEVELS : LEVELS.slice(0, 1);
  return {
    ...base,
    input,
    ...(isDefault ? { tags: ['default'] } : {}),
    thinkingLevels: levels.map((level) => ({ id: level, label: level })),
    thinkingDefault: 'off',
    available: true,
  };
}

const isSame = (a: ModelView, b: ModelView | undefined): boolean => a.provider === b?.provider && a.id === b.id;

/** The result of `models.list`. */
export function modelsListResult(
  protocol: Protocol,
  models: readonly ModelView[],
  byDefault: ModelView | undefined,
): { models: JsonObject[] } {
  const result = { models: models.map((model) => modelRow(protocol, model, isSame(model, byDefault))) };
  return protocol === 3 ? result : { ...result, ...ACCOUNTS };
}

const ACCOUNTS = { accountSelection: { kind: 'automatic', label: 'Automatic account selection' } };

/** A command that can be typed into a chat, as `chat.metadata` lists it. */
export interface ChatCommand {
  readonly name: string;
  readonly description: string;
  readonly acceptsArgs: boolean;
}

/** The result of `chat.metadata` (protocol 4). */
export function chatMetadataResult(
  models: readonly ModelView[],
  byDefault: ModelView | undefined,
  commands: readonly ChatCommand[],
): JsonObject {
  return {
    ...modelsListResult(4, models, byDefault),
    commands: commands.map(({ name, description, acceptsArgs }) => ({
      name,
      nativeName: name,
      textAliases: [`/${name}`],
      description,
      category: 'session',
      source: 'native',
      scope: 'both',
      acceptsArgs,
    })),
    swarmEnabled: false,
    runtimeSelectionLocked: false,
  };
}
