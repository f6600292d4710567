import type { RouteDescriptor } from '../../protocol/define.ts';
import { ROUTES, type RoutePath } from '../../protocol/routes.ts';
import { avatar, controlUiConfig, publicControlUiConfig } from './control-ui.ts';
import { chatCompletions } from './openai/chat-completions.ts';
import { listModels, oneModel } from './openai/models.ts';
import { landingPage } from './page.ts';
import type { HttpConfig, HttpPorts } from './ports.ts';
import { live, ready, startup } from './probes.ts';
import type { RouteHandler } from './route-handler.ts';

interface Route {
  readonly descriptor: RouteDescriptor;
  readonly handler: RouteHandler;
}
export interface RouteMatch extends Route {
  readonly rest: string;
}

export interface RouteTable {
  readonly exact: ReadonlyMap<string, Route>;
  readonly prefixes: readonly (Route & { readonly prefix: string })[];
}

/** A route without a handler, or a handler without a route, does not compile. */
function handlers(ports: HttpPorts): Readonly<Record<RoutePath, RouteHandler>> {
  const chat = chatCompletions(ports);
  return {
    '/health': live,
    '/healthz': live,
    '/ready': ready(ports),
    '/readyz': ready(ports),
    '/startup': startup(ports),
    '/startupz': startup(ports),
    '/': landingPage,
    '/__openclaw/control-ui-config.json': publicControlUiConfig(ports),
    '/control-ui-config.json': controlUiConfig(ports),
    '/avatar/*': avatar,
    '/v1/models': listModels(ports),
    '/v1/models/*': oneModel(ports),
    '/v1/chat/completions': chat,
  };
}

export function routeTable(ports: HttpPorts): RouteTable {
  const own = handlers(ports);
  const exact = new Map<string, Route>();
  const prefixes: (Route & { prefix: string })[] = [];
  for (const descriptor of ROUTES) {
    const route = { descriptor, handler: own[descriptor.path] };
    if (exact.has(descriptor.path)) throw new Error(`route ${descriptor.path} is defined twice`);
    if (descriptor.path.endsWith('/*')) prefixes.push({ ...route, prefix: descriptor.path.slice(0, -1) });
    else exact.set(descriptor.path, route);
  }
  return { exact, prefixes };
}

/** The route of a path as it was sent: nothing is decoded or cleaned up first, so that no two spellings mean one route. */
export function matchRoute(table: RouteTable, path: string, config: HttpConfig): RouteMatch | undefined {
  const { basePath } = config;
  if (basePath !== '' && (path === basePath || path.startsWith(`${basePath}/`))) {
    const inner = find(table, path.slice(basePath.length) || '/', config);
    if (inner?.handler.underBase) return inner;
  }
  return find(table, path, config);
}

function find(table: RouteTable, path: string, config: HttpConfig): RouteMatch | undefined {
  const exact = table.exact.get(path);
  const prefixed = exact ? undefined : table.prefixes.find(({ prefix }) => path.startsWith(prefix) && path.length > prefix.length);
  const route = exact ?? prefixed;
  if (!route || route.handler.enabled?.(config) === false) return undefined;
  return { descriptor: route.descriptor, handler: route.handler, rest: prefixed ? path.slice(prefixed.prefix.length) : '' };
}
