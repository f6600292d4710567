import { ingressOf } from '../../auth/ingress.ts';
import type { Exchange } from './exchange.ts';
import type { HttpPorts } from './ports.ts';
import type { RouteHandler } from './route-handler.ts';

/** The process answers; nothing more is claimed. */
export const live: RouteHandler = { handle: (exchange) => exchange.sendJson(200, { ok: true, status: 'live' }) };

/** Truthful: the result of the last self-check. What fails is named only to who is local or holds a credential. */
export const ready = (ports: HttpPorts): RouteHandler => ({
  async handle(exchange) {
    const { ready: isReady, failing } = await ports.readiness.view();
    const details = (await mayKnow(exchange, ports)) ? { failing, uptimeMs: ports.uptimeMs() } : {};
    exchange.sendJson(isReady ? 200 : 503, { ready: isReady, ...details });
  },
});

/** Whether start-up is over. Older clients ask this before they connect, and take any answer. */
export const startup = (ports: HttpPorts): RouteHandler => ({
  async handle(exchange) {
    const { started } = ports.readiness;
    const details = (await mayKnow(exchange, ports)) ? { version: ports.version, uptimeMs: ports.uptimeMs() } : {};
    exchange.sendJson(started ? 200 : 503, { ok: started, status: started ? 'started' : 'starting', ...details });
  },
});

/** Details are for this machine's own user and for holders of a credential. */
export async function mayKnow(exchange: Exchange, ports: HttpPorts): Promise<boolean> {
  const connection = await exchange.facts.connection();
  const { kind } = ingressOf(connection);
  if (kind === 'local' || kind === 'socket') return true;
  if (exchange.facts.bearer === undefined) return false;
  return (await ports.admitHttp(connection, exchange.facts.bearer)).ok;
}
