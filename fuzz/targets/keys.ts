/** The Idempotency-Key: none, one that is not usable, or one that tells this request from others. */
import assert from 'node:assert/strict';
import { keyOf } from '../../src/front/request.ts';
import { encodeRequestEntry, decodeEntry } from '../../src/wire/entry.ts';
import { messageOf } from '../message.ts';
import type { Target } from '../target.ts';

const SEED = Buffer.alloc(32);

export const target: Target = {
  seeds: [
    Buffer.from('POST\n/a\nidempotency-key:a key\nauthorization:x'),
    Buffer.from('GET\n/\nIdempotency-Key:k'),
  ],
  words: ['idempotency-key:', '\n', 'authorization:', 'HEAD', 'a'.repeat(256)],
  run: (input) => {
    const message = messageOf(input);
    const key = keyOf(message, message.url ?? '', input);
    if (key === undefined) return 'not usable';
    if (key === null) return 'none';
    assert.match(key.key, /^[\x20-\x7e]{1,255}$/);
    assert.match(key.fingerprint, /^[\w+/]{43}=$/);
    assert.notEqual(keyOf(message, `${message.url}x`, input)?.fingerprint, key.fingerprint);
    // What is ordered is what was asked with.
    assert.deepEqual(decodeEntry(encodeRequestEntry(key, input, 1, SEED)).key, key);
    return 'usable';
  },
};
