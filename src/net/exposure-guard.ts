import { modeInForce } from '../lib/auth-mode.ts';
import { MIN_SECRET_CHARS, type SecretStrength, secretStrength } from '../lib/secret-strength.ts';
import { inCidr, isLoopback, parseCidr, parseIp } from './addresses.ts';
import { type BindPlan, isReachableFromElsewhere } from './bind.ts';
import { formatAuthority } from './hosts.ts';

export interface ExposureFacts {
  readonly plan: BindPlan;
  /** `gateway.auth.mode` or `--auth`; undefined when neither is set: it then follows from which secret is there. */
  readonly authMode: 'none' | 'token' | 'password' | 'trusted-proxy' | undefined;
  /** What was *configured* (flag, environment, file). The token that the gateway generated for itself is not among them. */
  readonly token: string | undefined;
  readonly password: string | undefined;
  /** A token of our own making stands in where none is configured. */
  readonly hasGeneratedToken: boolean;
  readonly tailscaleMode: 'off' | 'serve' | 'funnel';
  readonly trustedProxies: readonly string[];
  /** Another exposure is declared: a public URL, a tunnel provider. */
  readonly hasPublicUrl?: boolean;
  /** `hooks.token`, when hooks are on. */
  readonly hooksToken?: string | undefined;
  /** A fresh secret to paste into a refusal. Called only when one is printed. */
  readonly generate: (kind: 'token' | 'password') => string;
}

/** Why the gateway does not start as configured. */
export interface ExposureRefusal {
  readonly code: string;
  readonly message: string;
  /** One command or config line. */
  readonly fix: string;
  /** The config key at fault. */
  readonly path: string;
}

/**
 * Whether this combination of bind, credentials and exposure may start. Pure; an empty list means yes. All refusals are listed, so that
 * nobody mends one only to meet the next. `fix` never repeats a secret of the config.
 */
export function guardExposure(facts: ExposureFacts): readonly ExposureRefusal[] {
  if (facts.plan.kind === 'refuse') {
    const { code, why, fix } = facts.plan;
    return [{ code, message: why, fix, path: code.startsWith('BIND_CUSTOM') ? 'gateway.customBindHost' : 'gateway.port' }];
  }
  return [...exposureMode(facts), ...authMode(facts), ...secret(facts), ...proxies(facts), ...hooks(facts)];
}

const EXPOSED_BY = {
  serve: 'Tailscale Serve (gateway.tailscale.mode "serve")',
  funnel: 'Tailscale Funnel (gateway.tailscale.mode "funnel")',
} as const;

/** What lets another machine in, in words; undefined when nothing does. */
function exposedBy(facts: ExposureFacts): string | undefined {
  const { plan } = facts;
  if (plan.kind !== 'refuse' && isReachableFromElsewhere(plan)) {
    const hosts =
      plan.kind === 'listen' ? plan.addresses.map(({ host }) => formatAuthority(host, plan.port)) : [`<tailnet address>:${plan.port}`];
    return `the listener on ${hosts.join(' and ')}`;
  }
  if (facts.tailscaleMode !== 'off') return EXPOSED_BY[facts.tailscaleMode];
  if (facts.hasPublicUrl) return 'gateway.publicUrl';
  return facts.trustedProxies.length > 0 ? 'the proxies in gateway.trustedProxies' : undefined;
}

const guardedBy = ({ authMode: mode, password }: ExposureFacts): NonNullable<ExposureFacts['authMode']> => modeInForce(mode, password);

function exposureMode(facts: ExposureFacts): ExposureRefusal[] {
  const { plan, tailscaleMode, generate } = facts;
  const refusals: ExposureRefusal[] = [];
  if (tailscaleMode !== 'off' && isReachableFromElsewhere(plan)) {
    refusals.push({
      code: 'TAILSCALE_NEEDS_LOOPBACK',
      message: `gateway.tailscale.mode "${tailscaleMode}" needs gateway.bind "loopback": any other listener would be a second way in beside it`,
      fix: 'openclaw config set gateway.bind loopback',
      path: 'gateway.bind',
    });
  }
  if (tailscaleMode === 'funnel' && guardedBy(facts) !== 'password') {
    refusals.push({
      code: 'FUNNEL_NEEDS_PASSWORD',
      message: 'Tailscale Funnel opens the gateway to the whole internet: it needs gateway.auth.mode "password"',
      fix: `OPENCLAW_GATEWAY_PASSWORD='${generate('password')}' openclaw gateway --tailscale funnel --auth password`,
      path: 'gateway.auth.mode',
    });
  }
  return refusals;
}

function authMode(facts: ExposureFacts): ExposureRefusal[] {
  const { authMode: mode, token, password } = facts;
  if (mode === undefined && isSet(token) && isSet(password)) {
    return [
      {
        code: 'AUTH_MODE_AMBIGUOUS',
        message: 'both a gateway token and a gateway password are configured, and gateway.auth.mode does not say which one guards',
        fix: 'openclaw config set gateway.auth.mode token',
        path: 'gateway.auth.mode',
      },
    ];
  }
  const way = exposedBy(facts);
  if (mode === 'none' && way) {
    return [
      {
        code: 'AUTH_NONE_EXPOSED',
        message: `gateway.auth.mode "none" is for loopback alone, but ${way} lets other machines in`,
        fix: 'openclaw config set gateway.auth.mode token',
        path: 'gateway.auth.mode',
      },
    ];
  }
  return [];
}

/** The secret that guards: is there one, and is it one that a stranger cannot guess? */
function secret(facts: ExposureFacts): ExposureRefusal[] {
  const { authMode: mode, token, password, generate } = facts;
  const kind = guardedBy(facts);
  if (kind === 'none' || kind === 'trusted-proxy') return [];
  const value = kind === 'password' ? password : token;
  const path = `gateway.auth.${kind}`;
  const env = kind === 'password' ? 'OPENCLAW_GATEWAY_PASSWORD' : 'OPENCLAW_GATEWAY_TOKEN';
  // Asked for by a prompt: as an argument it would stay in the shell's history.
  const give = (): string => `openclaw config set ${path} -   (and paste there: ${generate(kind)})`;
  // The variable beats the file, so it mends a weak value wherever that came from.
  const replace = (): string => `${env}='${generate(kind)}' openclaw gateway`;

  if (!isSet(value)) {
    if (mode === 'password') {
      return [
        {
          code: 'AUTH_PASSWORD_MISSING',
          message: `gateway.auth.mode is "password" but there is none: set ${env} (preferred) or ${path}`,
          fix: give(),
          path,
        },
      ];
    }
    const isBound = isReachableFromElsewhere(facts.plan);
    if (!isBound && (facts.hasGeneratedToken || !exposedBy(facts))) return [];
    return [
      {
        code: 'BIND_NEEDS_SECRET',
        message: `${exposedBy(facts)} lets other machines in: set a token (OPENCLAW_GATEWAY_TOKEN or gateway.auth.token) or a password (OPENCLAW_GATEWAY_PASSWORD or gateway.auth.password)`,
        fix: give(),
        path,
      },
    ];
  }
  const way = exposedBy(facts);
  const strength = secretStrength(kind, value);
  if (!way || strength === 'ok') return [];
  return [
    {
      code: 'AUTH_SECRET_WEAK',
      message: `the gateway ${kind} ${WEAKNESS[strength](kind)}, and ${way} lets other machines try it`,
      fix: replace(),
      path,
    },
  ];
}

const WEAKNESS: Readonly<Record<Exclude<SecretStrength, 'ok'>, (kind: 'token' | 'password') => string>> = {
  blank: () => 'is blank',
  placeholder: () => 'is sample text or an unresolved variable',
  short: (kind) => `is too short (at least ${MIN_SECRET_CHARS[kind]} characters)`,
};

function proxies({ plan, authMode: mode, trustedProxies }: ExposureFacts): ExposureRefusal[] {
  const path = 'gateway.trustedProxies';
  const refusals: ExposureRefusal[] = [];
  const blocks = trustedProxies.map((text) => ({ text, cidr: parseCidr(text) }));
  for (const { text, cidr } of blocks) {
    if (cidr && cidr.prefix > 0) continue;
    refusals.push({
      code: 'TRUSTED_PROXY_INVALID',
      message: cidr
        ? `${path}: ${text} is everybody`
        : `${path}: ${JSON.stringify(text)} is neither an IP address nor a block such as 10.0.0.0/8`,
      fix: `openclaw config set ${path} '["127.0.0.1"]'`,
      path,
    });
  }
  if (mode !== 'trusted-proxy') return refusals;
  if (trustedProxies.length === 0) {
    const message = `gateway.auth.mode "trusted-proxy" believes the proxies in ${path}, and that list is empty`;
    refusals.push({ code: 'TRUSTED_PROXY_MISSING', message, fix: `openclaw config set ${path} '["127.0.0.1"]'`, path });
  } else if (!isReachableFromElsewhere(plan) && !blocks.some(({ cidr }) => cidr && LOOPBACKS.some((ip) => inCidr(ip, cidr)))) {
    const message = `gateway.auth.mode "trusted-proxy" on a loopback bind needs a proxy on this machine, and ${path} lists none`;
    refusals.push({ code: 'TRUSTED_PROXY_NOT_LOOPBACK', message, fix: `openclaw config set ${path} '["127.0.0.1"]'`, path });
  }
  return refusals;
}

const LOOPBACKS = ['127.0.0.1', '::1'].flatMap((text) => parseIp(text) ?? []).filter(isLoopback);

function hooks({ hooksToken, token, generate }: ExposureFacts): ExposureRefusal[] {
  if (!isSet(hooksToken) || hooksToken.trim() !== token?.trim()) return [];
  const message = 'hooks.token equals the gateway token: a webhook sender would hold the key to everything';
  return [{ code: 'HOOKS_TOKEN_SHARED', message, fix: `openclaw config set hooks.token '${generate('token')}'`, path: 'hooks.token' }];
}

/** Blank text and an unresolved `${VAR}` count as unset everywhere a credential is read. */
const isSet = (value: string | undefined): value is string => value !== undefined && value.trim() !== '';
