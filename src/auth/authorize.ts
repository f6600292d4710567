import type { MethodScope } from '../protocol/define.ts';
import { type Refusal, refuse } from '../protocol/errors.ts';
import { holdsScope } from '../protocol/scopes.ts';
import type { Protocol } from '../protocol/version.ts';
import type { Principal } from './principal.ts';

type Caller = Pick<Principal, 'role' | 'scopes'>;

/**
 * Whether a principal may call what is declared with this scope; undefined when it may. The only place that asks: handlers never do.
 * Protocol 3 knows no FORBIDDEN, its clients look for `missing scope: …` in the message.
 */
export function authorize(principal: Caller, descriptor: { readonly scope: MethodScope }, protocol: Protocol): Refusal | undefined {
  const { scope } = descriptor;
  if (scope === 'any') return undefined;
  if (principal.role !== (scope === 'node' ? 'node' : 'operator')) return refuse('INVALID_REQUEST', `unauthorized role: ${principal.role}`);
  if (scope === 'node' || holdsScope(principal.scopes, scope)) return undefined;
  const message = `missing scope: ${scope}`;
  if (protocol === 3) return refuse('INVALID_REQUEST', message);
  return refuse('FORBIDDEN', message, { details: { code: 'MISSING_SCOPE', missingScope: scope, requiredScopes: [scope] } });
}

/** The same question for an event and its receiver. */
export const mayReceive = (principal: Caller, event: { readonly scope: MethodScope }): boolean =>
  authorize(principal, event, 4) === undefined;
