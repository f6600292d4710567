import { type Fault, faultText, refusalCode } from '../client/fault.ts';
import { UserError } from '../lib/errors.ts';
import { EXIT } from './exit-codes.ts';
import { printable } from './format/text.ts';
import { GatewayError } from './output.ts';
import type { ResolvedTarget } from './target.ts';

/** The lines that say which gateway was meant and why that one. No secret stands in any of them. */
export function targetDetails(target: ResolvedTarget): Record<string, string> {
  return {
    'Gateway target': target.endpoint.url,
    Source: target.source,
    Config: target.configPath,
    ...(target.bind === undefined ? {} : { Bind: target.bind }),
  };
}

/** Why a gateway gave no answer, as an error that ends the command with its fix. */
export function faultError(fault: Fault, target: ResolvedTarget): UserError {
  const details = targetDetails(target);
  const code = refusalCode(fault);
  if (code !== undefined) {
    const { fix, exitCode } = refusalFix(code, fault, target);
    return new GatewayError(code, printable(faultText(fault)), { fix, exitCode, details });
  }
  switch (fault.kind) {
    case 'unreachable':
      return new GatewayError('GATEWAY_UNREACHABLE', `no gateway answers: ${printable(fault.message)}`, {
        fix: unreachableFix(fault, target),
        exitCode: EXIT.unreachable,
        details,
      });
    case 'timeout':
      return new GatewayError('GATEWAY_TIMEOUT', faultText(fault), {
        fix: timeoutFix(fault.stage, target),
        exitCode: EXIT.unreachable,
        details,
      });
    case 'garbled':
      return new GatewayError('NOT_A_GATEWAY', printable(faultText(fault)), {
        fix: isTunnelLike(target)
          ? 'Check which program holds that port, or choose another: ssh -N -L 28789:127.0.0.1:18789 user@host'
          : 'Check the URL',
        exitCode: EXIT.unreachable,
        details,
      });
    case 'aborted':
      return new UserError('INTERRUPTED', 'interrupted', { exitCode: EXIT.interrupted });
    default:
      return new GatewayError('GATEWAY_CLOSED', printable(faultText(fault)), {
        fix: closedFix(fault),
        exitCode: EXIT.unreachable,
        details,
      });
  }
}

const isTunnelLike = (target: ResolvedTarget): boolean => /^wss?:\/\/(127\.|localhost|\[::1\])/.test(target.endpoint.url);

function unreachableFix(fault: Extract<Fault, { kind: 'unreachable' }>, target: ResolvedTarget): string {
  if (fault.httpStatus === 421)
    return 'The gateway does not know this host name: add it to gateway.controlUi.allowedOrigins or use 127.0.0.1';
  if (fault.httpStatus !== undefined)
    return 'Something else than a gateway answers there (a proxy without WebSocket upgrade?): check the URL and the proxy';
  if (fault.errno === 'EACCES') return 'The admin socket belongs to another user: run this as the user that runs the gateway';
  if (fault.errno === 'ENOTFOUND' || fault.errno === 'EAI_AGAIN')
    return 'That host name does not resolve: check the spelling of the URL, or your network';
  if (target.mode === 'remote' || target.source.includes('--url') || target.source.includes('env'))
    return isTunnelLike(target)
      ? 'ssh -N -L 18789:127.0.0.1:18789 user@host   (the tunnel to it is not open)'
      : 'Check that the gateway runs there and the network reaches it; over SSH: ssh -N -L 18789:127.0.0.1:18789 user@host';
  return 'openclaw gateway run';
}

function timeoutFix(stage: string, target: ResolvedTarget): string {
  if (stage === 'open')
    return target.mode === 'remote' ? 'A firewall may drop the connection: try an SSH tunnel' : 'openclaw gateway status';
  if (stage === 'challenge') return 'Another program may hold that port, or the tunnel leads nowhere: openclaw status --deep';
  return 'The gateway is busy or stuck: openclaw logs, or allow more with --timeout 30000';
}

function closedFix(fault: Fault): string {
  if (fault.kind === 'closed' && fault.code === 1012) return 'The gateway is restarting: try again in a few seconds';
  if (fault.kind === 'closed' && fault.code === 4001) return 'This device was removed or its token revoked: pair it again';
  return 'Try again; if it happens again: openclaw status --deep';
}

/** The one next step for a gateway's no. */
function refusalFix(code: string, fault: Fault, target: ResolvedTarget): { fix: string; exitCode: number } {
  const refused = (fix: string) => ({ fix, exitCode: EXIT.refused });
  const details = fault.kind === 'refused' ? fault.error.details : undefined;
  const remote = target.mode === 'remote';
  switch (code) {
    case 'AUTH_TOKEN_MISSING':
    case 'AUTH_REQUIRED':
      return refused(
        remote
          ? 'On the gateway run: openclaw auth token --show; then here: openclaw config set gateway.remote.token <token>'
          : 'Give it a token: OPENCLAW_GATEWAY_TOKEN=… , or see which sources count: openclaw auth explain',
      );
    case 'AUTH_TOKEN_MISMATCH':
    case 'AUTH_DEVICE_TOKEN_MISMATCH':
      return refused('See which source won on each side: openclaw auth explain');
    case 'AUTH_PASSWORD_MISSING':
      return refused('OPENCLAW_GATEWAY_PASSWORD=… openclaw health, or set gateway.remote.password');
    case 'AUTH_PASSWORD_MISMATCH':
      return refused('Check the password; see which source won: openclaw auth explain');
    case 'AUTH_TOKEN_NOT_CONFIGURED':
    case 'AUTH_PASSWORD_NOT_CONFIGURED':
      return refused('The gateway has no such secret configured: openclaw auth explain, on the gateway');
    case 'AUTH_RATE_LIMITED':
      return refused('Too many wrong tries from this address: wait a few minutes. A paired device is not locked out.');
    case 'PAIRING_REQUIRED': {
      const id = details?.['requestId'];
      return refused(`On the gateway: openclaw devices approve${typeof id === 'string' ? ` ${printable(id)}` : ''}`);
    }
    case 'DEVICE_IDENTITY_REQUIRED':
    case 'CONTROL_UI_DEVICE_IDENTITY_REQUIRED':
      return refused('This gateway wants a paired device: openclaw devices list, here; then approve it on the gateway');
    case 'MISSING_SCOPE':
    case 'FORBIDDEN':
      return refused('Approve more for this device, on the gateway: openclaw devices list');
    case 'PROTOCOL_MISMATCH':
      return { fix: 'Update the older side: openclaw --version', exitCode: EXIT.refused };
    case 'DEVICE_AUTH_SIGNATURE_EXPIRED':
      return refused("This machine's clock is off: set it, then try again");
    case 'INVALID_REQUEST':
      if (fault.kind === 'refused' && fault.error.message.startsWith('unknown method'))
        return { fix: 'openclaw gateway call health', exitCode: EXIT.failure };
      return fault.kind === 'refused' && fault.error.message.startsWith('missing scope')
        ? refused('Approve more for this device, on the gateway: openclaw devices list')
        : { fix: 'Check the arguments', exitCode: EXIT.failure };
    default:
      if (code.startsWith('DEVICE_AUTH_'))
        return refused('The proof of this device was not accepted: openclaw devices list, on the gateway');
      return { fix: 'openclaw status --deep', exitCode: code.startsWith('AUTH_') ? EXIT.refused : EXIT.failure };
  }
}
