import { announcedPort } from '../../config/announced-port.ts';
import { UserError } from '../../lib/errors.ts';
import { shownUrl } from '../../lib/shown-url.ts';
import type { Run } from '../command.ts';
import { faultError } from '../errors.ts';
import { EXIT } from '../exit-codes.ts';
import { oneLine, pad, width } from '../format/text.ts';
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
  // The owner's own door is open: that this terminal holds no secret for the other one is worth a word, not a failure.
  const needsSecret = runtime.state === 'running' && /^AUTH_(TOKEN_MISSING|PASSWORD_MISSING|REQUIRED)$/.test(probe?.code ?? '');
  const isFine = runtime.state !== 'not running' && (probe?.ok !== false || needsSecret);
  if (isFine) out.result(body);
  else
    out.badResult({
      ...body,
      error: { code: 'GATEWAY_NOT_OK', message: probe?.error ?? 'not running', fix: out.fix(probe?.fix ?? 'openclaw gateway run') },
    });

  const { paint, text: t } = out;
  const remoteShown = gateway.remote.url === undefined ? undefined : shownUrl(gateway.remote.url);
  // By `--port`, or a config that changed since the start.
  const announced = isRemote ? undefined : announcedPort(paths);
  const isMoved = announced !== undefined && announced !== gateway.port;
  const labels = [t.hopConfig, t.hopGateway, t.runtime, t.page, t.logs, t.probe];
  const columns = Math.max(...labels.map(width));
  const line = (name: string, value: string): void => out.line(`${paint.bold(pad(name, columns))}  ${value}`);
  line(t.hopConfig, `${paths.configPath}${config.exists ? '' : ` (${t.noConfigFile})`}`);
  line(
    t.hopGateway,
    isRemote
      ? `mode remote: ${remoteShown ?? `(${t.notSet('gateway.remote.url')})`}`
      : `bind=${gateway.bind}, port=${gateway.port} (${config.sourceOf('gateway.port')})${isMoved ? `; ${t.listensOn(announced)}` : ''}`,
  );
  if (!isRemote) {
    const details = [
      runtime.pid === undefined ? '' : `PID ${runtime.pid}`,
      runtime.version === undefined ? '' : `version ${oneLine(runtime.version, 40)}`,
    ].filter(Boolean);
    line(
      t.runtime,
      runtime.state === 'running'
        ? paint.green(`${t.running}${details.length === 0 ? '' : ` (${details.join(', ')})`}`)
        : paint.red(t.notRunning),
    );
    if (dashboard !== undefined) line(t.page, `${dashboard}/`);
    line(t.logs, paths.logsDir);
  }
  if (probe !== undefined)
    line(
      t.probe,
      probe.ok
        ? `${paint.green('ok')}  ${probe.url}  ${paint.dim(millis(probe.ms))}`
        : needsSecret
          ? paint.yellow(t.socketDoes(probe.error ?? ''))
          : paint.red(probe.error ?? ''),
    );
  const fix = isFine ? undefined : (probe?.fix ?? 'openclaw gateway run');
  if (fix !== undefined) out.line(`\n${out.todo(t.fix, fix)}`);
  return isFine ? EXIT.ok : EXIT.failure;

  async function probeByUrl(): Promise<{ ok: boolean; url: string; ms: number; code?: string; error?: string; fix?: string }> {
    const took = (): number => Math.round((env.clock.monotonic() - start) * 10) / 10;
    try {
      const target = await urlTarget(context);
      const opened = await tryOpen(context, { scopes: ['operator.read'], device: 'have', mode: 'probe', only: target });
      if (opened.ok) {
        opened.value.close();
        return { ok: true, url: target.shown, ms: took() };
      }
      const error = faultError(opened.error.fault, target, context.out.text);
      return {
        ok: false,
        url: target.shown,
        ms: took(),
        code: error.code,
        error: oneLine(error.message, 300),
        ...(error.fix === undefined ? {} : { fix: error.fix }),
      };
    } catch (thrown) {
      if (!(thrown instanceof UserError)) throw thrown;
      return {
        ok: false,
        url: local?.url ?? '',
        ms: took(),
        code: thrown.code,
        error: oneLine(thrown.message, 300),
        ...(thrown.fix === undefined ? {} : { fix: thrown.fix }),
      };
    }
  }
};
