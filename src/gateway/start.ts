import { createServer as createUnixServer } from 'node:net';
import { hostname } from 'node:os';
import { join } from 'node:path';
import type { Agent } from '../agent/api.ts';
import { createAgent } from '../agent/create-agent.ts';
import { mainSessionKey } from '../agent/session-key.ts';
import { createTryModel } from '../agent/try-model/child.ts';
import { describePython } from '../agent/try-model/plan.ts';
import { admit, helloAuth, type Principal, stillStands } from '../auth/admit.ts';
import { Approvals, type Asking } from '../auth/approvals.ts';
import { AuditTrail } from '../auth/audit.ts';
import { mayReceive } from '../auth/authorize.ts';
import { AuthLimiter } from '../auth/rate-limit.ts';
import type { Env } from '../config/env.ts';
import { writeFirstConfig } from '../config/first-run.ts';
import type { ConfigSnapshot } from '../config/load.ts';
import type { Paths } from '../config/paths.ts';
import { prepareSocketPath } from '../config/socket-path.ts';
import { watchConfig } from '../config/watch.ts';
import { ensurePrivateDir } from '../files/private-files.ts';
import { tightenEntries } from '../files/tighten.ts';
import { BUILD_ID, VERSION } from '../lib/build-info.ts';
import { type Clock, systemClock } from '../lib/clock.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import type { Result } from '../lib/result.ts';
import type { ListenFailure } from '../net/listen.ts';
import { listenUnix } from '../net/listen-unix.ts';
import { peerUidReader } from '../net/peer-uid.ts';
import { CLOSE } from '../protocol/close.ts';
import type { SessionDefaults } from '../protocol/connect.ts';
import { EVENTS } from '../protocol/events.ts';
import { LIMITS } from '../protocol/limits.ts';
import { indexMethods, SOCKET_METHODS, WIRE_METHODS } from '../protocol/registry.ts';
import { attachmentFiles } from '../store/attachments.ts';
import { loadGatewayIdentity } from '../store/gateway-identity.ts';
import { takeInstanceLock } from '../store/instance-lock.ts';
import { AGENT_SCHEMA, AGENT_WAITING_SCHEMA, createAgentStore } from '../store/sqlite/agent.ts';
import { AUDIT_SCHEMA, sqliteAudit } from '../store/sqlite/audit.ts';
import { DEVICES_LET_IN_STEP, DEVICES_SCHEMA, sqliteDevices } from '../store/sqlite/devices.ts';
import { EVENT_LOG_STEP, eventLog } from '../store/sqlite/event-log.ts';
import { openDatabase } from '../store/sqlite/open.ts';
import { SESSION_LIST_STEP } from '../store/sqlite/session-list.ts';
import { UNNAMED_SESSIONS_STEP } from '../store/sqlite/unnamed-sessions.ts';
import { serveAdminSocket } from './admin-socket/server.ts';
import { configViews } from './config-views.ts';
import { bindMethods, type DispatchPorts, frameLimit } from './dispatch.ts';
import { DoorNotes } from './door-notes.ts';
import { fanOutAgentEvents } from './event-fanout.ts';
import { giveBackWhenIdle } from './give-back.ts';
import { bindWish } from './guards.ts';
import { Health } from './health.ts';
import { HELD_LIMITS, heldPorts } from './held-bytes.ts';
import { RequestsUnderWay } from './http/requests-under-way.ts';
import { httpServers } from './http/server.ts';
import { httpConfig } from './http-config.ts';
import { Intake } from './intake/intake.ts';
import { CONTROL_RATES, FairLanes, WRITE_RATES } from './lanes.ts';
import { Lifecycle, within } from './lifecycle.ts';
import { Listeners, listenUrl } from './listeners.ts';
import { createLog } from './log.ts';
import { LogFile } from './log-file.ts';
import { keepLogBounded } from './log-retention.ts';
import { agentHandlers } from './methods/agents.ts';
import { chatHandlers } from './methods/chat.ts';
import { deviceHandlers, pendingRow } from './methods/devices.ts';
import { localHandlers } from './methods/local.ts';
import { sessionHandlers } from './methods/sessions.ts';
import { systemHandlers } from './methods/system.ts';
import type { Outcome } from './outcome.ts';
import { Presence } from './presence.ts';
import { PresenceLine } from './presence-line.ts';
import { productRoot } from './product-root.ts';
import { Readiness } from './readiness.ts';
import { renew } from './renew.ts';
import { importEarlierDevices, selfCheck, selfPresence, userName } from './self.ts';
import { Settings } from './settings.ts';
import { processSignals, type Signals } from './signals.ts';
import { gatewayFacts, nodeRows } from './status-facts.ts';
import { catchStrayErrors } from './stray-errors.ts';
import { tryModelSetup } from './try-model-setup.ts';
import { startHeartbeat } from './ws/heartbeat.ts';
import { featuresJson, helloText } from './ws/hello.ts';
import { Hub } from './ws/hub.ts';
import { PreauthPool } from './ws/preauth.ts';
import { WsServer } from './ws/server.ts';
import { upgradeHandler } from './ws/upgrade.ts';
import { keepYoungHeapSmall } from './young-heap.ts';

/**
 * The composition root: the whole wiring on one page. Features meet here and nowhere else.
 */

/** Every step of the database's schema, oldest first. Append only. */
export const SCHEMAS = [
  EVENT_LOG_STEP,
  DEVICES_SCHEMA,
  AUDIT_SCHEMA,
  AGENT_SCHEMA,
  DEVICES_LET_IN_STEP,
  SESSION_LIST_STEP,
  UNNAMED_SESSIONS_STEP,
  AGENT_WAITING_SCHEMA,
];

export interface GatewayFlags {
  /** Values by config path, e.g. `{'gateway.bind': 'lan'}`; they beat environment and file. */
  readonly config: Readonly<Record<string, unknown>>;
  /** 0 takes a free port. */
  readonly port?: number | undefined;
  readonly token?: string | undefined;
  readonly password?: string | undefined;
  readonly verbose?: boolean | undefined;
}

export interface RunGatewayOptions {
  readonly paths: Paths;
  readonly env: Env;
  readonly flags: GatewayFlags;
  /** `npm start`: write the small first config where there is none. */
  readonly firstRun?: boolean;
  /** Where people read: the terminal that started it. */
  readonly out: { info(line: string): void; error(line: string): void };
}

/**
 * Runs a gateway until it is told to stop; restarts happen inside. Resolves with the exit code. A refusal to start is a
 * `UserError` with its fix.
 */
export async function runGateway(options: RunGatewayOptions): Promise<number> {
  const { out } = options;
  process.umask(0o077);
  const signals = processSignals();
  try {
    while (!signals.isStopWished) {
      const outcome = await runOnce(options, signals);
      if (outcome.kind === 'stop') return outcome.code;
      await renew(productRoot(), BUILD_ID, options.env, () => signals.isStopWished);
    }
  } catch (thrown) {
    // Whoever told it to stop has what they wanted; that it would not have come up is worth a word.
    if (!signals.isStopWished) throw thrown;
    out.error(`openclaw: ${messageOf(thrown)}`);
  }
  return 0;
}

async function runOnce(options: RunGatewayOptions, signals: Signals): Promise<Outcome> {
  const { paths, flags, out } = options;
  signals.begin();
  const clock = systemClock;
  const startedAt = clock.monotonic();

  // Settings, and whether they may start at all: nothing is opened before that is known.
  if (options.firstRun === true && writeFirstConfig(paths, options.env)) out.info(`wrote a first config: ${paths.configPath}`);
  const settings = await Settings.read({ paths, env: options.env, flags });
  ensurePrivateDir(paths.gatewayDir);
  const lock = must(takeInstanceLock(paths.gatewayDir, { pid: process.pid, startedAt: clock.now(), version: VERSION }));
  // From here on everything that was opened is closed again, in reverse, whatever happens.
  const closing: (() => unknown)[] = [() => lock.release()];
  try {
    tightenEntries(paths.gatewayDir);
    if (await settings.makeToken()) out.info('made a token for this gateway: openclaw auth token --show prints it');

    // Log.
    const logFile = new LogFile(paths.logsDir, clock.now);
    closing.push(() => logFile.close());
    const log = createLog({
      level: () => settings.snapshot.config.logging.level ?? 'info',
      file: logFile,
      console: { level: flags.verbose === true ? 'debug' : 'warn', write: (line) => out.error(line) },
      secrets: () => settings.secrets,
    });
    // From the moment there is something to close: a stop that comes while it starts is a stop all the same.
    // One that runs is not given up for one that would not come up.
    const restartProblem = async (): Promise<UserError | undefined> => {
      try {
        const failure = await listeners.problem(bindWish(await settings.next(), flags.port));
        return failure && busyError(failure);
      } catch (thrown) {
        if (thrown instanceof UserError) return thrown;
        throw thrown;
      }
    };
    const lifecycle = new Lifecycle({ clock, log, restartProblem });
    closing.push(catchStrayErrors({ process, log, fail: (why) => lifecycle.fail(why) }));
    closing.push(signals.deliverTo(lifecycle));
    const warnOfSettings = (): void => {
      for (const message of settings.warnings) log.warn(message);
    };
    warnOfSettings();

    // State.
    const db = must(await openDatabase(paths.dbPath, { schemas: SCHEMAS, clock }));
    closing.push(() => db.close());
    const { identity } = loadGatewayIdentity(paths.gatewayDir, paths.stateDir, clock.now());
    const events = eventLog(db);
    const retention = () => settings.snapshot.config.gateway.eventLog;
    closing.push(keepLogBounded({ events, write: (work) => db.write(work), retention, clock, log }));
    const devices = sqliteDevices(db);

    // The door.
    const hub = new Hub();
    const { policy } = settings;
    const limiter = new AuthLimiter(clock, () => policy.current().rateLimit);
    const approvals = new Approvals(devices, clock, () => hub.devices());
    const audit = new AuditTrail(sqliteAudit(db), clock, log.part('audit'));
    closing.push(() => audit.flush());
    await importEarlierDevices(paths, approvals, clock.now(), (line) => out.info(line));
    const door = { clock, log: log.part('auth'), policy, devices, approvals, limiter, audit };
    const notes = new DoorNotes(clock, log.part('auth'));

    // The agent.
    const listenPort = (): number =>
      listeners.state.state === 'active' ? listeners.state.port : (flags.port ?? settings.snapshot.config.gateway.port);
    const root = productRoot();
    const tryPlace = { modelsDir: paths.modelsDir, assetsDir: join(root, 'assets'), env: settings.snapshot.env };
    const tryModel = createTryModel(tryPlace, log.part('try-model'), clock);
    const trySetup = tryModelSetup(tryPlace, tryModel, clock);
    closing.push(() => tryModel.stop());
    closing.push(() => trySetup.stop());
    const agent: Agent = await createAgent({
      store: createAgentStore(db, events),
      attachments: attachmentFiles(paths.attachmentsDir),
      config: { current: () => settings.agent.config },
      clock,
      log: log.part('agent'),
      fetch: (input, init) => fetch(input, init),
      tryModel,
      python: () => describePython(settings.snapshot.env),
      here: () => ({ port: listenPort(), user: userName(), host: hostname(), docsDir: join(root, 'docs') }),
    });

    // Who is here, and what they are told.
    const health = new Health(agent, clock, () => db.health().state === 'ok');
    const presence = new Presence(clock, selfPresence(identity.deviceId));
    fanOutAgentEvents(agent, hub, clock);

    // Methods.
    const version = VERSION;
    const startedAtMs = clock.now();
    const statusPorts = {
      snapshot: () => settings.snapshot,
      listeners: () => listeners,
      agent,
      db,
      policy,
      limiter,
      hub,
      pending: () => approvals.pending().length,
      notes,
      version,
      startedAtMs,
    };
    const handlers = {
      ...chatHandlers(agent, clock),
      ...sessionHandlers(agent, clock),
      ...agentHandlers(agent),
      ...deviceHandlers({ approvals, devices, audit, connected: () => hub.devices() }),
      ...systemHandlers({
        agent,
        clock,
        health,
        presence,
        identity,
        logFile: () => logFile.path,
        version,
        configView: configViews(() => settings),
        facts: (call) => gatewayFacts(statusPorts, call.principal.scopes),
        nodes: () => nodeRows(devices, hub),
        workspace: () => settings.agent.config.agents[0]?.workspace ?? paths.workspace,
        stateDir: paths.stateDir,
      }),
    };
    const wireIndex = indexMethods(Object.values(WIRE_METHODS));
    const socketIndex = indexMethods([...Object.values(WIRE_METHODS), ...Object.values(SOCKET_METHODS)]);
    const lanes = {
      writes: new FairLanes(clock, WRITE_RATES),
      control: new FairLanes(clock, CONTROL_RATES),
    };
    const wire: DispatchPorts = { methods: bindMethods(wireIndex, handlers), log: log.part('methods'), ...lanes };
    const local: DispatchPorts = {
      ...wire,
      methods: bindMethods(socketIndex, {
        ...handlers,
        ...localHandlers({
          agent,
          clock,
          stop: (why) => lifecycle.stop(why),
          restart: (why) => lifecycle.restart(why),
          restartProblem,
          // Overwrites one row: probes may come for years.
          durableWrite: () => db.probe(),
          tryModel: trySetup,
        }),
      }),
    };

    const intake = new Intake(clock);

    // What connections make us keep.
    const held = heldPorts(clock);
    closing.push(clock.every(HELD_LIMITS.slowMs, () => held.incoming.endSlow()));

    // The admin socket, before anything else can be reached.
    prepareSocketPath(paths);
    const adminServer = createUnixServer();
    must(await listenUnix(adminServer, paths.socketPath, clock));
    const admin = serveAdminSocket(adminServer, {
      intake,
      dispatch: local,
      hub,
      held,
      log: log.part('socket'),
      newId: () => crypto.randomUUID(),
    });
    closing.push(() => {
      admin.closeAll();
      adminServer.close();
    });

    // WebSocket and HTTP on one port.
    const bootId = crypto.randomUUID();
    const sessionDefaults = (): SessionDefaults => ({
      defaultAgentId: settings.agent.config.defaultAgentId,
      mainKey: 'main',
      mainSessionKey: mainSessionKey(settings.agent.config.defaultAgentId),
      scope: 'per-sender',
      modelConfigured: agent.defaultModel() !== undefined,
      ownership: 'sole',
      selectionRequired: false,
    });
    const features = featuresJson(
      [...wireIndex.keys()],
      EVENTS.map(({ name }) => name),
    );
    const preauth = new PreauthPool(clock, {
      perAddress: LIMITS.preauthPerAddress,
      total: LIMITS.preauthTotal,
      crowd: LIMITS.preauthCrowd,
    });
    const ws = new WsServer({
      clock,
      log: log.part('ws'),
      hub,
      preauth,
      intake,
      held,
      dispatch: wire,
      newId: () => crypto.randomUUID(),
      admit: async (facts, presented) => notes.seen(await admit(facts, presented, door)),
      stillStands: (principal) => stillStands(principal, door),
      hello: (id, { connId, protocol, principal }, admitted) =>
        helloText(id, protocol, connId, principal, helloAuth(admitted, protocol), {
          version,
          buildId: BUILD_ID,
          bootId,
          features,
          uptimeMs: Math.round(clock.monotonic() - startedAt),
          presenceJson: presence.json(),
          healthJson: health.json(protocol, mayReceive(admitted.principal, { scope: 'operator.read' })),
          presenceVersion: presence.version,
          healthVersion: health.version,
          sessionDefaults: sessionDefaults(),
          configPath: paths.configPath,
          stateDir: paths.stateDir,
          authMode: policy.current().mode,
          configHash: settings.snapshot.hash,
          maxPayload: frameLimit(wire, principal, protocol),
        }),
      onOpen: (info, admitted, connection) => presenceLine.join(info, admitted, connection),
      onClose: (info) => presenceLine.leave(info),
    });
    const presenceLine = new PresenceLine(presence, health, hub, clock);
    closing.push(() => presenceLine.stop());
    const peers = { read: peerUidReader(), ownUid: process.getuid?.() };
    const readiness = new Readiness(clock, () => selfCheck(paths.socketPath));
    db.onHealth((now) => {
      readiness.forget();
      if (now.state === 'ok') log.info('the database takes writes again');
      else log.error(now.problem.message, { fix: now.problem.fix });
    });
    let open = true;
    const underWay = new RequestsUnderWay();
    const server = httpServers({
      clock,
      log: log.part('http'),
      intake,
      admitHttp: async (facts, bearer) => notes.seen(await admit(facts, { transport: 'http', bearer }, door)),
      stillStands: (principal) => stillStands(principal, door),
      takeWrite: (principal) => lanes.writes.take(principal.id),
      underWay,
      held,
      agent,
      readiness,
      config: () => httpConfig(settings.snapshot),
      policy: () => settings.facts,
      peers,
      version,
      buildId: BUILD_ID,
      uptimeMs: () => Math.round(clock.monotonic() - startedAt),
      onUpgrade: upgradeHandler({ ws, log: log.part('ws'), policy: () => settings.facts, peers, intake, isOpen: () => open }),
    });
    const listeners = new Listeners(bindWish(settings.snapshot, flags.port), {
      clock,
      log: log.part('net'),
      serverFor: () => server({ kind: 'tcp', tls: false }),
      onActive: ({ addresses, port }) => {
        lock.announce({ pid: process.pid, startedAt: startedAtMs, version, port, socketPath: paths.socketPath });
        for (const host of addresses) {
          out.info(`listening on ${listenUrl(host, port)} (PID ${process.pid})`);
          log.info('listening', { host, port, pid: process.pid });
        }
      },
    });
    closing.push(() => {
      listeners.close();
      listeners.cut();
    });
    const listening = await listeners.start();
    if (!listening.ok) throw busyError(listening.error);
    if (listening.value.state === 'waiting')
      out.info(`waiting for a ${listening.value.for}: listening nowhere on TCP until it comes (the admin socket is up)`);

    // What keeps live connections honest.
    const endWhere = (match: (principal: Principal) => boolean, reason: string, by?: Asking): void => {
      hub.closeWhere(match, CLOSE.revoked, reason, by);
      underWay.cutWhere(match);
    };
    closing.push(startHeartbeat(clock, () => [...ws.connections()].filter(({ isOpen }) => isOpen)));
    closing.push(
      approvals.onEvent((event) => {
        if (event.kind === 'requested') hub.broadcast({ event: 'device.pair.requested', payload: () => pendingRow(event.request) });
        else if (event.kind === 'resolved') {
          const { requestId, deviceId, decision, ts } = event;
          hub.broadcast({ event: 'device.pair.resolved', payload: () => ({ requestId, deviceId, decision, ts }) });
        } else {
          const { deviceId, role, credentialId, reason, by } = event;
          endWhere(
            (principal) =>
              principal.deviceId === deviceId &&
              (role === undefined || principal.role === role) &&
              (credentialId === undefined || principal.credential.id === credentialId),
            reason,
            by,
          );
        }
      }),
    );
    const closeFallen = (): void => {
      // A thousand connections of one device are one question.
      const asked = new Map<string, boolean>();
      endWhere((principal) => {
        if (principal.kind === 'socket') return false;
        const { deviceId, role, credential } = principal;
        const key = [deviceId, role, credential.class, credential.id, credential.generation].join(' ');
        const stands = asked.get(key) ?? stillStands(principal, door);
        asked.set(key, stands);
        return !stands;
      }, 'credential changed');
    };
    closing.push(
      policy.onChange((changed) => {
        audit.event({ event: 'secret-changed', detail: changed.join(', ') });
        closeFallen();
      }),
    );
    // Tokens run out without anybody doing anything.
    closing.push(clock.every(60_000, closeFallen));

    // Changes while it runs, one after the other: an older text must never win over a newer.
    let applying = Promise.resolve();
    const inTurn = (failed: string, task: () => Promise<void>): void => {
      applying = applying.then(task).catch((thrown: unknown) => log.error(failed, { cause: messageOf(thrown) }));
    };
    const applyConfig = async (next: ConfigSnapshot): Promise<void> => {
      const { action, ignored, changed } = await settings.take(next);
      if (ignored.length > 0) log.warn('changes that wait for a restart: openclaw gateway restart', { paths: ignored });
      if (action === 'nothing') return;
      // It ends anyway, and comes up with the new text; who may be here counts for those who stay until then.
      if (lifecycle.isEnding) return;
      if (action === 'restart') {
        const failure = await listeners.problem(bindWish(next, flags.port));
        if (failure === undefined) lifecycle.restart('the config changed');
        else log.error(`not restarted: ${failure.message}`, { paths: changed.map(({ path }) => path) });
        return;
      }
      warnOfSettings();
      log.info('config taken over', { paths: changed.map(({ path }) => path) });
    };
    const watch = watchConfig({
      current: settings.snapshot,
      load: (generation) => settings.load(generation),
      clock,
      onProblem: (problem) =>
        log.error('the changed config is wrong and was not taken over', { problem: problem.message, fix: problem.fix }),
      onChange: ({ snapshot }) => inTurn('the changed config was not taken over', () => applyConfig(snapshot)),
    });
    closing.push(() => {
      watch.stop();
      return applying;
    });
    const rereadSecret = async (): Promise<void> => {
      if (await settings.rereadSecret()) log.info('another secret was read from its file');
    };
    closing.push(clock.every(SECRET_FILE_MS, () => inTurn('the secret in its file was not taken over', rereadSecret)));

    if (!lifecycle.isEnding) agent.resume();
    // What was edited while it started was not watched yet.
    void watch.reload();
    keepYoungHeapSmall();
    closing.push(giveBackWhenIdle(clock, () => hub.size));
    readiness.setState('running');
    lifecycle.up();
    log.info('ready', { version, ms: Math.round(clock.monotonic() - startedAt) });
    const { drainMs } = await lifecycle.ended;

    // The end: no new work, running turns finish, everybody is told, everything is closed.
    readiness.setState('draining');
    open = false;
    listeners.close();
    await within(clock, drainMs, lifecycle.hurried, agent.drain(drainMs));
    // What still runs is marked interrupted. A tool that does not let go is left behind; the next start marks its run.
    await within(clock, INTERRUPT_LIMIT_MS, NEVER, agent.drain(0));
    const { ending } = lifecycle;
    const restartExpectedMs = ending.outcome.kind === 'restart' ? 1_500 : null;
    hub.broadcast({
      event: 'shutdown',
      payload: (protocol) =>
        restartExpectedMs === null && protocol === 4 ? { reason: ending.reason } : { reason: ending.reason, restartExpectedMs },
    });
    for (const connection of [...ws.connections()]) connection.close(CLOSE.restart, 'service restart');
    await within(
      clock,
      CLOSE_LIMIT_MS,
      lifecycle.hurried,
      allGone(clock, () => ws.isEmpty && underWay.size === 0),
    );
    const { outcome } = lifecycle.ending;
    log.info('stopped', { outcome: outcome.kind });
    return outcome;
  } finally {
    for (const close of closing.reverse()) {
      try {
        await close();
      } catch (thrown) {
        out.error(`openclaw: while closing: ${messageOf(thrown)}`);
      }
    }
  }
}

/** How often a secret that lies in a file of its own is read again: a rotation there reaches live sockets within two seconds. */
const SECRET_FILE_MS = 1_500;
/** Clients have this long to answer the close frame, and to read the rest of an answer. */
const CLOSE_LIMIT_MS = 5_000;
/** Runs that are stopped have this long to end and to be written. */
const INTERRUPT_LIMIT_MS = 5_000;
const NEVER = new Promise<void>(() => {});

const busyError = ({ code, message }: ListenFailure): UserError =>
  new UserError(code, `${message}.`, { fix: 'openclaw gateway --port <another>   (or end what holds it)' });

const must = <T>(result: Result<T, { readonly message: string; readonly code: string }>): T => {
  if (result.ok) return result.value;
  throw result.error instanceof UserError ? result.error : new UserError(result.error.code, `${result.error.message}.`);
};

/** Resolves when nobody is left, or never when one stays: its caller has a deadline. */
const allGone = (clock: Clock, isEmpty: () => boolean): Promise<void> =>
  new Promise((resolve) => {
    if (isEmpty()) return resolve();
    const cancel = clock.every(20, () => {
      if (!isEmpty()) return;
      cancel();
      resolve();
    });
  });
