import type { Exchange } from './exchange.ts';
import type { HttpConfig } from './ports.ts';

/** What stands behind a route. Its descriptor (`protocol/routes`) says who may call it. */
export interface RouteHandler {
  /** Undefined: always there. */
  readonly enabled?: (config: HttpConfig) => boolean;
  /** Lowers the descriptor's limit. */
  readonly maxBytes?: (config: HttpConfig) => number;
  /** Also lives under `gateway.controlUi.basePath`. */
  readonly underBase?: boolean;
  handle(exchange: Exchange): void | Promise<void>;
}
