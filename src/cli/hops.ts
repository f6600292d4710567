import type { Stage } from '../client/fault.ts';
import { VERSION } from '../lib/build-info.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import { isRecord } from '../lib/json.ts';
import type { Context } from './context.ts';
import { attemptError, ELSEWHERE, faultError, NOT_YOURS } from './errors.ts';
import { oneLine, printable } from './format/text.ts';
import { age } from './format/values.ts';
import { type Gateway, tryOpen } from './gateway.ts';
import type { Messages } from './i18n.ts';
import { number, record, records, text, texts } from './read-json.ts';
import { adminTarget, isPointed, type ResolvedTarget, urlTarget, usableConfig } from './target.ts';

export type HopId =
  | 'config'
  | 'socket'
  | 'address'
  | 'credentials'
  | 'tcp'
  | 'http'
  | 'ready'
  | 'websocket'
  | 'auth'
  | 'scopes'
  | 'gateway'
  | 'listen'
  | 'exposure'
  | 'notes'
  | 'model'
  | 'sessions'
  | 'presence'
  | 'devices';

/** One step of the way from this terminal to the model. */
export interface Hop {
  readonly id: HopId;
  /** `skip`: not on this way, or not reached because an earlier hop is broken. */
  readonly state: 'ok' | 'warn' | 'fail' | 'skip';
  /** For people, one line, safe to print, no secret. */
  readonly detail: string;
  readonly ms?: number;
  readonly code?: string;
  readonly fix?: string;
}

export interface Walk {
  readonly hops: readonly Hop[];
  /** The first broken hop of the way that counts. */
  readonly broken: Hop | undefined;
  readonly target: ResolvedTarget | undefined;
  readonly answers: {
    readonly health?: unknown;
    readonly status?: unknown;
    readonly presence?: unknown;
    readonly devices?: unknown;
    readonly models?: unknown;
  };
}

export const hopLabel = (id: HopId, t: Messages): string =>
  ({
    config: t.hopConfig,
    socket: t.hopSocket,
    address: t.hopAddress,
    credentials: t.hopCredentials,
    tcp: t.hopTcp,
    http: t.hopHttp,
    ready: t.hopReady,
    websocket: t.hopWebSocket,
    auth: t.hopAuth,
    scopes: t.hopScopes,
    gateway: t.hopGateway,
    listen: t.hopListen,
    exposure: t.hopExposure,
    notes: t.hopNotes,
    model: t.hopModel,
    sessions: t.hopSessions,
    presence: t.hopPresence,
    devices: t.hopDevices,
  })[id];

/**
 * Walks the way to the gateway and says of each hop whether it works. Changes nothing: no file, no device, no request that is not a
 * read. Without `deep` it takes the nearest door and asks what it must; with it, the way by URL is tried as another machine would.
 */
export async function walk(context: Context, options: { readonly deep: boolean; readonly timeoutMs: number }): Promise<Walk> {
  const { env, out } = context;
  const { text: t } = out;
  const hops: Hop[] = [];
  const answers: { -readonly [K in keyof Walk['answers']]: Walk['answers'][K] } = {};
  const clock = env.clock;
  let gateway: Gateway | undefined;
  let local: Gateway | undefined;
  let target: ResolvedTarget | undefined;
  const since = (start: number): number => Math.round((clock.monotonic() - start) * 10) / 10;

  const config = await configHop(context);
  hops.push(config);
  if (config.state === 'fail') return done();

  try {
    const admin = await adminTarget(context);
    if (admin !== undefined) await viaSocket(admin);
    else if (!isPointed(context) && (await usableConfig(context)).config.gateway.mode !== 'remote')
      hops.push({ id: 'socket', state: 'skip', detail: t.notRunning });
    if (gateway === undefined || options.deep) await byUrl();
    if (gateway !== undefined) await askGateway(gateway);
    return done();
  } finally {
    gateway?.close();
    local?.close();
  }

  function done(): Walk {
    // Here they become safe to print: what a gateway says of itself is part of some.
    const safe = hops.map((hop) => ({
      ...hop,
      detail: printable(hop.detail),
      ...(hop.fix === undefined ? {} : { fix: printable(hop.fix) }),
    }));
    return { hops: safe, broken: safe.find(({ state }) => state === 'fail'), target, answers };
  }

  async function viaSocket(admin: ResolvedTarget): Promise<void> {
    const start = clock.monotonic();
    const opened = await tryOpenDoor(admin);
    if (opened.ok) {
      local = opened.value;
      gateway = local;
      target = admin;
      hops.push({ id: 'socket', state: 'ok', detail: admin.shown, ms: since(start) });
    } else {
      const isStale = opened.error.code === 'GATEWAY_UNREACHABLE';
      hops.push({
        id: 'socket',
        state: isStale ? 'skip' : 'fail',
        detail: isStale ? t.notRunning : oneLine(opened.error.message, 200),
        ...fixOf(opened.error),
      });
    }
  }

  async function tryOpenDoor(which: ResolvedTarget) {
    const opened = await tryOpen(context, { scopes: [], device: 'have', timeoutMs: options.timeoutMs, only: which });
    return opened.ok ? opened : ({ ok: false, error: faultError(opened.error.fault, opened.error.target, context.out.text) } as const);
  }

  async function byUrl(): Promise<void> {
    let found: ResolvedTarget;
    try {
      found = await urlTarget(context);
    } catch (thrown) {
      const error = thrown instanceof UserError ? thrown : new UserError('INTERNAL', messageOf(thrown));
      const id = error.code.includes('CREDENTIALS') || error.code.includes('SECRET') ? 'credentials' : 'address';
      // The admin socket has let us in already: that the way by URL is closed is worth a word, not a failure.
      hops.push({
        id,
        state: gateway === undefined ? 'fail' : 'warn',
        detail: oneLine(error.message, 300),
        code: error.code,
        ...fixOf(error),
      });
      return;
    }
    target ??= found;
    hops.push({ id: 'address', state: 'ok', detail: `${found.shown}  (${found.source})` });
    const { token, password, explicit } = found.credentials;
    const held = [token === undefined ? '' : 'token', password === undefined ? '' : 'password'].filter((kind) => kind !== '').join(' + ');
    hops.push(
      held === ''
        ? { id: 'credentials', state: 'warn', detail: t.noCredentials, ...(local === undefined ? { fix: 'openclaw auth explain' } : {}) }
        : { id: 'credentials', state: 'ok', detail: `${held}${explicit === true ? ` (${t.byHand})` : ''}` },
    );
    // Loaded before the clock runs: what is measured is the way, not this program.
    if (options.deep) await env.doors.warm();
    const [wire, web] = await Promise.all([options.deep ? wireHops(found) : [], webSocketHops(found)]);
    hops.push(...wire, ...web.hops);
    // What is asked later goes by the way that was tried, unless it is closed.
    if (web.gateway !== undefined) {
      gateway = web.gateway;
      target = found;
    }
  }

  async function wireHops(found: ResolvedTarget): Promise<Hop[]> {
    const url = new URL(found.endpoint.url);
    const isSecure = url.protocol === 'wss:';
    const port = Number(url.port || (isSecure ? 443 : 80));
    const start = clock.monotonic();
    try {
      await env.doors.tcp(url.hostname.replace(/^\[|\]$/g, ''), port, options.timeoutMs);
    } catch (thrown) {
      return [{ id: 'tcp', state: 'fail', ms: since(start), ...attemptError(thrown, found, t) }];
    }
    const hopsHere: Hop[] = [{ id: 'tcp', state: 'ok', detail: `${url.hostname}:${port}`, ms: since(start) }];
    // A pinned certificate is checked by the WebSocket hop; an ordinary GET would judge it by the authorities.
    if (found.endpoint.tlsFingerprint !== undefined) return hopsHere;
    const base = `${isSecure ? 'https' : 'http'}://${url.host}`;
    const [healthz, readyz] = await Promise.all([httpHop('http', `${base}/healthz`, found), httpHop('ready', `${base}/readyz`, found)]);
    return [...hopsHere, healthz, readyz];
  }

  async function httpHop(id: 'http' | 'ready', url: string, found: ResolvedTarget): Promise<Hop> {
    const start = clock.monotonic();
    const path = new URL(url).pathname;
    try {
      const { status, body } = await env.doors.httpGet(url, options.timeoutMs);
      const ms = since(start);
      if (status === 200) return { id, state: 'ok', detail: `${path} 200`, ms };
      if (id === 'ready' && status === 503)
        return { id, state: 'warn', detail: `${path} 503 ${oneLine(body, 120)}`, ms, fix: 'openclaw logs' };
      return {
        id,
        state: 'warn',
        detail: `${path} ${status}`,
        ms,
        ...(status === 421 ? { fix: 'Add this host to gateway.controlUi.allowedOrigins on the gateway' } : {}),
      };
    } catch (thrown) {
      const { detail, fix } = attemptError(thrown, found, t);
      return { id, state: 'fail', detail: `${path}: ${detail}`, ms: since(start), fix };
    }
  }

  async function webSocketHops(found: ResolvedTarget): Promise<{ hops: Hop[]; gateway?: Gateway }> {
    const start = clock.monotonic();
    const at: Partial<Record<Stage, number>> = {};
    const opened = await tryOpen(context, {
      // No more than is needed to look: asking for more than this device has would file a request for approval.
      scopes: ['operator.read'],
      device: 'have',
      mode: 'probe',
      timeoutMs: options.timeoutMs,
      only: found,
      onStage: (stage) => {
        at[stage] = since(start);
      },
    });
    if (!opened.ok) {
      const error = faultError(opened.error.fault, found, context.out.text);
      const fail = { state: 'fail', detail: oneLine(error.message, 300), code: error.code, ...fixOf(error) } as const;
      const { fault } = opened.error;
      // The owner is in already, by the admin socket. That this terminal holds no secret for the way by URL is no broken hop.
      const mayDoWithout = local !== undefined && /^AUTH_(TOKEN_MISSING|PASSWORD_MISSING|REQUIRED)$/.test(error.code);
      // A stranger took the connection, which the hops before cannot tell.
      if (fault.kind === 'unreachable' && (error.code === NOT_YOURS || error.code === ELSEWHERE))
        return { hops: [{ id: 'websocket', ms: since(start), ...fail }] };
      // Nobody listens: that is the hop before. With `deep` it has been tried by itself.
      if (fault.kind === 'unreachable' && fault.httpStatus === undefined) {
        return {
          hops: options.deep ? [{ id: 'websocket', state: 'skip', detail: t.notAsked }] : [{ id: 'tcp', ms: since(start), ...fail }],
        };
      }
      if (at.hello === undefined) return { hops: [{ id: 'websocket', ms: since(start), ...fail }] };
      return {
        hops: [
          { id: 'websocket', state: 'ok', detail: 'connect.challenge', ms: at.hello },
          mayDoWithout
            ? { id: 'auth', ms: since(start), state: 'warn', detail: t.socketDoes(fail.detail), code: error.code }
            : { id: 'auth', ms: since(start), ...fail, detail: `${fail.detail} (${error.code})` },
        ],
      };
    }
    const hello = opened.value.client.state.kind === 'open' ? opened.value.client.state.hello : undefined;
    const granted = texts(hello?.auth?.scopes).map((scope) => scope.replace(/^operator\./, ''));
    return {
      gateway: opened.value,
      hops: [
        { id: 'websocket', state: 'ok', detail: 'connect.challenge', ...(at.hello === undefined ? {} : { ms: at.hello }) },
        {
          id: 'auth',
          state: 'ok',
          detail: `hello-ok, protocol ${hello?.protocol ?? '?'}${hello?.auth?.method === undefined ? '' : `, by ${oneLine(hello.auth.method, 40)}`}`,
          ms: since(start),
        },
        {
          id: 'scopes',
          state: granted.length === 0 && hello?.auth !== undefined ? 'warn' : 'ok',
          detail: granted.length > 0 ? granted.join(' ') : hello?.auth === undefined ? t.notTold : t.noScopes,
        },
      ],
    };
  }

  async function askGateway(via: Gateway): Promise<void> {
    const start = clock.monotonic();
    const ask = async (
      method: 'health' | 'status' | 'system-presence' | 'device.pair.list' | 'models.list',
      params?: Record<string, unknown>,
    ) => {
      // Who waits for approval and what the door noticed are the owner's to see: asked through the admin socket where there is one.
      const { client } = method === 'device.pair.list' || method === 'status' ? (local ?? via) : via;
      const answer = await client.call(method, params, { timeoutMs: options.timeoutMs });
      return { answer, ms: since(start) };
    };
    const [health, status, presence, devices, models] = await Promise.all([
      ask('health', options.deep ? { probe: true } : undefined),
      ask('status'),
      options.deep ? ask('system-presence') : undefined,
      ask('device.pair.list'),
      ask('models.list'),
    ]);
    if (health.answer.ok) answers.health = health.answer.value;
    if (status.answer.ok) answers.status = status.answer.value;
    if (presence?.answer.ok) answers.presence = presence.answer.value;
    if (devices.answer.ok) answers.devices = devices.answer.value;
    if (models.answer.ok) answers.models = models.answer.value;

    if (!health.answer.ok) {
      const error = faultError(health.answer.error, via.target, context.out.text);
      hops.push({ id: 'gateway', state: 'fail', detail: oneLine(error.message, 200), ms: health.ms, code: error.code, ...fixOf(error) });
      return;
    }
    hops.push(gatewayHop(health.answer.value, answers.status, health.ms, clock.now(), t));
    hops.push(
      ...listenHops(answers.status, t),
      ...exposureHops(answers.status),
      ...noteHops(answers.status, await ownWarnings(context), t),
    );
    hops.push(modelHop(answers.models, answers.status, t, via.target.mode === 'remote'));
    hops.push(sessionsHop(answers.health, answers.status, clock.now(), t));
    if (presence?.answer.ok) hops.push({ id: 'presence', state: 'ok', detail: presenceText(answers.presence) });
    if (devices.answer.ok) hops.push(devicesHop(answers.devices, t));
  }
}

async function configHop(context: Context): Promise<Hop> {
  const loaded = await context.config();
  const { paths, out } = context;
  if (loaded.ok) {
    const { exists, warnings, config } = loaded.value;
    const mode = config.gateway.mode === 'remote' ? 'remote' : 'local';
    const detail = `${exists ? paths.configPath : `${paths.configPath} (${out.text.noConfigFile})`}  mode ${mode}`;
    if (warnings.length === 0) return { id: 'config', state: 'ok', detail };
    const [only] = warnings;
    if (only !== undefined && warnings.length === 1) {
      // Most warnings name the file themselves; it stands in this row already.
      const about = only.message.replace(`${paths.configPath} `, '');
      const told = `${detail}; ${only.path === '' || only.path === paths.configPath ? '' : `${only.path} `}${oneLine(about, 160)}`;
      return { id: 'config', state: 'warn', detail: told, fix: only.fix ?? 'openclaw config validate' };
    }
    return { id: 'config', state: 'warn', detail: `${detail}; ${out.text.warnings(warnings.length)}`, fix: 'openclaw config validate' };
  }
  const { message, fix, usable, code } = loaded.error;
  return { id: 'config', state: usable === undefined ? 'fail' : 'warn', detail: oneLine(message, 300), code, fix };
}

const fixOf = (error: UserError): { fix?: string } => (error.fix === undefined ? {} : { fix: error.fix });

function gatewayHop(health: unknown, status: unknown, ms: number, now: number, t: Messages): Hop {
  const version = text(record(status)['runtimeVersion']);
  const facts = record(record(status)['gateway']);
  const started = number(facts['startedAtMs']);
  const pid = number(record(status)['pid']) ?? number(facts['pid']);
  const parts = [
    version === undefined ? undefined : `version ${oneLine(version, 40)}${version === VERSION ? '' : ` (this CLI: ${VERSION})`}`,
    started === undefined ? undefined : t.upFor(age(now - started)),
    pid === undefined ? undefined : `PID ${pid}`,
  ].filter((part) => part !== undefined);
  const isFine = !isRecord(health) || health['ok'] !== false;
  return {
    id: 'gateway',
    state: isFine ? 'ok' : 'fail',
    detail: parts.join(', ') || (isFine ? t.running : t.gatewayUnhealthy),
    ms,
    ...(isFine ? {} : { fix: 'openclaw logs' }),
  };
}

/** Where it listens; of a gateway of another version that does not say, nothing. */
function listenHops(status: unknown, t: Messages): Hop[] {
  const { state, addresses, port, for: what, why } = record(record(record(status)['gateway'])['listen']);
  switch (state) {
    case 'active': {
      const hosts = Array.isArray(addresses) ? addresses.filter((one) => typeof one === 'string') : [];
      return [
        {
          id: 'listen',
          state: 'ok',
          detail: oneLine(hosts.map((host) => `${host.includes(':') ? `[${host}]` : host}:${Number(port)}`).join(', '), 200),
        },
      ];
    }
    case 'waiting':
      return [{ id: 'listen', state: 'warn', detail: t.listenWaiting(oneLine(text(what) ?? '', 60)), fix: 'tailscale status' }];
    case 'failed':
      return [{ id: 'listen', state: 'warn', detail: oneLine(text(why) ?? '', 200), fix: 'openclaw logs' }];
    default:
      return [];
  }
}

/** Each way in from outside that was asked for, with its state; none where none was. */
function exposureHops(status: unknown): Hop[] {
  return Object.entries(record(record(record(status)['gateway'])['exposure'])).flatMap(([name, value]): Hop[] => {
    const { state, why, fix } = record(value);
    if (state === 'off' || typeof state !== 'string') return [];
    const detail = oneLine(`${name} ${state}${text(why) === undefined ? '' : `: ${text(why)}`}`, 200);
    const mend = text(fix);
    return [
      { id: 'exposure', state: state === 'active' ? 'ok' : 'warn', detail, ...(mend === undefined ? {} : { fix: oneLine(mend, 200) }) },
    ];
  });
}

/** What the first hop has said about the file here. */
async function ownWarnings({ config }: Context): Promise<ReadonlySet<string>> {
  const loaded = await config();
  return new Set((loaded.ok ? loaded.value : loaded.error).warnings.map(({ message }) => message));
}

/** What the gateway noticed about how callers arrive. */
function noteHops(status: unknown, told: ReadonlySet<string>, t: Messages): Hop[] {
  const notes = records(record(record(status)['gateway'])['warnings']).filter(({ message }) => !told.has(text(message) ?? ''));
  const [first] = notes;
  if (first === undefined) return [];
  const more = notes.length > 1 ? ` (${t.andMore(notes.length - 1)})` : '';
  return [{ id: 'notes', state: 'warn', detail: `${oneLine(text(first['message']) ?? '', 300)}${more}` }];
}

function modelHop(models: unknown, status: unknown, t: Messages, isElsewhere: boolean): Hop {
  const all = records(record(models)['models']);
  const real = all.filter((model) => model['provider'] !== 'builtin');
  const fact = record(record(record(status)['gateway'])['model']);
  const named = text(fact['id']) ?? text(record(record(record(status)['sessions'])['defaults'])['model']);
  if (models !== undefined && real.length === 0) {
    return {
      id: 'model',
      state: 'warn',
      detail: t.noModel,
      fix: isElsewhere ? t.onGateway('openclaw models try') : `openclaw models try   (${t.noteModelTry})`,
    };
  }
  const chosen = real.find((model) => model['id'] === named || `${String(model['provider'])}/${String(model['id'])}` === named) ?? real[0];
  const name = chosen === undefined ? named : `${String(chosen['provider'])}/${String(chosen['id'])}`;
  if (chosen?.['available'] === false)
    return { id: 'model', state: 'warn', detail: t.modelAway(oneLine(name ?? '?', 80)), fix: 'openclaw models --refresh' };
  return {
    id: 'model',
    state: 'ok',
    detail: `${oneLine(name ?? t.notTold, 80)}${real.length > 1 ? ` (${t.andMore(real.length - 1)})` : ''}`,
  };
}

function sessionsHop(health: unknown, status: unknown, now: number, t: Messages): Hop {
  const sessions = record(record(health)['sessions'] ?? record(status)['sessions']);
  const newest = records(sessions['recent'])[0];
  const updated = number(newest?.['updatedAt']);
  const last =
    newest === undefined || updated === undefined ? '' : `; ${oneLine(text(newest['key']) ?? '', 60)} ${t.ago(age(now - updated))}`;
  const detail = `${number(sessions['count']) ?? 0}${last}`;
  const held = number(record(record(status)['gateway'])['heldRuns']) ?? 0;
  if (held > 0) return { id: 'sessions', state: 'warn', detail: `${detail}; ${t.heldMessages(held)}`, fix: 'openclaw sessions held' };
  return { id: 'sessions', state: 'ok', detail };
}

function presenceText(presence: unknown): string {
  // Looking is no presence: this very connection is a probe.
  const others = records(presence).filter(
    ({ mode, reason }) => mode !== 'gateway' && mode !== 'probe' && reason !== 'disconnect' && reason !== 'self',
  );
  if (others.length === 0) return '0';
  const names = others
    .slice(0, 4)
    .map((entry) => oneLine(text(entry['host']) ?? text(entry['clientId']) ?? text(entry['mode']) ?? '?', 30));
  return `${others.length}: ${names.join(', ')}${others.length > 4 ? ', …' : ''}`;
}

function devicesHop(devices: unknown, t: Messages): Hop {
  const pending = records(record(devices)['pending']).length;
  const paired = records(record(devices)['paired']).length;
  if (pending === 0) return { id: 'devices', state: 'ok', detail: `${paired}` };
  return { id: 'devices', state: 'warn', detail: `${paired}; ${t.waitingDevices(pending)}`, fix: 'openclaw devices list' };
}
