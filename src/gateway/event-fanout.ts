import type { Agent, RunEvent, SessionEvent } from '../agent/api.ts';
import type { Clock } from '../lib/clock.ts';
import { turn } from '../lib/turn.ts';
import type { Protocol } from '../protocol/version.ts';
import { RunFanout } from './events/run-fanout.ts';
import { type SessionRowOptions, sessionChangedPayload, sessionMessagePayload } from './events/session-shape.ts';
import { joinDeltas, type ShapedEvent } from './events/shaped-event.ts';
import { modelDefaults } from './methods/model-defaults.ts';
import type { Hub, Receiver } from './ws/hub.ts';

const PROTOCOLS = [3, 4] as const;

/** A text of this length makes an event heavy: its frames are several times as long, and one turn of the event loop holds one such event. */
const HEAVY_CHARS = 64 * 1024;

/** Leads what the agent does to who may see it: each event shaped once per protocol, whatever the number of connections. */
export function fanOutAgentEvents(agent: Agent, hub: Hub, clock: Clock): void {
  const runs = new RunFanout();
  const inOrder = oneHeavyPerTurn();
  agent.onRunEvent((event) => {
    inOrder(event.type === 'end' && event.text.length > HEAVY_CHARS, () => {
      const frames = runs.feed(event, hub.isBehind);
      if (hub.size === 0) return;
      for (const protocol of PROTOCOLS) for (const frame of frames[protocol]) broadcastRun(hub, protocol, event, frame);
    });
  });
  agent.onSessionEvent((event) => inOrder(false, () => broadcastSession(hub, event, { defaults: modelDefaults(agent), now: clock.now() })));
}

/** Runs tasks at once and in order; a second heavy one of a turn, and all after it, wait for the next turns. Runs often end together: in one commit. */
function oneHeavyPerTurn(): (isHeavy: boolean, task: () => void) => void {
  const later: { readonly isHeavy: boolean; readonly task: () => void }[] = [];
  let hadHeavy = false;
  const goOn = async (): Promise<void> => {
    await turn();
    hadHeavy = false;
    while (later.length > 0 && !(hadHeavy && later[0]?.isHeavy)) {
      const next = later.shift();
      if (next?.isHeavy) hadHeavy = true;
      next?.task();
    }
    if (hadHeavy) void goOn();
  };
  return (isHeavy, task) => {
    if (later.length > 0 || (isHeavy && hadHeavy)) {
      later.push({ isHeavy, task });
      return;
    }
    if (isHeavy) {
      hadHeavy = true;
      void goOn();
    }
    task();
  };
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
