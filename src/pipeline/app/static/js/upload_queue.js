// Works through items, some at a time, and knows how long the rest will take.

const AT_A_TIME = 3; // the server has few cores; one more is on its way to it

export class Queue {
  /** @param work async (item, signal) => void   @param changed () => void, after each item */
  constructor(work, changed) {
    this.work = work;
    this.changed = changed;
    this.clear();
  }

  clear() {
    this.stopped?.abort();
    this.stopped = new AbortController();
    this.waiting = [];
    this.active = this.done = this.total = 0;
  }

  get busy() {
    return this.active > 0 || this.waiting.length > 0;
  }

  /** Seconds until all is done; null as long as that is a guess. */
  get secondsLeft() {
    if (this.done < 3) return null;
    return ((performance.now() - this.started) / 1000 / this.done) * (this.total - this.done);
  }

  add(items) {
    if (!this.busy) {
      this.started = performance.now();
      this.done = this.total = 0;
    }
    this.waiting.push(...items);
    this.total += items.length;
    while (this.active < AT_A_TIME && this.waiting.length) this.next();
  }

  /** Ends the work; what is finished stays. */
  cancel() {
    this.clear();
    this.changed();
  }

  async next() {
    const item = this.waiting.shift();
    if (!item) return;
    const { signal } = this.stopped;
    this.active += 1;
    await this.work(item, signal);
    if (signal.aborted) return;
    this.active -= 1;
    this.done += 1;
    this.next();
    this.changed();
  }
}
