import { defineRoute } from './define.ts';

/** Largest body of `/v1/chat/completions`; the config may ask for less. */
export const MAX_COMPLETION_BYTES = 20 * 1024 * 1024;

const probe = <const Path extends string>(path: Path) => defineRoute({ path, methods: ['GET', 'HEAD'], scope: 'public', maxBytes: 0 });

/**
 * Every HTTP route, with who may call it. `public` ones answer whoever passes Host and Origin, and then say nothing that the caller could use;
 * the others take `Authorization: Bearer`, looked at before the body is read. `GET /` upgrades to WebSocket on any path.
 */
export const ROUTES = [
  probe('/health'),
  probe('/healthz'),
  probe('/ready'),
  probe('/readyz'),
  probe('/startup'),
  probe('/startupz'),
  /** One page: what this is and how to get in. */
  probe('/'),
  /** Control UIs of protocol 3 read this before they have a credential. */
  probe('/__openclaw/control-ui-config.json'),
  defineRoute({ path: '/control-ui-config.json', methods: ['GET', 'HEAD'], scope: 'operator.read', maxBytes: 0 }),
  probe('/avatar/*'),
  defineRoute({ path: '/v1/models', methods: ['GET'], scope: 'operator.read', maxBytes: 0 }),
  defineRoute({ path: '/v1/models/*', methods: ['GET'], scope: 'operator.read', maxBytes: 0 }),
  defineRoute({ path: '/v1/chat/completions', methods: ['POST'], scope: 'operator.write', maxBytes: MAX_COMPLETION_BYTES }),
] as const;
export type RoutePath = (typeof ROUTES)[number]['path'];
