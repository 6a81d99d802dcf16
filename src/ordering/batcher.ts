/**
 * When records go to the store: each batch costs a commit and an fsync, so what nobody waits for goes along with others.
 *
 * - What comes in one turn of the loop, or while a batch is under way, is one batch.
 * - Under load the next one gathers for a moment; it goes as soon as one of its entries is decided, because from then on somebody
 *   waits for the disk alone.
 * - What is no entry waits for the next batch, or a little longer.
 */
import { RECORD, type StoreRecord } from './store-protocol.ts';

const BATCH_RECORDS = 64;
const BATCH_MS = 5;
const LAZY_MS = 20;
const NO_BYTES = new Uint8Array(0);

export class Batcher {
  readonly #send: (records: readonly StoreRecord[]) => void;
  #records: StoreRecord[] = [];
  /** A batch is due: because of an entry, or because others have waited for long enough. */
  #due = false;
  #soon: NodeJS.Immediate | null = null;
  #gathering: NodeJS.Timeout | null = null;
  #lazy: NodeJS.Timeout | null = null;
  #decided: number | null = null;
  /** The last entry written, the last one sent, and what it was at each batch under way. */
  #written: number;
  #sent: number;
  readonly #underWay: number[] = [];

  /** `last`: the last entry that is stored. */
  constructor(last: number, send: (records: readonly StoreRecord[]) => void) {
    this.#written = last;
    this.#sent = last;
    this.#send = send;
  }

  /** Somebody waits for this entry to be durable. */
  entry(index: number, bytes: Uint8Array): void {
    this.#records.push({ kind: RECORD.entry, index, bytes });
    this.#written = index;
    this.#due = true;
    if (this.#underWay.length > 0 || this.#gathering !== null) return;
    this.#soon ??= setImmediate(() => {
      this.#soon = null;
      this.#sendDue();
    });
  }

  other(record: StoreRecord): void {
    this.#records.push(record);
    this.#sendLater();
  }

  /** All updates up to `index` were written. */
  decided(index: number): void {
    this.#decided = index;
    if (this.#isWaitedFor()) this.#sendDue();
    else this.#sendLater();
  }

  /** The batch that was sent first is stored. Returns the last entry that is; `next` is to follow. */
  stored(): number {
    return this.#underWay.shift() ?? -1;
  }

  /** Once all is done that waited for the last batch: what gathered meanwhile goes now, or waits a little for more. */
  next(): void {
    if (this.#records.length >= BATCH_RECORDS || this.#isWaitedFor()) this.#sendDue();
    else if (this.#due) this.#gather();
  }

  #gather(): void {
    this.#gathering ??= setTimeout(() => {
      this.#gathering = null;
      this.#sendDue();
    }, BATCH_MS);
  }

  #isWaitedFor(): boolean {
    return this.#decided !== null && this.#decided > this.#sent;
  }

  #sendLater(): void {
    this.#lazy ??= setTimeout(() => {
      this.#lazy = null;
      this.#due = true;
      this.#sendDue();
    }, LAZY_MS);
  }

  #sendDue(): void {
    if (this.#due && this.#underWay.length === 0) this.flush();
  }

  /** Sends what there is, whatever is under way. */
  flush(): void {
    this.#rest();
    if (this.#decided !== null)
      this.#records.push({ kind: RECORD.decided, index: this.#decided, bytes: NO_BYTES });
    this.#decided = null;
    if (this.#records.length === 0) return;
    this.#underWay.push(this.#written);
    this.#sent = this.#written;
    const records = this.#records;
    this.#records = [];
    this.#send(records);
  }

  /** Nothing is due. */
  #rest(): void {
    this.#due = false;
    if (this.#soon !== null) clearImmediate(this.#soon);
    clearTimeout(this.#gathering ?? undefined);
    clearTimeout(this.#lazy ?? undefined);
    this.#soon = null;
    this.#gathering = null;
    this.#lazy = null;
  }
}
