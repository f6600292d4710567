import { type ClientOptions, GatewayClient } from '../client/client.ts';
import { type Fault, refusalCode } from '../client/fault.ts';
import type { Answer, MethodName, Params } from '../client/methods.ts';
import type { RequestOptions } from '../client/requests.ts';
import { VERSION } from '../lib/build-info.ts';
import { err, ok, type Result } from '../lib/result.ts';
import type { Scope } from '../protocol/scopes.ts';
import { type Context, lazyConfig } from './context.ts';
import { faultError } from './errors.ts';
import { printable } from './format/text.ts';
import { adminTarget, type ResolvedTarget, urlTarget } from './target.ts';

export const DEFAULT_TIMEOUT_MS = 10_000;

/** For commands that manage. It holds all other scopes of an operator, so that nobody reads a list of them to approve one thing. */
export const MANAGE: readonly Scope[] = ['operator.admin'];

/**
 * What every ordinary command asks for, whatever it needs of it: a device that asks for the same each time files one request, and one
 * approval lasts. Commands that manage ask for all scopes of an operator.
 */
export const USE: readonly Scope[] = ['operator.read', 'operator.write'];

export interface OpenOptions {
  /** What a connection by URL asks for. */
  readonly scopes: readonly Scope[];
  readonly caps?: readonly string[];
  /**
   * `make`: sign with this machine's device key, made when it is not there. `have`: for commands that only look, with a device that this
   * gateway knows: an unknown one beside a secret that opens by itself would file a request for approval.
   */
  readonly device: 'make' | 'have';
  readonly timeoutMs?: number;
  readonly reconnect?: boolean;
  /** Ask for events too. */
  readonly events?: boolean;
  readonly clientId?: string;
  readonly mode?: string;
  readonly onStage?: ClientOptions['onStage'];
  /** This target and no other. */
  readonly only?: ResolvedTarget;
}

/** A gateway that let us in. Its calls throw a `UserError` with the fix instead of returning a fault. */
export interface Gateway {
  readonly client: GatewayClient;
  readonly target: ResolvedTarget;
  call<Name extends MethodName>(name: Name, params?: Params<Name>, options?: RequestOptions): Promise<Answer<Name>>;
  close(): void;
}

/**
 * Connects: through the admin socket where the gateway is this state dir's own, else by URL with what the resolver gives.
 * Throws the `UserError` that says why not.
 */
export async function openGateway(context: Context, options: OpenOptions): Promise<Gateway> {
  const opened = await tryOpen(context, options);
  if (opened.ok) return opened.value;
  throw faultError(opened.error.fault, opened.error.target, context.out.text);
}

/** Runs `use` with a gateway and closes it, whatever happens. */
export async function withGateway<T>(context: Context, options: OpenOptions, use: (gateway: Gateway) => Promise<T>): Promise<T> {
  const gateway = await openGateway(context, options);
  try {
    return await use(gateway);
  } finally {
    gateway.close();
  }
}

type Opened = Result<Gateway, { fault: Fault; target: ResolvedTarget }>;

/** The same with the reason as a value, for commands that go on without a gateway. Throws only what is wrong before any connection. */
export async function tryOpen(context: Context, options: OpenOptions): Promise<Opened> {
  if (options.only !== undefined) return openUrl(context, options.only, options);
  const admin = await adminTarget(context);
  if (admin !== undefined) {
    const opened = await open(context, admin, options);
    // A socket file without a gateway behind it: another one may still answer on the port (a tunnel, another user's).
    if (opened.ok || opened.error.fault.kind !== 'unreachable') return opened;
  }
  return openUrl(context, await urlTarget(context), options);
}

async function openUrl(context: Context, target: ResolvedTarget, options: OpenOptions): Promise<Opened> {
  const opened = await open(context, target, options);
  if (opened.ok || !mayGoWithoutDevice(opened.error.fault, target)) return opened;
  // The device waits for approval; the secret alone is worth read and write meanwhile. That it waits is said, not hidden.
  const bare = await open(context, target, options, { withoutDevice: true });
  if (!bare.ok) return opened;
  const { requestId: id, previousRequest } = (opened.error.fault.kind === 'refused' && opened.error.fault.error.details) || {};
  const { text: t } = context.out;
  const before = typeof previousRequest === 'string' ? t.requestBefore[previousRequest] : undefined;
  context.out.warn(t.deviceWaits(before));
  const approve = t.onGateway(`openclaw devices approve${typeof id === 'string' ? ` ${printable(id)}` : ''}`);
  context.out.note(context.out.todo(t.fix, approve, '  '));
  return bare;
}

const holdsSecret = ({ credentials }: ResolvedTarget): boolean => credentials.token !== undefined || credentials.password !== undefined;
const mayGoWithoutDevice = (fault: Fault, target: ResolvedTarget): boolean =>
  refusalCode(fault) === 'PAIRING_REQUIRED' && holdsSecret(target);

async function open(
  context: Context,
  target: ResolvedTarget,
  options: OpenOptions,
  how: { readonly withoutDevice?: boolean } = {},
): Promise<Opened> {
  const { env, paths } = context;
  const timeoutMs = options.timeoutMs ?? context.flags.int('timeout', { min: 1, max: 3_600_000 }) ?? DEFAULT_TIMEOUT_MS;
  const isAdmin = target.endpoint.door === 'admin';
  const device = isAdmin || how.withoutDevice === true ? undefined : await clientDevice();
  let resolved: ResolvedTarget | undefined = target;
  const client = new GatewayClient({
    openSocket: env.doors.openSocket,
    clock: env.clock,
    // A later attempt asks anew: a token may have been rotated, a tunnel moved. Every secret that leaves passes here.
    target: async () => {
      if (isAdmin) return target;
      const first = resolved;
      resolved = undefined;
      const next = first ?? (await urlTarget({ ...context, config: lazyConfig(paths, env.vars) }));
      return next.secret === undefined ? next : (await import('./own-gateway.ts')).pinned(context, next);
    },
    hello: {
      client: {
        id: options.clientId ?? 'cli',
        mode: options.mode ?? 'cli',
        version: VERSION,
        platform: env.platform,
        // By this name people tell devices apart. The admin socket asks nobody who they are.
        ...(isAdmin ? {} : { displayName: process.getBuiltinModule('node:os').hostname() }),
      },
      role: 'operator',
      scopes: options.scopes,
      ...(options.caps === undefined ? {} : { caps: options.caps }),
    },
    ...(device === undefined ? {} : { device: device.key, tokens: device.tokens }),
    connectTimeoutMs: timeoutMs,
    reconnect: options.reconnect === true,
    ...(options.onStage === undefined ? {} : { onStage: options.onStage }),
  });

  if (options.events === true && isAdmin) {
    client.onState((state) => {
      if (state.kind === 'open') void client.request('events.subscribe', {});
    });
  }
  const outcome = await client.connect();
  if (!outcome.ok) {
    client.close();
    return err({ fault: outcome.error, target });
  }
  return ok({
    client,
    target,
    async call(name, params, requestOptions) {
      const answer = await client.request(name, params, { timeoutMs, ...requestOptions });
      if (answer.ok) return answer.value;
      throw faultError(answer.error, target, context.out.text);
    },
    close: () => client.close(),
  });

  async function clientDevice() {
    const { loadClientDevice } = await import('../client/node/device-identity.ts');
    const found = loadClientDevice(paths.gatewayDir, { create: options.device === 'make', nowMs: env.clock.now() });
    const isKnown = found?.tokens.read(target.endpoint.url, 'operator') !== undefined;
    return options.device === 'have' && holdsSecret(target) && !isKnown ? undefined : found;
  }
}
