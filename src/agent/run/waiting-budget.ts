/** What runs that have not ended may hold on disk (request and attachments), and how many there may be. */
export const BUDGET = {
  bytesPerPrincipal: 128 * 1024 * 1024,
  bytesInAll: 512 * 1024 * 1024,
  runsInAll: 1_000,
  /** Requests that are in memory at the same time because they are being accepted, bytes. A single one may be larger. */
  accepting: 32 * 1024 * 1024,
} as const;

interface Share {
  runs: number;
  bytes: number;
}

/**
 * Counts what waits, per principal and in all. A principal may hold as much as it leaves free for others: whoever fills it,
 * there is room for somebody who has nothing here yet.
 */
export class WaitingBudget {
  readonly #shares = new Map<string, Share>();
  readonly #all: Share = { runs: 0, bytes: 0 };

  /** Which limit one run more would break. */
  refusal(principalId: string, bytes: number): 'runs' | 'bytes' | undefined {
    const own = this.#shares.get(principalId) ?? { runs: 0, bytes: 0 };
    const most = Math.min(BUDGET.bytesPerPrincipal, BUDGET.bytesInAll - this.#all.bytes - bytes);
    if (own.runs + 1 > BUDGET.runsInAll - this.#all.runs - 1) return 'runs';
    return own.bytes + bytes > most ? 'bytes' : undefined;
  }

  /** Counts a run, whether it fits or not: what is on disk already counts. */
  add(principalId: string, bytes: number): void {
    this.#count(principalId, 1, bytes);
  }
  remove(principalId: string, bytes: number): void {
    this.#count(principalId, -1, -bytes);
  }

  #count(principalId: string, runs: number, bytes: number): void {
    const own = this.#shares.get(principalId) ?? { runs: 0, bytes: 0 };
    for (const share of [own, this.#all]) {
      share.runs += runs;
      share.bytes += bytes;
    }
    if (own.runs === 0) this.#shares.delete(principalId);
    else this.#shares.set(principalId, own);
  }
}

/** What a request takes, bytes: its texts, and its attachments as bytes. */
export function sizeOf(request: {
  readonly message: string;
  readonly extraSystemPrompt?: string;
  readonly context?: readonly { readonly text: string }[];
  readonly attachments?: readonly { readonly content: string }[];
}): { readonly texts: number; readonly all: number } {
  let texts = Buffer.byteLength(request.message) + Buffer.byteLength(request.extraSystemPrompt ?? '');
  for (const { text } of request.context ?? []) texts += Buffer.byteLength(text) + 32;
  const attached = (request.attachments ?? []).reduce((sum, { content }) => sum + Math.floor((content.length * 3) / 4), 0);
  return { texts, all: texts + attached };
}
