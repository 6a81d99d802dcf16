/** Attacks through the state: updates, digests, exports. */
import { ByteWriter } from '../../src/replica/state/bytes.ts';
import { CHUNK_BYTES, chunkFrames, digestAnswer, resultFrames, stateMark } from '../../src/wire/channel.ts';
import type { Attack } from './attack.ts';
import type { Captured } from './captured.ts';

const OPAQUE =
  'outvoted; the manager does not look into updates, and a passive replica gets decided ones only';
const MIB = 1024 ** 2;

/** Every update from now on is another one; the reply is right. */
function updates(make: (update: Buffer) => Uint8Array): (captured: Captured) => void {
  return (captured) =>
    captured.results('request', 'all', ({ index, reply, update }) => {
      captured.send(resultFrames(index, reply, update.length === 0 ? update : make(update)));
    });
}

/** An update of one file in the agent's own encoding, with this page written and this many pages in all. */
function crafted(page: number, pageCount: number): Uint8Array {
  const writer = new ByteWriter();
  writer.byte(1);
  writer.varint(1);
  writer.byte(1);
  writer.varint(16);
  writer.varint(pageCount);
  writer.varint(page);
  writer.varint(1);
  writer.varint(0);
  writer.varint(1);
  writer.byte(7);
  writer.varint(0);
  return writer.result();
}

function update(name: string, run: Attack['run'], stopped: string = OPAQUE): Attack {
  return { name, by: 'active', kind: 'update', stopped, run };
}

async function* chunks(): AsyncGenerator<Uint8Array[]> {
  for (;;) yield chunkFrames(Buffer.alloc(CHUNK_BYTES, 7), false);
}

/** Exports something in place of the state, for as long as it may. */
function exports(parts: () => AsyncGenerator<Uint8Array[]>): (captured: Captured) => void {
  return (captured) =>
    captured.answers('chunk', () => {
      captured.onAnswer = () => {};
      void (async () => {
        for await (const part of parts()) {
          await captured.sendSlowly(part);
          await new Promise(setImmediate);
        }
      })();
    });
}

function exporting(
  name: string,
  stopped: string,
  run: Attack['run'],
  kind: Attack['kind'] = 'protocol',
): Attack {
  return { name, by: 'exporting', kind, stopped, run };
}

const SIZE = '`Snapshots` (N2): an export has the size that f+1 replicas voted on at the mark';

export const STATE_ATTACKS: readonly Attack[] = [
  update(
    'the right reply with another update',
    updates((sound) => Buffer.from(sound).fill(7, sound.length - 3)),
  ),
  update(
    'the right reply with no update',
    updates(() => Buffer.alloc(0)),
  ),
  update(
    'an update of pages that are out of range',
    updates(() => crafted(0xffff_fffe, 3)),
  ),
  update(
    'an update that makes the database 256 TiB',
    updates(() => crafted(1, 0xffff_fffe)),
  ),
  {
    ...update(
      'updates of 24 MiB each',
      updates(() => Buffer.alloc(24 * MIB, 1)),
      'outvoted; `Ballots` (B1)',
    ),
    mayBeLate: true,
  },
  {
    name: 'another digest at a mark',
    by: 'active',
    kind: 'state',
    stopped: 'outvoted: a mark is voted on',
    run: (captured) =>
      captured.results('mark', 'first', ({ index, reply, update }) =>
        captured.send(resultFrames(index, Buffer.alloc(reply.length, 1), update)),
      ),
  },
  {
    name: 'another digest of a passive replica',
    by: 'refreshed',
    kind: 'state',
    stopped: 'compared with what was decided at the mark',
    run: (captured) =>
      captured.answers('digest', () =>
        captured.send(digestAnswer(stateMark(Buffer.alloc(32, 1), 100), false)),
      ),
  },
  exporting('an export without end', SIZE, exports(chunks)),
  exporting(
    'an export in endless empty pieces',
    `${SIZE}; all pieces but the last are whole`,
    exports(async function* () {
      for (;;) yield chunkFrames(Buffer.alloc(0), false);
    }),
  ),
  exporting(
    'an export in single bytes',
    `${SIZE}; all pieces but the last are whole`,
    exports(async function* () {
      for (;;) yield chunkFrames(Buffer.of(1), false);
    }),
  ),
  exporting(
    'an export that ends too early',
    SIZE,
    exports(async function* () {
      yield chunkFrames(Buffer.alloc(10), true);
    }),
  ),
  exporting(
    'another state of the right size',
    'a checkpoint is what f+1 exported equally (T2)',
    (captured) =>
      captured.answers('chunk', (answer) => {
        if (answer.type !== 'chunk') return;
        captured.send(chunkFrames(Buffer.from(answer.chunk).fill(7, answer.chunk.length - 100), answer.last));
      }),
    'state',
  ),
];
