import type { ToolPolicy } from '../ports.ts';

/** Groups as config files name them. Tools that do not exist here are simply never offered. */
const GROUPS: Readonly<Record<string, readonly string[]>> = {
  'group:fs': ['read', 'list', 'search', 'write', 'edit', 'apply_patch'],
  'group:openclaw': ['session_status'],
};
const PROFILES: Readonly<Record<NonNullable<ToolPolicy['profile']>, readonly string[] | 'all'>> = {
  minimal: ['session_status'],
  coding: ['group:fs', 'session_status'],
  messaging: ['message', 'session_status'],
  full: 'all',
};

/**
 * Whether a policy lets a tool be used. Deny wins over everything; an `allow` list that is empty allows nothing; without
 * one the profile decides, without a profile everything. Unknown names and groups match nothing.
 */
export function toolAllowed(name: string, policy: ToolPolicy): boolean {
  if (matches(policy.deny, name)) return false;
  if (policy.alsoAllow !== undefined && matches(policy.alsoAllow, name)) return true;
  const profile = policy.profile === undefined ? 'all' : PROFILES[policy.profile];
  if (profile !== 'all' && !matches(profile, name)) return false;
  return policy.allow === undefined || matches(policy.allow, name);
}

function matches(list: readonly string[], name: string): boolean {
  return list.some((given) => {
    const entry = given.trim().toLowerCase();
    if (entry === '*' || entry === name) return true;
    return Object.hasOwn(GROUPS, entry) && (GROUPS[entry]?.includes(name) ?? false);
  });
}
