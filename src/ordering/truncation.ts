/** The removal of the oldest rows of a table of the store, a few at a time; entry 0 stays. */
import type { DatabaseSync } from 'node:sqlite';

/** Removed with one batch: truncating all at once would hold up what comes behind it. */
const CUT_ROWS = 256;

export class Truncation {
  readonly #remove;
  readonly #oldest;
  /** Rows up to here are to go. */
  through = 0;
  #done = 0;

  constructor(db: DatabaseSync, table: 'entries' | 'updates') {
    this.#remove = db.prepare(`delete from ${table} where idx > 0 and idx <= ?`);
    this.#oldest = db.prepare(
      `select idx, length(bytes) as size from ${table} where idx > 0 and idx <= ? order by idx limit ${CUT_ROWS}`,
    );
  }

  /** `bytesMax`: of rows that are removed; one more may exceed it. */
  cut(bytesMax: number): void {
    if (this.#done >= this.through) return;
    const rows = this.#oldest.all(this.through);
    let bytes = 0;
    const last = rows.find((row) => (bytes += Number(row['size'])) >= bytesMax) ?? rows[CUT_ROWS - 1];
    this.#done = Number(last?.['idx'] ?? this.through);
    this.#remove.run(this.#done);
  }
}
