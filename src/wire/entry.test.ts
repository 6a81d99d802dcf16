import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import type { Command } from '../core/entry.ts';
import { index, replicaId } from '../core/index.ts';
import { MalformedError } from './bytes.ts';
import {
  coreEntry,
  decodeEntry,
  encodeBare,
  encodeCommand,
  encodeRequestEntry,
  SEED_BYTES,
} from './entry.ts';

const seed = fc
  .uint8Array({ minLength: SEED_BYTES, maxLength: SEED_BYTES })
  .map((bytes) => Buffer.from(bytes));
const body = fc.uint8Array({ maxLength: 100 }).map((bytes) => Buffer.from(bytes));
const time = fc.maxSafeNat();
const ascii = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCodePoint(code)),
});
const key = fc.record(
  {
    key: ascii.filter((text) => text !== ''),
    fingerprint: fc.base64String({ minLength: 4, maxLength: 44 }),
  },
  { noNullPrototype: true },
);

void test('a request decodes to what was encoded, with its key or without', () => {
  fc.assert(
    fc.property(fc.option(key), body, time, seed, (name, request, timeMs, random) => {
      const bytes = encodeRequestEntry(name, request, timeMs, random);
      const decoded = decodeEntry(bytes);
      assert.deepEqual(decoded, { kind: 'request', timeMs, seed: random, key: name, body: request });
      assert.deepEqual(coreEntry(decoded), {
        type: 'request',
        time: timeMs,
        key: name,
        bytes: request.length,
      });
    }),
  );
});

void test('a bare entry decodes to what was encoded', () => {
  const kind = fc.constantFrom('start' as const, 'tick' as const, 'mark' as const);
  fc.assert(
    fc.property(kind, time, seed, (type, timeMs, random) => {
      const decoded = decodeEntry(encodeBare(type, timeMs, random));
      assert.deepEqual(decoded, { kind: type, timeMs, seed: random, key: null, body: Buffer.alloc(0) });
      assert.deepEqual(coreEntry(decoded), { type, time: timeMs });
    }),
  );
});

void test('a command decodes to what was encoded', () => {
  const commands: Command[] = [
    { type: 'skip', index: index(7), reason: 'poison' },
    { type: 'settle', active: [replicaId('r1'), replicaId('r2')] },
  ];
  for (const command of commands) {
    const decoded = decodeEntry(encodeCommand(command, 5, Buffer.alloc(SEED_BYTES)));
    assert.deepEqual(coreEntry(decoded), { type: 'command', time: 5, command });
  }
});

void test('any bytes of a log are an entry or malformed; nothing else happens', () => {
  const kind = fc.oneof(fc.nat(5), fc.nat(255));
  const bytes = fc
    .tuple(kind, fc.uint8Array({ maxLength: 120 }))
    .map(([first, rest]) => Buffer.from([first, ...rest]));
  fc.assert(
    fc.property(fc.oneof(bytes, body), (damaged) => {
      try {
        const { body: rest } = decodeEntry(damaged);
        assert.ok(rest.length <= damaged.length);
      } catch (error) {
        assert.ok(error instanceof MalformedError, String(error));
      }
    }),
    { numRuns: 1000 },
  );
});
