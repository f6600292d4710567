import { resolveCredentials, secretKind } from '../../auth/credentials.ts';
import { credentialInputs } from '../../config/credential-inputs.ts';
import { UserError } from '../../lib/errors.ts';
import { shownUrl } from '../../lib/shown-url.ts';
import { checkTarget } from '../../net/url-safety.ts';
import type { Run } from '../command.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine, pad } from '../format/text.ts';
import { millis } from '../format/values.ts';
import { tryOpen } from '../gateway.ts';
import { record, text } from '../read-json.ts';
import { explicitFlags, localUrl, type ResolvedTarget, usableConfig } from '../target.ts';

type Kind = 'explicit' | 'configRemote' | 'localLoopback';
interface Probed {
  readonly id: Kind;
  readonly kind: Kind;
  readonly url: string;
  readonly active: boolean;
  readonly connect: {
    readonly ok: boolean;
    readonly rpcOk: boolean;
    readonly scopeLimited: boolean;
    readonly latencyMs: number | null;
    readonly error: string | null;
  };
  readonly health: unknown;
  readonly fix?: string;
}

/**
 * `openclaw gateway probe`: every gateway this machine knows about, all at once. The one strict client: what is sent to a remote gateway
 * comes from `gateway.remote.*` alone. Exit 1 only when none connects.
 */
export const run: Run = async (context) => {
  const { flags, out, env, paths } = context;
  const budget = flags.int('timeout', { min: 1, max: 600_000 }) ?? 3_000;
  const started = env.clock.monotonic();
  const config = await usableConfig(context);
  const explicit = explicitFlags(context);
  const sources = await credentialInputs(config);
  const isRemote = config.config.gateway.mode === 'remote';
  const remoteUrl = config.config.gateway.remote.url;
  const local = await localUrl(config).catch(() => undefined);

  const wanted: { kind: Kind; url: string; active: boolean }[] = [];
  if (explicit.url !== undefined) wanted.push({ kind: 'explicit', url: explicit.url, active: true });
  if (remoteUrl !== undefined) wanted.push({ kind: 'configRemote', url: remoteUrl, active: isRemote });
  if (local !== undefined) wanted.push({ kind: 'localLoopback', url: local.url, active: !isRemote });
  const targets = await Promise.all(wanted.map(({ kind, url, active }) => probe(kind, url, active)));

  const reached = targets.filter(({ connect }) => connect.ok);
  const degraded = reached.some(({ connect }) => connect.scopeLimited);
  const distinct = new Set(reached.map(({ url }) => url)).size;
  const warnings = [
    ...(distinct > 1
      ? [{ code: 'multiple_gateways', message: 'more than one gateway answers', targetIds: reached.map(({ id }) => id) }]
      : []),
    ...(degraded
      ? [{ code: 'probe_scope_limited', message: 'reachable, but without the scope to ask', targetIds: reached.map(({ id }) => id) }]
      : []),
  ];
  const durationMs = Math.round(env.clock.monotonic() - started);
  const body = {
    degraded,
    ts: env.clock.now(),
    durationMs,
    timeoutMs: budget,
    primaryTargetId: (reached.find(({ active }) => active) ?? reached[0])?.id ?? null,
    warnings,
    network: { localLoopbackUrl: local?.url ?? null },
    targets,
  };
  if (reached.length > 0) out.result(body);
  else
    out.badResult({
      ...body,
      error: { code: 'NONE_REACHABLE', message: 'no gateway connects', fix: out.fix(targets[0]?.fix ?? 'openclaw gateway run') },
    });

  const { paint } = out;
  const { text: t } = out;
  const columns = Math.max(...targets.map(({ kind }) => kind.length), 0);
  for (const { kind, url, connect, fix } of targets) {
    const state = connect.ok
      ? `${oneLine(url, 120)}  ${connect.rpcOk ? paint.green('ok') : paint.yellow(t.limited)}  ${paint.dim(millis(connect.latencyMs ?? 0))}`
      : `${oneLine(url, 120)}  ${paint.red(connect.error ?? 'failed')}`;
    out.line(`${connect.ok ? paint.green('✓') : paint.red('✗')} ${paint.bold(pad(kind, columns))}  ${state}`);
    // Where one answers, the silence of another is no fault.
    if (!connect.ok && fix !== undefined && reached.length === 0) out.line(out.todo(t.fix, fix, '  '));
  }
  return reached.length > 0 ? EXIT.ok : EXIT.failure;

  async function probe(kind: Kind, url: string, active: boolean): Promise<Probed> {
    const failed = (error: UserError): Probed => ({
      id: kind,
      kind,
      url: shownUrl(url),
      active,
      connect: { ok: false, rpcOk: false, scopeLimited: false, latencyMs: null, error: oneLine(error.message, 300) },
      health: null,
      ...(error.fix === undefined ? {} : { fix: error.fix }),
    });
    const safe = checkTarget(url, {
      allowInsecurePrivate: env.vars['OPENCLAW_ALLOW_INSECURE_PRIVATE_WS'] === '1',
      ownAddresses: () => env.doors.ownAddresses(),
    });
    if (!safe.ok) return failed(safe.error);
    const resolved = resolveCredentials({
      role: kind === 'localLoopback' ? 'probe-local' : 'probe-remote',
      sources,
      explicit: kind === 'explicit' ? { token: explicit.token, password: explicit.password } : {},
      urlOverride: kind === 'explicit' ? 'cli' : 'none',
      authMode: kind === 'localLoopback' ? sources.authMode : undefined,
    });
    if (!resolved.ok) return failed(new UserError(resolved.error.code, resolved.error.message, { fix: resolved.error.fix }));
    const { token, password, isExplicit } = resolved.value;
    const secret = kind === 'localLoopback' ? secretKind(resolved.value) : undefined;
    const pin = kind === 'configRemote' ? config.config.gateway.remote.tlsFingerprint : undefined;
    const target: ResolvedTarget = {
      endpoint: { door: 'ws', url: safe.value.url, ...(pin === undefined ? {} : { tlsFingerprint: pin }) },
      shown: shownUrl(safe.value.url),
      credentials: {
        ...(token === undefined ? {} : { token: token.value }),
        ...(password === undefined ? {} : { password: password.value }),
        ...(isExplicit ? { explicit: true } : {}),
      },
      ...(secret === undefined ? {} : { secret }),
      trusted: safe.value.allowedAs === 'loopback' || safe.value.allowedAs === 'own-address' || pin !== undefined,
      source: kind,
      mode: kind === 'localLoopback' ? 'local' : 'remote',
      configPath: paths.configPath,
    };
    const start = env.clock.monotonic();
    const opened = await tryOpen(context, { scopes: ['operator.read'], device: 'have', mode: 'probe', timeoutMs: budget, only: target });
    if (!opened.ok) return failed(faultError(opened.error.fault, target, context.out.text));
    const latencyMs = Math.round((env.clock.monotonic() - start) * 10) / 10;
    const { client } = opened.value;
    const [health, presence] = await Promise.all([
      client.request('health', undefined, { timeoutMs: budget }),
      client.request('system-presence', undefined, { timeoutMs: budget }),
    ]);
    opened.value.close();
    const refusal = !presence.ok && presence.error.kind === 'refused' ? text(record(presence.error.error)['message']) : undefined;
    return {
      id: kind,
      kind,
      url: target.shown,
      active,
      connect: { ok: true, rpcOk: health.ok && presence.ok, scopeLimited: /missing scope/.test(refusal ?? ''), latencyMs, error: null },
      health: health.ok ? health.value : null,
    };
  }
};
