import type { Agent, RunEvent, SessionEvent } from '../agent/api.ts';
import type { Clock } from '../lib/clock.ts';
import type { Protocol } from '../protocol/version.ts';
import { RunFanout } from './events/run-fanout.ts';
import { type SessionRowOptions, sessionChangedPayload, sessionMessagePayload } from './events/session-shape.ts';
import { joinDeltas, type ShapedEvent } from './events/shaped-event.ts';
import { modelDefaults } from './methods/model-defaults.ts';
import type { Hub, Receiver } from './ws/hub.ts';

const PROTOCOLS = [3, 4] as const;

/** Leads what the agent does to who may see it: each event shaped once per protocol, whatever the number of connections. */
export function fanOutAgentEvents(agent: Agent, hub: Hub, clock: Clock): void {
  const runs = new RunFanout();
  agent.onRunEvent((event) => {
    const frames = runs.feed(event, hub.isBehind);
    if (hub.size === 0) return;
    for (const protocol of PROTOCOLS) for (const frame of frames[protocol]) broadcastRun(hub, protocol, event, frame);
  });
  agent.onSessionEvent((event) => broadcastSession(hub, event, { defaults: modelDefaults(agent), now: clock.now() }));
}

function broadcastRun(hub: Hub, protocol: Protocol, event: RunEvent, frame: ShapedEvent): void {
  const { connId } = event.origin;
  const to =
    frame.audience === 'operators'
      ? (receiver: Receiver) => receiver.protocol === protocol
      : (receiver: Receiver) => receiver.protocol === protocol && receiver.connId === connId && receiver.caps.has('tool-events');
  hub.broadcast({
    event: frame.event,
    payload: () => frame.payload,
    to,
    droppable: frame.droppable,
    first: connId,
    ...(frame.coalesce === undefined ? {} : { key: frame.coalesce, join: joinDeltas }),
  });
}

function broadcastSession(hub: Hub, event: SessionEvent, options: SessionRowOptions): void {
  if (event.type === 'changed') {
    hub.broadcast({
      event: 'sessions.changed',
      payload: () => sessionChangedPayload(event, options),
      to: (receiver) => receiver.subscriptions.sessions || receiver.subscriptions.all,
    });
    return;
  }
  const { key } = event.session;
  hub.broadcast({
    event: 'session.message',
    payload: (protocol) => sessionMessagePayload(protocol, event, options),
    to: (receiver) => receiver.subscriptions.messages.has(key) || receiver.subscriptions.all,
  });
}
