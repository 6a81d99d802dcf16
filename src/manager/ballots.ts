/**
 * The full bytes behind the votes of undecided entries. Equal bytes are kept, and digested, once.
 *
 * The core sees digests only; the bytes stay here until it releases the entry.
 */
import { hash } from 'node:crypto';
import { digest as toDigest, type Digest, type Vote } from '../core/index.ts';

const NOTHING = toDigest('');

export function digestOf(bytes: Uint8Array): Digest {
  return bytes.length === 0 ? NOTHING : toDigest(hash('sha256', bytes, 'base64'));
}

type Bytes = Map<Digest, Buffer>;

interface Ballot {
  readonly replies: Bytes;
  readonly updates: Bytes;
}

function keep(kept: Bytes, bytes: Buffer): Digest {
  // Comparing is several times cheaper than digesting.
  for (const [digest, known] of kept) if (known.equals(bytes)) return digest;
  const digest = digestOf(bytes);
  kept.set(digest, bytes);
  return digest;
}

export class Ballots {
  readonly #ballots = new Map<number, Ballot>();

  cast(index: number, reply: Buffer, update: Buffer): Vote {
    let ballot = this.#ballots.get(index);
    if (ballot === undefined) {
      ballot = { replies: new Map(), updates: new Map() };
      this.#ballots.set(index, ballot);
    }
    return {
      reply: keep(ballot.replies, reply),
      update: keep(ballot.updates, update),
      updateBytes: update.length,
    };
  }

  reply(index: number, digest: Digest): Buffer | null {
    return this.#ballots.get(index)?.replies.get(digest) ?? null;
  }

  update(index: number, digest: Digest): Buffer | null {
    return this.#ballots.get(index)?.updates.get(digest) ?? null;
  }

  release(index: number): void {
    this.#ballots.delete(index);
  }
}
