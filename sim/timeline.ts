/** Simulated time: what happens next, in order of time and, at the same time, of being planned. A binary heap. */

interface Item {
  readonly at: number;
  readonly seq: number;
  readonly run: () => void;
}

function before(a: Item, b: Item): boolean {
  return a.at < b.at || (a.at === b.at && a.seq < b.seq);
}

export class Timeline {
  readonly #heap: Item[] = [];
  #seq = 0;
  now = 0;

  /** Plans `run` for `delayMs` from now. */
  in(delayMs: number, run: () => void): void {
    this.at(this.now + delayMs, run);
  }

  at(at: number, run: () => void): void {
    const heap = this.#heap;
    const item = { at: Math.max(at, this.now), seq: this.#seq++, run };
    let place = heap.length;
    heap.push(item);
    while (place > 0) {
      const parent = (place - 1) >> 1;
      const above = heap[parent];
      if (above === undefined || !before(item, above)) break;
      heap[place] = above;
      place = parent;
    }
    heap[place] = item;
  }

  /** Does the next thing; false when nothing is planned. */
  step(): boolean {
    const heap = this.#heap;
    const [first] = heap;
    const last = heap.pop();
    if (first === undefined || last === undefined) return false;
    if (heap.length > 0) this.#sink(last);
    this.now = first.at;
    first.run();
    return true;
  }

  #sink(item: Item): void {
    const heap = this.#heap;
    let place = 0;
    for (;;) {
      let child = 2 * place + 1;
      const [left, right] = [heap[child], heap[child + 1]];
      if (left === undefined) break;
      let smaller = left;
      if (right !== undefined && before(right, left)) {
        child++;
        smaller = right;
      }
      if (!before(smaller, item)) break;
      heap[place] = smaller;
      place = child;
    }
    heap[place] = item;
  }
}
