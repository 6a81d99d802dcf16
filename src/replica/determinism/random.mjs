/**
 * Randomness from the seed of the entry: `Math.random` and what `node:crypto` and Web Crypto draw directly.
 *
 * R1. A keystream starts anew with every entry; which bytes a call gets depends on the seed and on the calls before
 *     it in the same entry, never on earlier entries. `Math.random` has a stream of its own, so that jitter in
 *     some library does not shift the ids that another one makes.
 * R2. Processes and threads of one domain have different streams, which are the same in every replica: the label holds
 *     their lineage.
 * R3. The originals are still called: they check the arguments, throw their own errors and size the result, which is
 *     then overwritten. Bytes are drawn when a function is called, also if a callback gets them later.
 *
 * Not covered, because OpenSSL draws for itself: generateKey*, generateKeyPair*, generatePrime*, DH and ECDH keys,
 * ECDSA, RSA-PSS and RSA-OAEP, subtle.generateKey, TLS. A service must not put their results into replies or state.
 * Nor what a thread or process draws that was started in one entry and kept for later ones: a replica that was started
 * since then has one of another name.
 */
import crypto from 'node:crypto';

const { createCipheriv, createHmac } = crypto;
const { setImmediate } = globalThis;
const CHUNK_BYTES = 1024;
const ZEROS = Buffer.alloc(CHUNK_BYTES);

export class Keystream {
  #page;
  #label;
  #entry = 0;
  #cipher;
  #chunk = ZEROS;
  #used = CHUNK_BYTES;

  /**
   * @param {import('./page.mjs').Page} page
   * @param {string} label
   */
  constructor(page, label) {
    this.#page = page;
    this.#label = label;
  }

  /** The next bytes; a whole `Buffer` of their own when there are many. */
  take(size) {
    const page = this.#page.current();
    if (page.entry !== this.#entry) this.#restart(page);
    if (size > CHUNK_BYTES) return this.#cipher.update(Buffer.alloc(size));
    if (this.#used + size > CHUNK_BYTES) {
      this.#chunk = this.#cipher.update(ZEROS);
      this.#used = 0;
    }
    this.#used += size;
    return this.#chunk.subarray(this.#used - size, this.#used);
  }

  /** @param {Uint8Array} target */
  fill(target) {
    target.set(this.take(target.length));
  }

  #restart(page) {
    const key = createHmac('sha256', page.seed).update(this.#label).digest();
    this.#cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16));
    this.#entry = page.entry;
    this.#used = CHUNK_BYTES;
  }
}

/** The bytes that `randomFill` fills; offset and size count elements. */
function region(target, offset = 0, size) {
  const unit = target.BYTES_PER_ELEMENT ?? 1;
  const all = ArrayBuffer.isView(target)
    ? new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
    : new Uint8Array(target);
  return all.subarray(offset * unit, size === undefined ? all.length : (offset + size) * unit);
}

/** 16 bytes as a UUID of the given version. */
function uuid(bytes, version) {
  bytes[6] = (bytes[6] & 0x0f) | (version << 4);
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
}

/** A whole number in [0, range), each equally likely; `range` is below 2^48. */
function below(stream, range) {
  const limit = 2 ** 48 - (2 ** 48 % range);
  for (;;) {
    const drawn = stream.take(6).readUIntBE(0, 6);
    if (drawn < limit) return drawn % range;
  }
}

/** `node:crypto`. A callback that is none goes to the original, which throws the right error. */
function cryptoFunctions(stream, page) {
  const names = ['randomBytes', 'randomFill', 'randomFillSync', 'randomInt', 'randomUUID', 'randomUUIDv7'];
  const original = Object.fromEntries(names.map((name) => [name, crypto[name]]));
  const isWrong = (callback) => callback !== undefined && typeof callback !== 'function';
  function randomBytes(size, callback) {
    if (isWrong(callback)) return original.randomBytes(size, callback);
    const bytes = original.randomBytes(size);
    stream.fill(bytes);
    if (callback === undefined) return bytes;
    setImmediate(callback, null, bytes);
  }
  function randomFillSync(buffer, offset, size) {
    original.randomFillSync(buffer, offset, size);
    stream.fill(region(buffer, offset, size));
    return buffer;
  }
  function randomFill(buffer, ...rest) {
    const callback = rest.find((argument) => typeof argument === 'function');
    if (callback === undefined) return original.randomFill(buffer, ...rest);
    const [offset, size] = rest.slice(0, rest.indexOf(callback));
    randomFillSync(buffer, offset, size);
    setImmediate(callback, null, buffer);
  }
  function randomInt(...bounds) {
    const last = bounds.at(-1);
    const callback = bounds.length > 1 && typeof last !== 'number' ? bounds.pop() : undefined;
    if (isWrong(callback)) return original.randomInt(...bounds, callback);
    original.randomInt(...bounds);
    const [min, max] = bounds[1] === undefined ? [0, bounds[0]] : bounds;
    const drawn = min + below(stream, max - min);
    if (callback === undefined) return drawn;
    setImmediate(callback, undefined, drawn);
  }
  function randomUUID(options) {
    original.randomUUID(options);
    return uuid(stream.take(16), 4);
  }
  function randomUUIDv7(options) {
    original.randomUUIDv7(options);
    const bytes = stream.take(16);
    bytes.writeUIntBE(page.current().timeMs, 0, 6);
    return uuid(bytes, 7);
  }
  const functions = { randomBytes, randomFillSync, randomFill, randomInt, randomUUID };
  const aliases = { pseudoRandomBytes: randomBytes, prng: randomBytes, rng: randomBytes, randomUUIDv7 };
  for (const [name, alias] of Object.entries(aliases)) if (name in crypto) functions[name] = alias;
  return functions;
}

/** Web Crypto: `globalThis.crypto`, `crypto.webcrypto` and `crypto.getRandomValues` share this prototype. */
function webCryptoFunctions(stream, prototype) {
  const original = { getRandomValues: prototype.getRandomValues, randomUUID: prototype.randomUUID };
  return {
    getRandomValues(array) {
      Reflect.apply(original.getRandomValues, this, [array]);
      stream.fill(region(array));
      return array;
    },
    randomUUID() {
      Reflect.apply(original.randomUUID, this, []);
      return uuid(stream.take(16), 4);
    },
  };
}

/** Replaces the functions of `target` by others of the same name, as ordinary writable properties where they may be made that. */
function replace(target, functions) {
  for (const [name, value] of Object.entries(functions)) {
    const { enumerable = true, configurable = true } = Object.getOwnPropertyDescriptor(target, name) ?? {};
    const ordinary = { value, enumerable, writable: true, configurable: true };
    Object.defineProperty(target, name, configurable ? ordinary : { value });
  }
}

/**
 * Replaces the sources of randomness. Named ESM imports see it after `module.syncBuiltinESMExports()`.
 *
 * @param {import('./page.mjs').Page} page
 * @param {string} owner lineage of the process or thread
 */
export function installRandom(page, owner) {
  const stream = new Keystream(page, `crypto/${owner}`);
  const webCrypto = Object.getPrototypeOf(crypto.webcrypto);
  replace(webCrypto, webCryptoFunctions(stream, webCrypto));
  replace(crypto, cryptoFunctions(stream, page));
  const jitter = new Keystream(page, `math/${owner}`);
  replace(Math, {
    random() {
      const bytes = jitter.take(8);
      return (bytes.readUInt32LE(0) * 2 ** 21 + (bytes.readUInt32LE(4) >>> 11)) / 2 ** 53;
    },
  });
}
