/** Roles a connection can have. Anything else is refused at `connect`. */
export const ROLES = ['operator', 'node'] as const;
export type Role = (typeof ROLES)[number];

/**
 * The scopes of operators (wire-level names of existing clients). A scope that is not listed here is dropped from a
 * request, never granted. Nodes hold no scopes.
 */
export const OPERATOR_SCOPES = [
  'operator.admin',
  'operator.approvals',
  'operator.pairing',
  'operator.questions',
  'operator.read',
  'operator.talk',
  'operator.talk.secrets',
  'operator.write',
] as const;
export type Scope = (typeof OPERATOR_SCOPES)[number];

const known: ReadonlySet<string> = new Set(OPERATOR_SCOPES);
export const isScope = (value: string): value is Scope => known.has(value);

/** Keeps the known scopes, once each, sorted; unknown ones are dropped, never an error. */
export const knownScopes = (values: readonly string[]): Scope[] => [...new Set(values.filter(isScope))].sort();

/** Closed downwards: `admin` holds every operator scope, `write` holds `read`. Sorted, once each. */
export function closeScopes(scopes: readonly Scope[]): Scope[] {
  if (scopes.includes('operator.admin')) return [...OPERATOR_SCOPES];
  const closed = new Set(scopes);
  if (closed.has('operator.write')) closed.add('operator.read');
  return [...closed].sort();
}

/** The scopes that both sides allow, each side closed downwards first. */
export function intersectScopes(a: readonly Scope[], b: readonly Scope[]): Scope[] {
  const right = new Set(closeScopes(b));
  return closeScopes(a).filter((scope) => right.has(scope));
}

/** Whether `held` (any form, closed or not) satisfies `needed`. */
export const holdsScope = (held: readonly Scope[], needed: Scope): boolean =>
  held.includes(needed) || held.includes('operator.admin') || (needed === 'operator.read' && held.includes('operator.write'));

/** What the bare shared secret is worth where no device stands behind it: on HTTP, and on sockets that are not local. */
export const SECRET_SCOPES: readonly Scope[] = ['operator.read', 'operator.write'];
