import { expect, test } from 'vitest';
import { OPERATOR_SCOPES, type Scope } from '../../protocol/scopes.ts';
import { featuresJson, type HelloFacts, helloText } from './hello.ts';

const FACTS: HelloFacts = {
  version: '1.2.3',
  buildId: 'build',
  bootId: 'boot',
  features: featuresJson(['health'], ['tick']),
  uptimeMs: 5,
  presenceJson: '[{"host":"somebody","ts":1}]',
  healthJson: '{"ok":true}',
  presenceVersion: 7,
  healthVersion: 8,
  sessionDefaults: {
    defaultAgentId: 'main',
    mainKey: 'main',
    mainSessionKey: 'agent:main:main',
    scope: 'per-sender',
    modelConfigured: true,
  },
  configPath: '/state/openclaw.json',
  stateDir: '/state',
  authMode: 'token',
  configHash: 'hash',
  maxPayload: 1024,
};
const hello = (protocol: 3 | 4, role: 'operator' | 'node', scopes: readonly Scope[]) =>
  JSON.parse(helloText('1', protocol, 'conn', { role, scopes }, undefined, FACTS)).payload;

test.each([3, 4] as const)('WS-15 who is here is for those who may read, paths and mode for admins (protocol %i)', (protocol) => {
  for (const [role, scopes] of [
    ['operator', []],
    ['node', []],
    ['operator', ['operator.pairing']],
  ] as const) {
    const { snapshot } = hello(protocol, role, scopes);
    expect(snapshot.presence).toEqual([]);
    expect(snapshot).not.toHaveProperty('configPath');
    expect(snapshot).not.toHaveProperty('stateDir');
    expect(snapshot).not.toHaveProperty('authMode');
    expect(snapshot.sessionDefaults.mainSessionKey).toBe('agent:main:main');
  }
  const reader = hello(protocol, 'operator', ['operator.read']).snapshot;
  expect(reader.presence).toHaveLength(1);
  expect(reader).not.toHaveProperty('stateDir');
  const admin = hello(protocol, 'operator', OPERATOR_SCOPES).snapshot;
  expect(admin).toMatchObject({ configPath: '/state/openclaw.json', stateDir: '/state', authMode: 'token' });
});

test('WS-15 the shape is that of the protocol', () => {
  expect(Object.keys(hello(3, 'operator', []).server)).toEqual(['version', 'connId']);
  expect(hello(4, 'operator', []).server).toEqual({ version: '1.2.3', buildId: 'build', bootId: 'boot', connId: 'conn' });
  expect(hello(3, 'operator', []).snapshot.sessionDefaults).not.toHaveProperty('modelConfigured');
});
