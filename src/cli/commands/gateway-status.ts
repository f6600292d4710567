import { UserError } from '../../lib/errors.ts';
import type { Run } from '../command.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine, pad } from '../format/text.ts';
import { millis } from '../format/values.ts';
import { tryOpen } from '../gateway.ts';
import { number, record, text } from '../read-json.ts';
import { adminTarget, localUrl, urlTarget, usableConfig } from '../target.ts';

/** `openclaw gateway status`: this machine's own gateway: what is configured, whether it runs, whether it answers. */
export const run: Run = async (context) => {
  const { flags, out, paths, env } = context;
  const config = await usableConfig(context);
  const { gateway } = config.config;
  const isRemote = gateway.mode === 'remote';
  const local = await localUrl(config).catch(() => undefined);
  const dashboard = local?.url.replace(/^ws/, 'http');

  // Its own door first: it tells a running gateway from a port that somebody else holds.
  const admin = isRemote ? undefined : await adminTarget(context);
  const own = admin === undefined ? undefined : await tryOpen(context, { scopes: [], device: 'have', only: admin });
  let runtime: { state: 'running' | 'not running' | 'remote'; pid?: number; version?: string } = {
    state: isRemote ? 'remote' : 'not running',
  };
  if (own?.ok === true) {
    const status = await own.value.client.request('status', {});
    const body = status.ok ? record(status.value) : {};
    const pid = number(body['pid']) ?? number(record(body['gateway'])['pid']);
    const version = text(body['runtimeVersion']);
    runtime = { state: 'running', ...(pid === undefined ? {} : { pid }), ...(version === undefined ? {} : { version }) };
    own.value.close();
  }

  const start = env.clock.monotonic();
  const probe = flags.on('no-probe') ? undefined : await probeByUrl();
  const body = {
    config: { path: paths.configPath, exists: config.exists },
    gateway: {
      mode: gateway.mode ?? 'local',
      bind: gateway.bind,
      port: gateway.port,
      portSource: config.sourceOf('gateway.port'),
      url: local?.url ?? null,
    },
    runtime,
    ...(probe === undefined ? {} : { probe }),
    ...(dashboard === undefined ? {} : { dashboard }),
    logs: paths.logsDir,
  };
  const isFine = runtime.state !== 'not running' && probe?.ok !== false;
  if (isFine) out.result(body);
  else
    out.badResult({
      ...body,
      error: { code: 'GATEWAY_NOT_OK', message: probe?.error ?? 'not running', fix: probe?.fix ?? 'openclaw gateway run' },
    });

  const { paint } = out;
  const line = (name: string, value: string): void => out.line(`${paint.bold(pad(name, 10))} ${value}`);
  line('Config', `${paths.configPath}${config.exists ? '' : ` (${out.text.noConfigFile})`}`);
  line(
    'Gateway',
    isRemote
      ? `mode remote: ${gateway.remote.url ?? '(gateway.remote.url is not set)'}`
      : `bind=${gateway.bind}, port=${gateway.port} (${config.sourceOf('gateway.port')})`,
  );
  if (!isRemote) {
    const details = [
      runtime.pid === undefined ? '' : `PID ${runtime.pid}`,
      runtime.version === undefined ? '' : `version ${oneLine(runtime.version, 40)}`,
    ].filter(Boolean);
    line(
      'Runtime',
      runtime.state === 'running'
        ? paint.green(`${out.text.running}${details.length === 0 ? '' : ` (${details.join(', ')})`}`)
        : paint.red(out.text.notRunning),
    );
    if (dashboard !== undefined) line('Dashboard', dashboard);
    line('Logs', paths.logsDir);
  }
  if (probe !== undefined)
    line('Probe', probe.ok ? paint.green(`ok (${millis(probe.ms)}) ${probe.url}`) : `${paint.red('failed')} ${probe.error}`);
  const fix = probe?.ok === false ? probe.fix : runtime.state === 'not running' ? 'openclaw gateway run' : undefined;
  if (fix !== undefined) out.line(`${paint.bold(out.text.fix)} ${fix}`);
  return isFine ? EXIT.ok : EXIT.failure;

  async function probeByUrl(): Promise<{ ok: boolean; url: string; ms: number; error?: string; fix?: string }> {
    const took = (): number => Math.round((env.clock.monotonic() - start) * 10) / 10;
    try {
      const target = await urlTarget(context);
      const opened = await tryOpen(context, { scopes: ['operator.read'], device: 'have', mode: 'probe', only: target });
      if (opened.ok) {
        opened.value.close();
        return { ok: true, url: target.endpoint.url, ms: took() };
      }
      const error = faultError(opened.error.fault, target);
      return {
        ok: false,
        url: target.endpoint.url,
        ms: took(),
        error: oneLine(error.message, 300),
        ...(error.fix === undefined ? {} : { fix: error.fix }),
      };
    } catch (thrown) {
      if (!(thrown instanceof UserError)) throw thrown;
      return {
        ok: false,
        url: local?.url ?? '',
        ms: took(),
        error: oneLine(thrown.message, 300),
        ...(thrown.fix === undefined ? {} : { fix: thrown.fix }),
      };
    }
  }
};
