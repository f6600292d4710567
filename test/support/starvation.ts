import { readFileSync } from 'node:fs';
import { wallMs } from './crash-client.ts';

const SAMPLE_MS = 20;

/**
 * How long a process could not go on because the machine was not there for it: it waited for a processor that others had,
 * or for a disk that answered late. A deadline that is measured on a shared machine is one of its own time; without
 * this a busy neighbour would fail the test. Waiting for the disk is sampled, and so an estimate.
 */
export class Starvation {
  readonly #pid: number;
  readonly #samples: (readonly [at: number, waitedMs: number])[] = [];
  readonly #timer: NodeJS.Timeout;
  #ran = '';
  #onDisk = 0;
  #inQueue = 0;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.#sample(), SAMPLE_MS);
    this.#sample();
  }

  /** Call before the process is killed: afterwards nothing can be read. */
  stop(): void {
    clearInterval(this.#timer);
    this.#sample();
  }

  /** Ms it had to wait from `at` (`wallMs`) until the last sample. */
  since(at: number): number {
    return (this.#samples.at(-1)?.[1] ?? 0) - this.until(at);
  }

  /** Ms it had to wait from its first moment until `at`. Samples can be far apart, for this process waits too: in between, in proportion. */
  until(at: number): number {
    const after = this.#samples.findIndex(([time]) => time >= at);
    const [from, to] = [this.#samples.at(after - 1), this.#samples.at(after)];
    if (from === undefined || to === undefined || after <= 0) return (after === 0 ? to : from)?.[1] ?? 0;
    return from[1] + ((to[1] - from[1]) * (at - from[0])) / (to[0] - from[0]);
  }

  #sample(): void {
    try {
      // Nanoseconds its main thread ran, nanoseconds it waited for a processor (told when the wait is over), slices.
      const [ran = '', queued] = readFileSync(`/proc/${this.#pid}/schedstat`, 'utf8').split(' ');
      const [, state] = /\) ([A-Z]) /.exec(readFileSync(`/proc/${this.#pid}/stat`, 'utf8')) ?? [];
      const at = wallMs();
      const passed = at - (this.#samples.at(-1)?.[0] ?? at);
      if (state === 'D') this.#onDisk += passed;
      // Ready to run, and has not: that wait is not over yet.
      this.#inQueue = state === 'R' && ran === this.#ran ? this.#inQueue + passed : 0;
      this.#ran = ran;
      this.#samples.push([at, Number(queued) / 1e6 + this.#inQueue + this.#onDisk]);
    } catch {
      // It has ended, or this is no Linux: nothing is known to have been taken from it.
    }
  }
}
