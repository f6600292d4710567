import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { EVENTS } from '../src/protocol/events.ts';
import { indexMethods, SOCKET_METHODS, WIRE_METHODS } from '../src/protocol/registry.ts';
import { ROUTES } from '../src/protocol/routes.ts';

const FILE = join(import.meta.dirname, 'surface.txt');

/** Everything that can be reached from outside, one line each, with the scope it takes: a change of it is seen in review. */
function surface(): string {
  const wire = indexMethods(Object.values(WIRE_METHODS));
  const local = indexMethods(Object.values(SOCKET_METHODS));
  const lines = [
    ...[...wire.values()].map(({ name, scope, effect }) => `method ${name}  ${scope}  ${effect}`),
    ...[...local.values()].map(({ name, scope, effect }) => `socket ${name}  ${scope}  ${effect}`),
    ...EVENTS.map(({ name, scope, durability }) => `event  ${name}  ${scope}  ${durability}`),
    ...ROUTES.map(({ path, methods, scope, maxBytes }) => `route  ${methods.join(',')} ${path}  ${scope}  ${maxBytes} B`),
  ];
  return `${lines.sort().join('\n')}\n`;
}

test('WS-14 the surface is the one that was reviewed (UPDATE_SURFACE=1 rewrites test/surface.txt)', () => {
  if (process.env['UPDATE_SURFACE'] === '1') writeFileSync(FILE, surface());
  expect(surface()).toBe(readFileSync(FILE, 'utf8'));
});

test('WS-14 a name used twice stops the start', () => {
  expect(() => indexMethods([WIRE_METHODS.health, WIRE_METHODS.health])).toThrow(/twice/);
});
