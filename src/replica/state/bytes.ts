/**
 * Writing and strictly reading the byte strings of updates, with variable-length integers.
 *
 * Integers are LEB128: seven bits a byte, lowest first. B1: a number has exactly one accepted encoding (no
 * padding), so that equal values are equal bytes. B2: reading past the end, or a number above the stated
 * limit, is a `StateError`, never a wrong value. B3: so is writing more than an update may have, before room is made for it.
 */
import { UPDATE_BYTES_MAX, UPDATE_TOO_LARGE } from '../../wire/channel.ts';
import { StateError } from './state.ts';

/** A growing buffer that is reused from one update to the next. */
export class ByteWriter {
  #buffer: Buffer = Buffer.alloc(64 * 1024);
  #length = 0;

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Forgets everything after the first `length` bytes. */
  truncate(length: number): void {
    this.#length = Math.min(length, this.#length);
  }

  byte(value: number): void {
    this.#reserve(1);
    this.#buffer[this.#length++] = value;
  }

  /** A non-negative safe integer. */
  varint(value: number): void {
    this.#reserve(8);
    let rest = value;
    while (rest >= 0x80) {
      this.#buffer[this.#length++] = (rest % 0x80) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    this.#buffer[this.#length++] = rest;
  }

  bytes(source: Uint8Array, start: number, end: number): void {
    this.#reserve(end - start);
    this.#buffer.set(source.subarray(start, end), this.#length);
    this.#length += end - start;
  }

  /** A copy of what was written. */
  result(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.#buffer, 0, this.#length);
  }

  #reserve(count: number): void {
    const wanted = this.#length + count;
    if (wanted <= this.#buffer.length) return;
    if (wanted > UPDATE_BYTES_MAX) throw new StateError(UPDATE_TOO_LARGE);
    const grown = Buffer.alloc(Math.min(UPDATE_BYTES_MAX, Math.max(this.#buffer.length * 2, wanted)));
    grown.set(this.#buffer.subarray(0, this.#length));
    this.#buffer = grown;
  }
}

/** Reads what `ByteWriter` wrote; throws a `StateError` on anything else. */
export class ByteReader {
  readonly #source: Uint8Array;
  #offset = 0;

  constructor(source: Uint8Array) {
    this.#source = source;
  }

  byte(what: string): number {
    const value = this.#source[this.#offset];
    if (value === undefined) throw new StateError(`malformed update: ends before ${what}`);
    this.#offset += 1;
    return value;
  }

  /** An integer of at most `limit`. */
  varint(what: string, limit: number): number {
    let value = 0;
    for (let scale = 1; ; scale *= 0x80) {
      const byte = this.byte(what);
      value += (byte & 0x7f) * scale;
      if (value > limit) throw new StateError(`malformed update: ${what} is above ${limit}`);
      if (byte < 0x80) {
        if (byte === 0 && scale > 1) throw new StateError(`malformed update: ${what} is padded`);
        return value;
      }
      if (scale > limit) throw new StateError(`malformed update: ${what} is too long`);
    }
  }

  /** A view, not a copy. */
  bytes(count: number, what: string): Uint8Array {
    const end = this.#offset + count;
    if (end > this.#source.length) throw new StateError(`malformed update: ends inside ${what}`);
    const view = this.#source.subarray(this.#offset, end);
    this.#offset = end;
    return view;
  }

  end(): void {
    if (this.#offset !== this.#source.length) throw new StateError('malformed update: bytes after its end');
  }
}
