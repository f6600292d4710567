import { invalid } from '../fault.ts';
import type { HttpPorts } from '../ports.ts';
import type { RouteHandler } from '../route-handler.ts';

const row = (id: string): Record<string, unknown> => ({ id, object: 'model', created: 0, owned_by: 'openclaw', permission: [] });

/** What can stand in `model`: agents, not the models behind them. */
const targets = (ports: Pick<HttpPorts, 'agent'>): readonly string[] => [
  'openclaw',
  'openclaw/default',
  ...ports.agent.agents().map(({ id }) => `openclaw/${id}`),
];

/** Together with chat completions, or not at all: a list of what cannot be called helps nobody. */
const enabled: RouteHandler['enabled'] = ({ chatCompletions }) => chatCompletions.enabled;

export const listModels = (ports: HttpPorts): RouteHandler => ({
  enabled,
  handle: (exchange) => exchange.sendJson(200, { object: 'list', data: targets(ports).map(row) }),
});

/** The id may come with its slash encoded or not. */
export const oneModel = (ports: HttpPorts): RouteHandler => ({
  enabled,
  handle(exchange) {
    const id = decoded(exchange.rest);
    if (id === undefined || !targets(ports).includes(id)) return exchange.fail(invalid('Invalid model id.', { param: 'model' }));
    exchange.sendJson(200, row(id));
  },
});

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
