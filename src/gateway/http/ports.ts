import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { Agent } from '../../agent/api.ts';
import type { Admission, Principal } from '../../auth/admit.ts';
import type { ConnectionFacts } from '../../auth/facts.ts';
import type { Clock } from '../../lib/clock.ts';
import type { Log } from '../../lib/log.ts';
import type { FactsPolicy, ListenerFacts, PeerLookup } from '../facts.ts';
import type { HeldPorts } from '../held-bytes.ts';
import type { Intake } from '../intake/intake.ts';
import type { ReadinessView } from '../readiness.ts';
import type { HttpLimits } from './limits.ts';
import type { RequestsUnderWay } from './requests-under-way.ts';

/** The part of the config that HTTP needs; asked for at each request, so that an edit counts at once. */
export interface HttpConfig {
  /** `gateway.controlUi.basePath`: empty, or `/name` without a slash at the end. */
  readonly basePath: string;
  /** `gateway.http.endpoints.chatCompletions`. */
  readonly chatCompletions: {
    readonly enabled: boolean;
    readonly maxBodyBytes: number;
    readonly maxImageParts: number;
    readonly maxTotalImageBytes: number;
  };
  /** Value of `Strict-Transport-Security`, sent where TLS ends here. */
  readonly strictTransportSecurity?: string | undefined;
}

export interface HttpPorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly intake: Pick<Intake, 'large' | 'once'>;
  /** The door. */
  admitHttp(facts: ConnectionFacts, bearer: string | undefined): Promise<Admission>;
  /** Whether what let it in still holds, asked in the tick in which its request was listed. */
  readonly stillStands: (principal: Principal) => boolean;
  /** Takes one from the caller's lane of writes, the one its WebSocket calls take from: 0, or the ms after which it may try again. */
  readonly takeWrite: (principal: Principal) => number;
  /** Requests of admitted callers that are not answered yet. */
  readonly underWay: RequestsUnderWay;
  /** What connections make us keep. */
  readonly held: HeldPorts;
  readonly agent: Pick<Agent, 'send' | 'abort' | 'onRunEvent' | 'agents' | 'models'>;
  readonly readiness: { view(): Promise<ReadinessView>; readonly started: boolean };
  readonly config: () => HttpConfig;
  /** Known hosts and listed proxies of the moment. */
  readonly policy: () => FactsPolicy;
  readonly peers: PeerLookup;
  readonly version: string;
  readonly buildId: string;
  readonly uptimeMs: () => number;
  /** Takes the socket over; whatever Host and Origin are, a browser can only read the refusal on a WebSocket. */
  onUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer, listener: ListenerFacts): void;
  readonly limits?: Partial<HttpLimits>;
}
