import { isRecord } from '../../lib/json.ts';
import type { Run } from '../command.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine } from '../format/text.ts';
import { age, millis } from '../format/values.ts';
import { USE, withGateway } from '../gateway.ts';

/** `openclaw health`: one question through the nearest door. Exit 1 when the gateway itself reports a fault, 3 when none answers. */
export const run: Run = async (context) => {
  const { out, env } = context;
  const started = env.clock.monotonic();
  return withGateway(context, { scopes: USE, device: 'have' }, async (gateway) => {
    const health: unknown = await gateway.call('health', context.flags.on('verbose') ? { probe: true } : undefined);
    const tookMs = env.clock.monotonic() - started;
    const fine = isRecord(health) && health['ok'] !== false;
    const { source, endpoint, shown } = gateway.target;
    const body = { ...(isRecord(health) ? health : {}), via: { source, url: shown }, latencyMs: Math.round(tookMs * 10) / 10 };
    if (fine) out.result(body);
    else out.badResult(body);

    const { text, paint } = out;
    const where = endpoint.door === 'admin' ? text.adminSocket : shown;
    out.line(`${fine ? paint.green(text.gatewayHealthy) : paint.red(text.gatewayUnhealthy)} (${millis(tookMs)}, ${text.via} ${where})`);
    if (isRecord(health)) {
      const agents = list(health['agents']).map(
        (agent) => `${oneLine(String(agent['agentId'] ?? '?'), 40)}${agent['isDefault'] === true ? '*' : ''}`,
      );
      if (agents.length > 0) out.line(`${text.agents}: ${agents.join(', ')}`);
      const sessions = health['sessions'];
      if (isRecord(sessions)) {
        out.line(`${text.sessions}: ${text.entries(Number(sessions['count'] ?? 0))}`);
        for (const recent of list(sessions['recent']).slice(0, 5)) {
          const ms = typeof recent['age'] === 'number' ? recent['age'] : env.clock.now() - Number(recent['updatedAt'] ?? env.clock.now());
          out.line(`  ${oneLine(String(recent['key'] ?? ''), 60)}  ${paint.dim(text.ago(age(ms)))}`);
        }
      }
    }
    return fine ? EXIT.ok : EXIT.failure;
  });
};

const list = (value: unknown): Record<string, unknown>[] => (Array.isArray(value) ? value.filter(isRecord) : []);
