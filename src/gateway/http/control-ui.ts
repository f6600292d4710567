import type { AgentView } from '../../agent/api.ts';
import type { HttpPorts } from './ports.ts';
import { mayKnow } from './probes.ts';
import type { RouteHandler } from './route-handler.ts';

const defaultAgent = (agents: readonly AgentView[]): AgentView | undefined => agents.find(({ isDefault }) => isDefault) ?? agents[0];

function assistant(ports: HttpPorts): { assistantName: string; assistantAvatar: string; assistantAgentId: string } {
  const agent = defaultAgent(ports.agent.agents());
  const name = agent?.name ?? 'Assistant';
  return { assistantName: name, assistantAvatar: agent?.emoji ?? name.slice(0, 1).toUpperCase(), assistantAgentId: agent?.id ?? 'main' };
}

/** Control UIs of protocol 3 read this before they have a credential, so it tells strangers a name and nothing else. */
export const publicControlUiConfig = (ports: HttpPorts): RouteHandler => ({
  underBase: true,
  async handle(exchange) {
    const version = (await mayKnow(exchange, ports)) ? { serverVersion: ports.version } : {};
    exchange.sendJson(200, { basePath: ports.config().basePath, ...assistant(ports), ...version });
  },
});

/** The same for those of protocol 4, with a credential. What this gateway does not have is off. */
export const controlUiConfig = (ports: HttpPorts): RouteHandler => ({
  underBase: true,
  handle: (exchange) =>
    exchange.sendJson(200, {
      basePath: ports.config().basePath,
      ...assistant(ports),
      assistantAvatarSource: null,
      assistantAvatarStatus: 'none',
      assistantAvatarReason: null,
      serverVersion: ports.version,
      serverBuildId: ports.buildId,
      embedSandbox: 'strict',
      allowExternalEmbedUrls: false,
      automaticallyFetchFavicons: false,
      communityInvite: false,
      terminalEnabled: false,
      cliAgentsEnabled: false,
      pluginAssetsRequireAuth: true,
      pluginFrameGrants: [],
    }),
});

/** No agent has a picture yet; the answer is the same for every id, so that it does not tell which exist. */
export const avatar: RouteHandler = {
  underBase: true,
  handle(exchange) {
    if (exchange.query.get('meta') === '1') exchange.sendJson(200, { avatarUrl: null });
    else exchange.fail({ status: 404, message: 'Not Found', type: 'not_found' });
  },
};
