/** A body as it comes, in one buffer: kept in the pieces in which it came, a byte could cost hundreds. */
export class Gathered {
  readonly #expected: number;
  #buffer: Buffer = Buffer.alloc(0);
  #length = 0;

  /** `expected`: the most that is likely to come. */
  constructor(expected: number) {
    this.#expected = expected;
  }

  get length(): number {
    return this.#length;
  }

  /** What it takes: at most twice what came, and no more than is expected. */
  get bytesHeld(): number {
    return this.#buffer.length;
  }

  add(piece: Buffer): void {
    const length = this.#length + piece.length;
    if (length > this.#buffer.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * this.#length, this.#expected)));
      this.#buffer.copy(larger, 0, 0, this.#length);
      this.#buffer = larger;
    }
    piece.copy(this.#buffer, this.#length);
    this.#length = length;
  }

  bytes(): Buffer {
    return this.#buffer.subarray(0, this.#length);
  }
}
