import { PolicyHolder } from '../auth/policy.ts';
import { type ChangedPath, changedPaths, type ReloadPlan, reloadPlan } from '../config/changes.ts';
import type { Env } from '../config/env.ts';
import { makeGeneratedToken, newToken } from '../config/generated-token.ts';
import { type ConfigProblem, type ConfigSnapshot, loadConfig, problemError } from '../config/load.ts';
import type { Paths } from '../config/paths.ts';
import type { Result } from '../lib/result.ts';
import { type AgentSettings, agentSettings } from './agent-settings.ts';
import type { FactsPolicy } from './facts.ts';
import { guardStart } from './guards.ts';
import { factsPolicyOf } from './self.ts';
import { type ServerAuth, serverAuth } from './server-auth.ts';

export interface SettingsPorts {
  readonly paths: Paths;
  readonly env: Env;
  readonly flags: {
    readonly config: Readonly<Record<string, unknown>>;
    readonly port?: number | undefined;
    readonly token?: string | undefined;
    readonly password?: string | undefined;
  };
}

export interface Taken extends ReloadPlan {
  readonly changed: readonly ChangedPath[];
}

/** Who may be here: one config, and all that says who gets in, made from that config and no other. Never changed, only replaced as a whole. */
interface Guard {
  readonly snapshot: ConfigSnapshot;
  readonly auth: ServerAuth;
  /** What requests are judged by. */
  readonly facts: FactsPolicy;
}

const guardOf = (snapshot: ConfigSnapshot, auth: ServerAuth): Guard => ({ snapshot, auth, facts: factsPolicyOf(snapshot) });

/**
 * What holds now. Two things, which may rest on different texts while a restart waits or was refused: what runs, and who may be here.
 * The second is one value, the door's policy is set with it, and whatever is read anew for it is read by its own config.
 */
export class Settings {
  readonly #ports: SettingsPorts;
  /** The door's policy: what `#guard` says, from the moment it says so. */
  readonly policy: PolicyHolder;
  #snapshot: ConfigSnapshot;
  #agent: AgentSettings;
  #guard: Guard;

  private constructor(ports: SettingsPorts, snapshot: ConfigSnapshot, auth: ServerAuth, agent: AgentSettings) {
    this.#ports = ports;
    this.#snapshot = snapshot;
    this.#agent = agent;
    this.#guard = guardOf(snapshot, auth);
    this.policy = new PolicyHolder(auth.settings);
  }

  /** Reads them and judges whether a gateway may start with them; opens nothing. Throws the `UserError` that says why not. */
  static async read(ports: SettingsPorts): Promise<Settings> {
    const { snapshot, auth } = await readAndJudge(ports, 1);
    return new Settings(ports, snapshot, auth, await agentSettings(snapshot));
  }

  #setGuard(guard: Guard): void {
    this.#guard = guard;
    this.policy.replace(guard.auth.settings);
  }

  /** The config that runs; who may be here may rest on a later one. */
  get snapshot(): ConfigSnapshot {
    return this.#snapshot;
  }
  get auth(): ServerAuth {
    return this.#guard.auth;
  }
  get agent(): AgentSettings {
    return this.#agent;
  }
  /** What requests are judged by. */
  get facts(): FactsPolicy {
    return this.#guard.facts;
  }
  /** Texts that no line of a log may hold. */
  get secrets(): readonly string[] {
    const { configured, settings } = this.#guard.auth;
    return [configured.token, configured.password, settings.secret?.value, ...this.#agent.secrets].filter((text) => text !== undefined);
  }
  get warnings(): readonly string[] {
    return [
      ...this.#snapshot.warnings.map(({ path, message }) => `config: ${path} ${message}`),
      ...tailscaleWarning(this.#snapshot),
      ...this.#guard.auth.warnings,
      ...this.#agent.warnings,
      ...this.#guard.facts.origins.warnings.map(({ message }) => message),
    ];
  }

  load(generation: number): Promise<Result<ConfigSnapshot, ConfigProblem>> {
    return load(this.#ports, generation);
  }

  /** Makes the token of our own where nothing else guards; true when it was made just now. Only under the lock of the state dir. */
  async makeToken(): Promise<boolean> {
    const { snapshot, auth } = this.#guard;
    if (!auth.wantsGenerated) return false;
    const made = makeGeneratedToken(this.#ports.paths);
    this.#setGuard(guardOf(snapshot, await authOf(this.#ports, snapshot)));
    return made;
  }

  /** What a gateway that starts now would start with. Throws the `UserError` that says why it would not. */
  async next(): Promise<ConfigSnapshot> {
    return (await readAndJudge(this.#ports, this.#snapshot.generation + 1)).snapshot;
  }

  /**
   * Takes a changed config over, as far as its reload mode lets it. Who may be here counts at once, also where the rest
   * waits for a restart, which waits for running turns. Throws what would keep a gateway from starting with it, and takes nothing then.
   */
  async take(next: ConfigSnapshot): Promise<Taken> {
    // Against what runs, not against the text before: that one may have been refused.
    const changed = changedPaths(this.#snapshot, next);
    const plan = reloadPlan(changed, next.config.gateway.reload.mode);
    // Not by the plan: an edit that is taken back leaves what runs as it is, and who may be here has to come back with it.
    const isGuardNews = next.config.gateway.reload.mode !== 'off' && changedPaths(this.#guard.snapshot, next).length > 0;
    if (plan.action === 'nothing' && !isGuardNews) return { ...plan, changed };
    let auth = await authOf(this.#ports, next);
    await guardStart(next, auth, this.#ports.flags.port, newToken);
    const agent = await agentSettings(next);
    if (auth.wantsGenerated) {
      makeGeneratedToken(this.#ports.paths);
      auth = await authOf(this.#ports, next);
    }
    this.#setGuard(guardOf(next, auth));
    if (plan.action === 'apply') {
      this.#snapshot = next;
      this.#agent = agent;
    }
    return { ...plan, changed };
  }

  /**
   * Reads the secret again where it lies in a file of its own, which changes without a change of the config; true when it is another one now. A
   * file that is gone, for a moment or for good, changes nothing. Throws when the new secret may not guard what is open.
   */
  async rereadSecret(): Promise<boolean> {
    const { snapshot, auth } = this.#guard;
    if (!auth.isFromFile) return false;
    const found = await serverAuth(snapshot, this.#ports.flags);
    const secret = found.ok ? found.value.settings.secret : undefined;
    if (!found.ok || secret === undefined || secret.value === auth.settings.secret?.value) return false;
    await guardStart(snapshot, found.value, this.#ports.flags.port, newToken);
    this.#setGuard(guardOf(snapshot, found.value));
    return true;
  }
}

/** A setting that is taken and does nothing is told, or its owner believes to be reachable. */
const tailscaleWarning = ({ config: { gateway } }: ConfigSnapshot): string[] =>
  gateway.tailscale.mode === 'off'
    ? []
    : [
        `gateway.tailscale.mode is "${gateway.tailscale.mode}", and this version sets nothing up at Tailscale: the gateway is reached on this machine, and from others through ssh -N -L ${gateway.port}:127.0.0.1:${gateway.port} user@host`,
      ];

const load = ({ paths, env, flags }: SettingsPorts, generation: number): Promise<Result<ConfigSnapshot, ConfigProblem>> =>
  loadConfig({ paths, env, flags: flags.config, generation });

async function authOf({ flags: { token, password } }: SettingsPorts, snapshot: ConfigSnapshot): Promise<ServerAuth> {
  const auth = await serverAuth(snapshot, { token, password });
  if (!auth.ok) throw auth.error;
  return auth.value;
}

async function readAndJudge(ports: SettingsPorts, generation: number): Promise<{ snapshot: ConfigSnapshot; auth: ServerAuth }> {
  const loaded = await load(ports, generation);
  if (!loaded.ok) throw problemError(loaded.error);
  const auth = await authOf(ports, loaded.value);
  await guardStart(loaded.value, auth, ports.flags.port, newToken);
  return { snapshot: loaded.value, auth };
}
