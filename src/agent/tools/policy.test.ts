import { expect, test } from 'vitest';
import type { toolAllowed } from './policy.ts';
import { toolset } from './toolset.ts';

const NAMES = ['read', 'list', 'write', 'edit', 'search'];
const offered = (policy: Omit<Parameters<typeof toolAllowed>[1], 'deny'> & { deny?: string[] }): string[] =>
  toolset({ deny: [], ...policy }).map(({ spec }) => spec.name);

test.each([
  [{}, NAMES],
  [{ allow: [] }, []],
  [{ allow: ['read'] }, ['read']],
  [{ allow: ['group:fs'] }, NAMES],
  [{ allow: ['*'] }, NAMES],
  [{ allow: ['READ '] }, ['read']],
  [{ allow: ['group:nothing', 'reads', 'rea', 'constructor', '__proto__'] }, []],
  [{ allow: ['group:fs'], deny: ['write', 'edit'] }, ['read', 'list', 'search']],
  [{ allow: ['read'], deny: ['group:fs'] }, []],
  [{ deny: ['*'] }, []],
  [{ profile: 'minimal' }, []],
  [{ profile: 'messaging' }, []],
  [{ profile: 'coding' }, NAMES],
  [{ profile: 'full' }, NAMES],
  [{ profile: 'minimal', alsoAllow: ['read'] }, ['read']],
  [{ profile: 'minimal', alsoAllow: ['read'], deny: ['read'] }, []],
  [{ profile: 'coding', allow: ['read', 'exec'] }, ['read']],
  [{ profile: 'minimal', allow: ['read'] }, []],
] as const)('AG-24 policy %j offers %j', (policy, expected) => {
  expect(offered(policy as Parameters<typeof offered>[0])).toEqual(expected);
});
