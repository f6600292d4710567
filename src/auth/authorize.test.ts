import { expect, test } from 'vitest';
import { authorize, mayReceive } from './authorize.ts';

const operator = (...scopes: ('operator.admin' | 'operator.read' | 'operator.write')[]) => ({ role: 'operator', scopes }) as const;
const node = { role: 'node', scopes: [] } as const;

test('AU-30 a method takes the scope it declares; admin holds all, write holds read', () => {
  expect(authorize(operator('operator.read'), { scope: 'operator.read' }, 4)).toBeUndefined();
  expect(authorize(operator('operator.write'), { scope: 'operator.read' }, 4)).toBeUndefined();
  expect(authorize(operator('operator.admin'), { scope: 'operator.pairing' }, 4)).toBeUndefined();
  expect(authorize(operator(), { scope: 'any' }, 4)).toBeUndefined();
  expect(authorize(node, { scope: 'any' }, 4)).toBeUndefined();
  expect(authorize(node, { scope: 'node' }, 4)).toBeUndefined();
});

test('AU-31 a missing scope is INVALID_REQUEST to protocol 3 and FORBIDDEN with details to protocol 4', () => {
  expect(authorize(operator('operator.read'), { scope: 'operator.write' }, 3)?.error).toEqual({
    code: 'INVALID_REQUEST',
    message: 'missing scope: operator.write',
  });
  expect(authorize(operator('operator.read'), { scope: 'operator.write' }, 4)?.error).toEqual({
    code: 'FORBIDDEN',
    message: 'missing scope: operator.write',
    details: { code: 'MISSING_SCOPE', missingScope: 'operator.write', requiredScopes: ['operator.write'] },
  });
});

test('AU-31 the wrong role is named', () => {
  expect(authorize(node, { scope: 'operator.read' }, 4)?.error.message).toBe('unauthorized role: node');
  expect(authorize(operator('operator.admin'), { scope: 'node' }, 3)?.error.message).toBe('unauthorized role: operator');
});

test('AU-32 events ask the same', () => {
  expect(mayReceive(operator('operator.read'), { scope: 'operator.read' })).toBe(true);
  expect(mayReceive(node, { scope: 'operator.read' })).toBe(false);
});
