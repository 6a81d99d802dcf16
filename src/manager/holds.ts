/** Counts who still reads something; whoever would remove it waits until nobody does. */
export class Holds {
  readonly #onFree: () => void;
  #count = 0;

  /** `onFree` is called when the last one has let go. */
  constructor(onFree: () => void) {
    this.#onFree = onFree;
  }

  get any(): boolean {
    return this.#count > 0;
  }

  /** Until what it returns is disposed of. */
  take(): Disposable {
    this.#count++;
    return {
      [Symbol.dispose]: () => {
        this.#count--;
        if (this.#count === 0) this.#onFree();
      },
    };
  }
}
