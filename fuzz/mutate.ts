/** New inputs from old ones: a few random changes, of bits, numbers, ranges, words, or with a piece of another input. */
import type { Random } from './random.ts';

export const INPUT_BYTES_MAX = 1024;

const CHANGES_MAX = 6;
const BYTES = [0, 1, 2, 0x0a, 0x0d, 0x20, 0x3a, 0x7f, 0x80, 0xff];
const NUMBERS = [0, 1, 2, 5, 255, 256, 511, 512, 513, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 1];

export class Mutator {
  readonly #random: Random;
  readonly #words: readonly Buffer[];
  readonly #scratch = Buffer.alloc(2 * INPUT_BYTES_MAX);
  #length = 0;

  constructor(random: Random, words: readonly string[]) {
    this.#random = random;
    this.#words = words.map((word) => Buffer.from(word, 'latin1'));
  }

  /** A new input from one of these. */
  from(corpus: readonly Uint8Array[]): Buffer {
    const random = this.#random;
    this.#length = this.#set(this.#pick(corpus));
    for (let left = 1 + random.next(CHANGES_MAX); left > 0; left--) this.#change(corpus);
    this.#length = Math.min(this.#length, INPUT_BYTES_MAX);
    return Buffer.from(this.#scratch.subarray(0, this.#length));
  }

  #pick(corpus: readonly Uint8Array[]): Uint8Array {
    // What was found last is tried most.
    const back = Math.min(this.#random.next(corpus.length), this.#random.next(corpus.length));
    return corpus[corpus.length - 1 - back] ?? new Uint8Array(0);
  }

  #set(bytes: Uint8Array): number {
    this.#scratch.set(bytes.subarray(0, INPUT_BYTES_MAX));
    return Math.min(bytes.length, INPUT_BYTES_MAX);
  }

  #change(corpus: readonly Uint8Array[]): void {
    const random = this.#random;
    const length = this.#length;
    const at = random.next(length + 1);
    const within = Math.min(at, Math.max(0, length - 1));
    switch (random.next(9)) {
      case 0:
        if (length > 0) this.#scratch[within] = (this.#scratch[within] ?? 0) ^ (1 << random.next(8));
        return;
      case 1:
        if (length > 0) this.#scratch[within] = BYTES[random.next(BYTES.length)] ?? random.next(256);
        return;
      case 2:
        if (length >= 2) this.#scratch.writeUInt16LE(this.#number() % 65_536, Math.min(within, length - 2));
        return;
      case 3:
        if (length >= 4) this.#scratch.writeUInt32LE(this.#number(), Math.min(within, length - 4));
        return;
      case 4:
        return this.#replace(at, Math.min(length - at, 1 + random.next(16)), new Uint8Array(0));
      case 5:
        return this.#replace(at, 0, Buffer.from([random.next(256), random.next(256)].slice(random.next(2))));
      case 6:
        return this.#replace(
          at,
          0,
          this.#words[random.next(Math.max(1, this.#words.length))] ?? Buffer.of(0),
        );
      case 7: {
        const from = random.next(length + 1);
        return this.#replace(
          at,
          0,
          Buffer.from(this.#scratch.subarray(from, Math.min(length, from + 1 + random.next(64)))),
        );
      }
      default: {
        const other = this.#pick(corpus);
        const from = random.next(other.length + 1);
        return this.#replace(at, random.next(length - at + 1), other.subarray(from, from + random.next(256)));
      }
    }
  }

  #number(): number {
    return this.#random.next(2) === 0
      ? this.#random.next(300)
      : (NUMBERS[this.#random.next(NUMBERS.length)] ?? 0);
  }

  /** Puts `bytes` in the place of `count` bytes at `at`. */
  #replace(at: number, count: number, bytes: Uint8Array): void {
    const room = this.#scratch.length - this.#length + count;
    const put = bytes.subarray(0, room);
    this.#scratch.copyWithin(at + put.length, at + count, this.#length);
    this.#scratch.set(put, at);
    this.#length += put.length - count;
  }
}
