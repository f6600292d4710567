/** The topic of the event log that holds what is told of one session id. */
export const sessionTopic = (sessionId: string): string => `session:${sessionId}`;
