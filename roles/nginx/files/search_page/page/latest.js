// Only what was asked last counts.

/** Runs one piece of work at a time: a newer one ends the one before, whose answer nobody hears. */
export class Latest {
  #number = 0;
  #timer = 0;
  #controller = new AbortController();

  /** Forget what waits or runs. */
  stop() {
    this.#number += 1;
    clearTimeout(this.#timer);
    this.#controller.abort();
  }

  /**
   * Begin in so many milliseconds, unless something newer comes.
   * @param {number} delay
   * @param {(signal: AbortSignal) => Promise<T>} work
   * @param {(answer: T) => void} done - not called where something newer was asked
   * @param {(error: Error) => void} failed - the same
   * @template T
   */
  run(delay, work, done, failed) {
    this.stop();
    const own = this.#number;
    const controller = (this.#controller = new AbortController());
    this.#timer = setTimeout(async () => {
      // The number decides, not the abort: an answer may be there already when that comes.
      const newest = () => own === this.#number;
      try {
        const answer = await work(controller.signal);
        if (newest()) done(answer);
      } catch (error) {
        if (newest()) failed(error);
      }
    }, delay);
  }
}
