/**
 * Whether what is read of a store can be what a manager wrote. SQLite notices damage of its own structure; what lies in that is
 * looked at here, once, so that nobody who takes it up comes upon something impossible.
 */
import { CHECKPOINT_FILE, checkpointFile } from '../data-folder.ts';
import { asBuffer, MalformedError } from '../wire/bytes.ts';
import { coreEntry, decodeEntry } from '../wire/entry.ts';
import type { Recovery } from './store-protocol.ts';

interface Row {
  readonly index: number;
  readonly bytes: unknown;
}

/** Throws, whatever, when it cannot. */
export function checkSound(recovery: Recovery, entries: readonly Row[]): void {
  checkFacts(recovery);
  for (const { index, bytes } of entries) {
    if (!(bytes instanceof Uint8Array)) throw new MalformedError(`entry ${index} is no bytes`);
    coreEntry(decodeEntry(asBuffer(bytes)));
  }
  checkOrder(recovery, entries);
}

function checkFacts({ first, timeMs, tickMs, decided, nextReplica, checkpoint }: Recovery): void {
  for (const [name, value] of Object.entries({ first, decided, nextReplica }))
    if (!Number.isSafeInteger(value)) throw new MalformedError(`${name} is no index`);
  for (const [name, value] of Object.entries({ timeMs, tickMs }))
    if (!Number.isFinite(value)) throw new MalformedError(`${name} is no time`);
  if (decided < first - 1) throw new MalformedError(`entry ${decided + 1} is missing`);
  if (checkpoint === null) return;
  const { index, file, digest = '' } = checkpoint;
  if (!Number.isSafeInteger(index) || !CHECKPOINT_FILE.test(file) || typeof digest !== 'string')
    throw new MalformedError('its checkpoint is none');
  // Else updates would be left out, or come twice.
  if (file !== checkpointFile(index) || index > decided)
    throw new MalformedError(`${file} is not the state after entry ${index}`);
}

/** Entry 0, and all that was not truncated, without a gap. */
function checkOrder({ first, decided }: Recovery, entries: readonly Row[]): void {
  const ordered = entries.map(({ index }) => index);
  const last = Math.max(first - 1, ordered.at(-1) ?? -1);
  if (last < 0 && decided < 0) return;
  if (ordered[0] !== 0) throw new MalformedError('entry 0 is missing');
  const rest = first === 0 ? ordered : ordered.slice(1);
  rest.forEach((index, i) => {
    if (index !== first + i) throw new MalformedError(`entry ${first + i} is missing`);
  });
  if (last < decided) throw new MalformedError(`entry ${decided} is missing`);
}
