import type { MethodDescriptor } from './define.ts';
import * as agents from './methods/agents.ts';
import * as chat from './methods/chat.ts';
import * as devices from './methods/devices.ts';
import * as local from './methods/local.ts';
import * as sessions from './methods/sessions.ts';
import * as system from './methods/system.ts';

/** The methods offered to everyone who passed the door, by the rooms they come from. */
export const WIRE_METHODS = { ...system, ...chat, ...sessions, ...agents, ...devices };
/** The methods of the admin socket alone. */
export const SOCKET_METHODS = local;

export type AnyMethod = MethodDescriptor<string, unknown, unknown>;
// Descriptors differ in their params; as a list they are only looked at by name and scope.
type Listed = Pick<AnyMethod, 'name' | 'scope' | 'effect' | 'maxBytes'>;

/** Descriptors by name. The same name twice is a bug found at start, not a method that shadows another. */
export function indexMethods(descriptors: readonly Listed[]): ReadonlyMap<string, AnyMethod> {
  const index = new Map<string, AnyMethod>();
  for (const descriptor of descriptors as readonly AnyMethod[]) {
    if (index.has(descriptor.name)) throw new Error(`method ${descriptor.name} is defined twice`);
    index.set(descriptor.name, descriptor);
  }
  return index;
}
