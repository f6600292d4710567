/**
 * The topic of the event log that holds what is told of one session. It is that of the key: a reset is an event in it, not its end. Earlier versions
 * wrote `session:<session id>`.
 */
export const sessionTopic = (sessionKey: string): string => `session:${sessionKey}`;
