/**
 * Bytes that are held because a client sends or takes them at its own pace: bounded all together, whatever clients do.
 *
 * M1. When there is no room, the first goes: nobody keeps room from others by holding on to it.
 * M2. A single one always fits: its own size is limited elsewhere.
 */
export class Room<Who> {
  readonly #bytesMax: number;
  readonly #giveUp: (who: Who) => void;
  /** In the order in which they came, or came on. */
  readonly #held = new Map<Who, number>();
  #bytes = 0;

  /** `giveUp` is called for who has to go; what it held is released by then. */
  constructor(bytesMax: number, giveUp: (who: Who) => void) {
    this.#bytesMax = bytesMax;
    this.#giveUp = giveUp;
  }

  /** `who` holds this many bytes now; it may be the one that has to go. */
  hold(who: Who, bytes: number): void {
    this.#bytes += bytes - (this.#held.get(who) ?? 0);
    this.#held.set(who, bytes);
    for (const first of this.#held.keys()) {
      if (this.#bytes <= this.#bytesMax || this.#held.size === 1) return;
      this.release(first);
      this.#giveUp(first);
    }
  }

  /** `who` came on, and goes after all others; without effect on one that holds nothing. */
  cameOn(who: Who): void {
    const bytes = this.#held.get(who);
    if (bytes === undefined) return;
    this.#held.delete(who);
    this.#held.set(who, bytes);
  }

  release(who: Who): void {
    this.#bytes -= this.#held.get(who) ?? 0;
    this.#held.delete(who);
  }
}
