/**
 * What a connection is told beside answers, in order. A request that makes something true is answered before its connection hears of what came of it:
 * from the moment when it is true until the answer has left, events wait here. Only a few turns of the event loop lie between the two.
 */
export class AnswerFirst<Event> {
  readonly #give: (event: Event) => void;
  #holders = 0;
  #waiting: Event[] = [];

  constructor(give: (event: Event) => void) {
    this.#give = give;
  }

  event(event: Event): void {
    if (this.#holders > 0) this.#waiting.push(event);
    else this.#give(event);
  }

  /** Events wait from here on. Call what it gives when the answer has been written; once more is harmless. */
  hold(): () => void {
    this.#holders++;
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      if (--this.#holders > 0) return;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const event of waiting) this.#give(event);
    };
  }
}
