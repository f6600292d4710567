import { type Fault, faultText, refusalCode } from '../client/fault.ts';
import { NOT_THE_HOLDER } from '../client/socket.ts';
import { messageOf, UserError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { oneLine, printable } from './format/text.ts';
import type { Messages } from './i18n.ts';
import { GatewayError } from './output.ts';
import type { ResolvedTarget } from './target.ts';

/** Somebody else has the port of this machine's own gateway, which does not run, or listens on another. Each has its own way out. */
export const NOT_YOURS = 'GATEWAY_NOT_YOURS';
export const ELSEWHERE = 'GATEWAY_ELSEWHERE';

/** The lines that say which gateway was meant and why that one. No secret stands in any of them. */
export function targetDetails(target: ResolvedTarget): Record<string, string> {
  return {
    'Gateway target': target.shown,
    Source: target.source,
    Config: target.configPath,
    ...(target.bind === undefined ? {} : { Bind: target.bind }),
  };
}

/** Why a gateway gave no answer, as an error that ends the command with its fix. */
export function faultError(fault: Fault, target: ResolvedTarget, t: Messages): UserError {
  const details = targetDetails(target);
  const code = refusalCode(fault);
  if (code !== undefined && fault.kind === 'refused') return refusal(code, fault, target, t);
  switch (fault.kind) {
    case 'unreachable':
      if (isStranger(fault.errno)) return stranger(fault, target, t);
      return new GatewayError('GATEWAY_UNREACHABLE', t.noGateway(unreachableText(fault, target, t)), {
        fix: unreachableFix(fault, target, t),
        exitCode: EXIT.unreachable,
        details,
      });
    case 'timeout':
      return new GatewayError('GATEWAY_TIMEOUT', faultLine(fault, t), {
        fix: timeoutFix(fault.stage, target, t),
        exitCode: EXIT.unreachable,
        details,
      });
    case 'garbled':
      return new GatewayError('NOT_A_GATEWAY', printable(faultText(fault)), {
        fix: isTunnelLike(target) ? t.fixForeignPort(portOf(target)) : t.fixCheckUrl,
        exitCode: EXIT.unreachable,
        details,
      });
    case 'aborted':
      return new UserError('INTERRUPTED', t.interrupted, { exitCode: EXIT.interrupted });
    default:
      return new GatewayError('GATEWAY_CLOSED', faultLine(fault, t), {
        fix: closedFix(fault, target, t),
        exitCode: EXIT.unreachable,
        details,
      });
  }
}

/** What an attempt below the WebSocket (TCP, a GET) threw, in the same words. */
export function attemptError(thrown: unknown, target: ResolvedTarget, t: Messages): { readonly detail: string; readonly fix: string } {
  const code = thrown instanceof Error ? (thrown as NodeJS.ErrnoException).code : undefined;
  const fault = { kind: 'unreachable', message: messageOf(thrown), ...(code === undefined ? {} : { errno: code }) } as const;
  return { detail: unreachableText(fault, target, t), fix: unreachableFix(fault, target, t) };
}

/** Why the connection is not there, in a few words. */
export function faultLine(fault: Fault, t: Messages): string {
  switch (fault.kind) {
    case 'closed':
      if (fault.code === 1012) return t.faultRestarting;
      if (fault.code === 4001) return t.faultRevoked;
      if (fault.reason !== '') return oneLine(t.faultClosed(fault.reason), 200);
      return t.faultGone;
    case 'timeout':
      return t.faultTimeout(fault.ms, fault.stage);
    case 'offline':
      return t.faultGone;
    case 'refused':
      return refusalText(refusalCode(fault) ?? '', fault, t);
    default:
      return printable(faultText(fault));
  }
}

const isTunnelLike = (target: ResolvedTarget): boolean => /^wss?:\/\/(127\.|localhost|\[::1\])/.test(target.endpoint.url);
/** This machine's own, with what its config and environment hold. */
const isHere = (target: ResolvedTarget): boolean => target.mode === 'local' && target.credentials.explicit !== true;
const hostOf = (target: ResolvedTarget): string => URL.parse(target.endpoint.url)?.hostname ?? target.shown;
const portOf = (target: ResolvedTarget): string => URL.parse(target.endpoint.url)?.port || '18789';
const placeOf = (target: ResolvedTarget): string => URL.parse(target.endpoint.url)?.host || target.shown;

/** Where a gateway's own words are not to be had, the system's are: its name for the fault, in words a person can act on. */
function unreachableText(fault: Extract<Fault, { kind: 'unreachable' }>, target: ResolvedTarget, t: Messages): string {
  const { errno, httpStatus, message } = fault;
  const place = placeOf(target);
  if (httpStatus !== undefined) return t.faultHttp(place, httpStatus);
  switch (errno) {
    case 'ECONNREFUSED':
    case 'ENOENT':
      return t.faultNothingListens(place);
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return t.faultNoName(hostOf(target));
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
    case 'EADDRNOTAVAIL':
      return t.faultNoWay(hostOf(target));
    case 'ETIMEDOUT':
      return t.faultSilent(place);
    case 'ECONNRESET':
    case 'EPIPE':
      return t.faultHungUp(place);
    case 'EPROTO':
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
      return t.faultNoTls(place);
    default:
      if (isForeign(errno)) return t.faultForeign(place);
      return isCertificate(errno) ? t.faultCertificate(hostOf(target), oneLine(message, 160)) : oneLine(message, 300);
  }
}

const isStranger = (errno: string | undefined): boolean => errno === NOT_YOURS || errno === ELSEWHERE || errno === NOT_THE_HOLDER;

/** Somebody else has the port of this machine's own gateway. Nothing was shown to them. */
function stranger({ errno, message }: Extract<Fault, { kind: 'unreachable' }>, target: ResolvedTarget, t: Messages): UserError {
  return new GatewayError(
    errno === ELSEWHERE ? ELSEWHERE : NOT_YOURS,
    errno === NOT_THE_HOLDER ? t.peerNotYours(placeOf(target)) : message,
    {
      fix: errno === ELSEWHERE ? t.fixElsewhere : errno === NOT_THE_HOLDER ? 'openclaw gateway status' : t.fixNotYours,
      exitCode: EXIT.unreachable,
      details: targetDetails(target),
    },
  );
}

/** An answer that is no HTTP. */
const isForeign = (errno: string | undefined): boolean => errno?.startsWith('HPE_') === true;
const isCertificate = (errno: string | undefined): boolean => errno !== undefined && /CERT|SIGNED|ISSUER|ALTNAME|LEAF/.test(errno);

function unreachableFix({ errno, httpStatus }: Extract<Fault, { kind: 'unreachable' }>, target: ResolvedTarget, t: Messages): string {
  const host = hostOf(target);
  if (httpStatus === 421) return t.fixUnknownHost(host);
  if (httpStatus !== undefined || isForeign(errno)) return isTunnelLike(target) ? t.fixForeignPort(portOf(target)) : t.fixProxy;
  if (errno === 'EACCES') return t.fixOtherUser;
  if (errno === 'ENOTFOUND' || errno === 'EAI_AGAIN') return t.fixSpelling;
  if (errno === 'EPROTO' || errno === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return isTunnelLike(target) ? t.fixPlainUrl(`ws://${placeOf(target)}`) : t.fixCheckUrl;
  if (isCertificate(errno)) return t.fixCertificate;
  if (target.mode === 'local') return 'openclaw gateway run';
  if (!isTunnelLike(target)) return `ssh user@${host} openclaw gateway status`;
  // Something took the connection and let it go: the near end of a tunnel whose far end finds nobody.
  if (errno === 'ECONNRESET' || errno === 'EPIPE') return t.onGateway('openclaw gateway status');
  return `ssh -N -L ${portOf(target)}:127.0.0.1:18789 user@host   (${t.noteTunnel})`;
}

function timeoutFix(stage: string, target: ResolvedTarget, t: Messages): string {
  if (stage === 'open')
    return target.mode === 'remote' ? `ssh -N -L 18789:127.0.0.1:${portOf(target)} user@${hostOf(target)}` : 'openclaw gateway status';
  if (stage === 'challenge') return 'openclaw status --deep';
  return `openclaw logs   (${t.noteBusy})`;
}

function closedFix(fault: Fault, target: ResolvedTarget, t: Messages): string {
  if (fault.kind === 'closed' && fault.code === 1012) return t.fixAgain;
  if (fault.kind === 'closed' && fault.code === 4001) return tokenFix(target, t);
  return 'openclaw status --deep';
}

/** Refusals of the door: here it matters which gateway was meant. A method's no is about what was asked. */
const isDoor = (code: string): boolean => /^(AUTH|PAIRING|DEVICE|CONTROL_UI|PROTOCOL)/.test(code);
const isScope = (code: string, message: string): boolean =>
  code === 'MISSING_SCOPE' || code === 'FORBIDDEN' || message.startsWith('missing scope');

function refusal(code: string, fault: Extract<Fault, { kind: 'refused' }>, target: ResolvedTarget, t: Messages): UserError {
  const { fix, exitCode } = refusalFix(code, fault, target, t);
  const message = refusalText(code, fault, t);
  return isDoor(code)
    ? new GatewayError(code, message, { fix, exitCode, details: targetDetails(target) })
    : new UserError(code, message, { fix, exitCode });
}

function refusalText(code: string, fault: Extract<Fault, { kind: 'refused' }>, t: Messages): string {
  const said = t.refused[code] ?? printable(fault.error.message);
  const before = fault.error.details?.['previousRequest'];
  const ending = typeof before === 'string' ? t.requestBefore[before] : undefined;
  return ending === undefined ? said : `${said}; ${ending}`;
}

/** The one next step for a gateway's no. */
function refusalFix(
  code: string,
  { error }: Extract<Fault, { kind: 'refused' }>,
  target: ResolvedTarget,
  t: Messages,
): { fix: string; exitCode: number } {
  const refused = (fix: string) => ({ fix, exitCode: EXIT.refused });
  const given = error.details?.['fix'];
  switch (code) {
    case 'AUTH_TOKEN_MISSING':
    case 'AUTH_REQUIRED':
      return refused(tokenFix(target, t));
    case 'AUTH_TOKEN_MISMATCH':
    case 'AUTH_DEVICE_TOKEN_MISMATCH':
      return refused(isHere(target) ? 'openclaw auth explain' : tokenFix(target, t));
    case 'AUTH_PASSWORD_MISSING':
    case 'AUTH_PASSWORD_MISMATCH':
      return refused(
        target.credentials.explicit === true ? t.fixPasswordFlag : target.mode === 'remote' ? t.fixPasswordConfig : 'openclaw auth explain',
      );
    case 'AUTH_TOKEN_NOT_CONFIGURED':
    case 'AUTH_PASSWORD_NOT_CONFIGURED':
      return refused(t.onGateway('openclaw auth explain'));
    case 'AUTH_RATE_LIMITED':
      return refused(t.fixWait(error.retryAfterMs));
    case 'PAIRING_REQUIRED': {
      const id = error.details?.['requestId'];
      return refused(t.onGateway(`openclaw devices approve${typeof id === 'string' ? ` ${printable(id)}` : ''}`));
    }
    case 'DEVICE_IDENTITY_REQUIRED':
    case 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED':
      return refused('openclaw devices list');
    case 'PROTOCOL_MISMATCH':
      return refused(`openclaw --version   (${t.noteOlder})`);
    case 'DEVICE_AUTH_SIGNATURE_EXPIRED':
      return refused(t.fixClock);
    default:
      if (isScope(code, error.message)) return refused(t.onGateway('openclaw devices approve'));
      if (code.startsWith('DEVICE_AUTH_')) return refused(t.onGateway('openclaw devices list'));
      if (typeof given === 'string') return { fix: printable(given), exitCode: EXIT.failure };
      if (error.message.startsWith('unknown method')) return { fix: 'openclaw gateway call health', exitCode: EXIT.failure };
      if (code === 'INVALID_REQUEST') return { fix: t.fixArguments, exitCode: EXIT.failure };
      return { fix: 'openclaw status --deep', exitCode: isDoor(code) ? EXIT.refused : EXIT.failure };
  }
}

/** How the token comes here. Typed into a prompt or piped, never an argument: those stay in the shell's history. */
function tokenFix(target: ResolvedTarget, t: Messages): string {
  if (target.credentials.explicit === true) return t.fixTokenFlag;
  return isHere(target) ? t.fixTokenEnv : t.fixTokenConfig;
}
