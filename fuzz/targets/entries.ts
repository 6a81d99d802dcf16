/** An entry of the order: refused, or one that is the same bytes again when it is encoded. */
import assert from 'node:assert/strict';
import { MalformedError } from '../../src/wire/bytes.ts';
import {
  coreEntry,
  decodeEntry,
  encodeBare,
  encodeCommand,
  encodeRequestEntry,
} from '../../src/wire/entry.ts';
import { index, replicaId } from '../../src/core/index.ts';
import { refusing, type Target } from '../target.ts';

const SEED = Buffer.alloc(32, 1);
const COMMAND = { type: 'expel', replica: replicaId('r1'), kind: 'late', index: index(7) } as const;

export const target: Target = {
  seeds: [
    encodeBare('tick', 5, SEED),
    encodeCommand(COMMAND, 5, SEED),
    encodeRequestEntry({ key: 'a key', fingerprint: 'print' }, Buffer.from('request'), 5, SEED),
    encodeRequestEntry(null, Buffer.from('request'), 5, SEED),
  ],
  words: ['{"type":"suspect","index":1}', '\x01\0', ' '],
  run: (input) => {
    const entry = refusing(() => decodeEntry(input), MalformedError);
    if (entry === null) return 'refused';
    const core = refusing(() => coreEntry(entry), SyntaxError);
    if (core === null) return 'a command that is none';
    assert.equal(core.type, entry.kind);
    const { key, body, timeMs, seed } = entry;
    if (core.type !== 'request') return core.type;
    const again = encodeRequestEntry(key, body, timeMs, seed);
    // A key without a fingerprint is none, and is left out.
    if (key !== null) assert.ok(again.subarray(9).equals(input.subarray(9)));
    return `request ${key === null ? 'without' : 'with'} a key`;
  },
};
