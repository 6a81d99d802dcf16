/**
 * One database file, between the service that changes it and the updates of other replicas.
 *
 * T1. `capture` looks at the log only when something was committed; otherwise it costs a few microseconds.
 * T2. What the service wrote outside of an entry and before a `flush` or `load` (at its start) does not survive these:
 *     pages that it overwrote are written anew.
 * T3. The file is replaced in place, under the service's open connections, and only while it neither reads nor writes.
 * T4. The service's connections know a schema by its number alone, and keep where its tables are. A start that does not count begins
 *     with a number far from that of the state: else the schema that it makes could have the number of the one that it is given.
 */
import assert from 'node:assert/strict';
import type { ArchivedFile, Filling } from './archive.ts';
import type { ByteWriter } from './bytes.ts';
import { createDatabase, createFile, DatabaseFiles, renumberSchema } from './files.ts';
import { Holder } from './holder.ts';
import { Known } from './known.ts';
import { assertFirstPage, canonicalize, isLockPage } from './page.ts';
import { Pages } from './pages.ts';
import { applyPage, type FilePatch, PageDiffer, writePatchHeader } from './patch.ts';
import type { ReadableFile } from './reads.ts';
import { StateError } from './state.ts';
import { type Scan, Wal } from './wal.ts';
import type { WalIndex } from './wal-index.ts';

/** Frames in the log from which the agent moves it into the database file. */
const BACKLOG_FRAMES = 1000;
/** While a statement of the service prevents that, the next attempt is after as many frames again, at most these. */
const BACKLOG_STEP_FRAMES = 16_000;

/** Pages of an archive that are written with one system call. */
const WRITTEN_TOGETHER = 64;

/** What exists once the agent has read from the database. */
interface Live {
  readonly holder: Holder;
  readonly index: WalIndex;
  readonly walFd: number;
  wal: Wal;
}

export class Database {
  readonly pages: Pages;
  readonly #path: string;
  readonly #files: DatabaseFiles;
  #live: Live | null = null;
  /** What depends on the page size. */
  #pageSize = 0;
  #differ: PageDiffer = new PageDiffer(0);
  #previous: Buffer = Buffer.alloc(0);
  #next: Buffer = Buffer.alloc(0);
  #applied = false;
  /** Of the state that the service was started on. */
  #digestLeft: Buffer = Buffer.alloc(0);
  #backlogMax: number = BACKLOG_FRAMES;
  /** Once the start is over. */
  #known: Known | null = null;

  private constructor(path: string, files: DatabaseFiles) {
    this.#path = path;
    this.#files = files;
    this.pages = new Pages(files);
  }

  /** Creates the file in place of what is there: an empty database, or one of an archive. */
  static *create(path: string, base: ArchivedFile): Filling<Database> {
    if (base.pageCount === 0) return new Database(path, createDatabase(path));
    createFile(path);
    const database = new Database(path, new DatabaseFiles(path));
    database.#clear(base.pageSize);
    yield* database.#fillAll(base.pageCount);
    // From now on, so that what the service writes while it starts stays apart from that.
    database.#live = database.#connect();
    database.#settle(base.pageCount);
    return database;
  }

  /** The service is about to start; `founds`: as of `State.leave`. */
  leave(founds: boolean): void {
    this.flush();
    this.#digestLeft = this.pages.digest();
    if (founds) return;
    renumberSchema(this.#path);
    // So that the next flush undoes that, too, whatever else it has to do.
    this.#applied = this.pages.pageCount > 0;
  }

  /** To be called once the service has opened the database. Throws a `StateError` if it cannot be followed. */
  open(): void {
    const isTouched = this.#files.forgiveTouch();
    this.#files.assertSame();
    if (isTouched) this.#assertLeft();
    const { pageSize } = this.#files.header();
    if (this.pages.pageCount === 0) this.#clear(pageSize);
    this.#live ??= this.#connect();
    this.#files.assertLog();
  }

  /** The database's file, with the pages that it has in the state. */
  get file(): ReadableFile {
    const { pageSize, pageCount } = this.pages;
    return { ...this.#files.identity, pageSize, pageCount };
  }

  /** The start is over, and left the state as it is. `read`: pages that the service read; those that it changed it knows, too. */
  started(read: readonly number[]): void {
    this.#known = new Known(this.pages, [...read, ...this.pages.touched()]);
  }

  /** As of `State`. */
  get isOutdated(): boolean {
    return this.#known?.isOutdated === true;
  }

  /** Appends the change since the last capture; false, and nothing appended, when there is none. */
  capture(writer: ByteWriter): boolean {
    const { wal } = this.#opened();
    // While we hold our lock the service cannot leave WAL mode; only replacing the file, or its content, is left to be noticed. At
    // once: what is written to another file would be acknowledged, and lost.
    this.#files.assertSame();
    const first = this.pages.pageCount === 0;
    if (!first && !wal.changed()) return false;
    assert(!this.#applied, 'an entry was executed on top of updates that are not flushed');
    this.#files.assertLog();
    const filePages = Math.floor(this.#files.length() / this.#pageSize);
    const scan = wal.scan(first ? filePages : this.pages.pageCount);
    this.#assertGrownPagesWritten(scan);
    const mark = writer.length;
    const written = first ? this.#writeFirst(writer, scan) : this.#writeChanges(writer, scan);
    wal.advance(scan);
    if (first) this.pages.settle(Math.min(filePages, scan.pageCountMin));
    this.pages.resize(scan.pageCount);
    if (!written) writer.truncate(mark);
    if (first || wal.backlog >= this.#backlogMax) this.#backfill();
    return written;
  }

  /** Remembers the update of another replica until `flush`. */
  apply(patch: FilePatch): void {
    const { wal } = (this.#live ??= this.#connect());
    if (this.pages.pageCount === 0) this.#clear(patch.pageSize);
    if (patch.pageSize !== this.#pageSize) {
      throw new StateError(`${this.#path}: an update of ${patch.pageSize}-byte pages, not ${this.#pageSize}`);
    }
    this.#applied = true;
    for (const change of patch.pages) {
      applyPage(change, this.pages.pendingImage(change.page));
      this.pages.touch(change.page);
    }
    if (patch.pageCount < this.pages.pageCount) {
      for (const page of this.pages.pending.keys())
        if (page > patch.pageCount) this.pages.pending.delete(page);
      wal.truncate(patch.pageCount);
    }
    this.pages.resize(patch.pageCount);
  }

  /** Writes what was applied. Throws a `StateError` when the service is in the way. */
  flush(): void {
    if (!this.#applied) return;
    const { holder, index, wal } = this.#opened();
    holder.addFrame();
    const { change } = this.#keepOverwritten(wal).header;
    const { pageCount } = this.pages;
    {
      using _ = this.#lock();
      if (index.read().change !== change) {
        throw new StateError(`${this.#path}: the service wrote while its state was being replaced`);
      }
      this.#writePending();
      this.#publish(pageCount);
    }
    this.#settle(pageCount);
    this.#applied = false;
  }

  /** Replaces the state by an archived one. */
  *load(file: ArchivedFile): Filling {
    this.#files.assertSame();
    this.#applied = false;
    if (file.pageCount === 0) {
      this.#clear(this.#files.header().pageSize);
      return;
    }
    this.#opened().holder.addFrame();
    {
      using _ = this.#lock();
      this.#clear(file.pageSize);
      yield* this.#fillAll(file.pageCount);
      this.#publish(file.pageCount);
    }
    this.#settle(file.pageCount);
  }

  close(): void {
    this.#live?.holder.close();
    this.#files.close();
  }

  /** Nothing that the log tells of would bring back what was in a file that was written over. */
  #assertLeft(): void {
    this.pages.touchAll();
    if (!this.pages.digest().equals(this.#digestLeft)) this.#files.refuseWritten();
  }

  #opened(): Live {
    assert(this.#live !== null, `${this.#path} is not open`);
    return this.#live;
  }

  #connect(): Live {
    const holder = new Holder(this.#path);
    try {
      const { walFd, index } = this.#files.openLog();
      const wal = new Wal(index, walFd, this.#path, this.#pageSize);
      wal.start();
      this.pages.attach(wal);
      return { holder, index, walFd, wal };
    } catch (error) {
      holder.close();
      throw error;
    }
  }

  /** The state is nothing; whatever the file and the log hold is not part of it. */
  #clear(pageSize: number): void {
    this.pages.clear(pageSize);
    if (pageSize !== this.#pageSize) {
      this.#pageSize = pageSize;
      this.#differ = new PageDiffer(pageSize);
      this.#previous = Buffer.alloc(pageSize);
      this.#next = Buffer.alloc(pageSize);
      if (this.#live !== null) {
        this.#live.wal = new Wal(this.#live.index, this.#live.walFd, this.#path, pageSize);
        this.pages.attach(this.#live.wal);
      }
    }
    this.#live?.wal.start();
    this.#files.keep(false);
  }

  /** The whole of a state that was nothing: all pages, in the log or in the file. */
  #writeFirst(writer: ByteWriter, scan: Scan): boolean {
    const zeros = this.#previous.fill(0);
    writePatchHeader(writer, this.#pageSize, scan.pageCount);
    let last = 0;
    for (let page = 1; page <= scan.pageCount; page += 1) {
      if (!this.#readNew(page, scan)) continue;
      if (this.#differ.write(writer, page - last, zeros, this.#next)) last = page;
    }
    writer.varint(0);
    return true;
  }

  #writeChanges(writer: ByteWriter, scan: Scan): boolean {
    let changed = scan.pageCount !== this.pages.pageCount;
    let last = 0;
    writePatchHeader(writer, this.#pageSize, scan.pageCount);
    for (const page of [...scan.pages.keys()].sort((a, b) => a - b)) {
      const before = this.pages.image(page, this.#previous);
      this.#readNew(page, scan);
      if (!this.#differ.write(writer, page - last, before, this.#next)) continue;
      this.pages.touch(page);
      last = page;
      changed = true;
    }
    writer.varint(0);
    return changed;
  }

  /** Reads the new image of a page: from its frame, or the file. False when neither has one: it is zeros. */
  #readNew(page: number, scan: Scan): boolean {
    const frame = scan.pages.get(page);
    if (frame !== undefined) this.#opened().wal.readFrame(frame, this.#next);
    else if (page <= scan.pageCountMin) this.#files.readPage(page, this.#next);
    else return false;
    canonicalize(page, this.#next);
    return true;
  }

  /** SQLite writes each page by which a file grows; what it would read from one that it did not is not defined. */
  #assertGrownPagesWritten(scan: Scan): void {
    for (let page = scan.pageCountMin + 1; page <= scan.pageCount; page += 1) {
      if (scan.pages.has(page) || isLockPage(page, this.#pageSize)) continue;
      throw new StateError(`${this.#path}: the database grew by page ${page}, which was not written`);
    }
  }

  /** Moves the log into the file between entries; the frames taken over stay valid if that cannot be done. */
  #backfill(): void {
    const { holder, wal } = this.#opened();
    if (holder.backfill(() => !wal.changed())) {
      this.#settle(this.pages.pageCount);
    } else {
      this.#files.keep(false);
      this.#backlogMax = wal.backlog + Math.min(wal.backlog, BACKLOG_STEP_FRAMES);
    }
  }

  /** Takes over, as updates to be written, the images that the service overwrote or cut off on its own. */
  #keepOverwritten(wal: Wal): Scan {
    const scan = wal.scan(this.pages.pageCount);
    const keep = (page: number): void => {
      if (page <= this.pages.pageCount) this.pages.pendingImage(page);
    };
    for (const page of scan.pages.keys()) keep(page);
    for (let page = scan.pageCountMin + 1; page <= this.pages.pageCount; page += 1) keep(page);
    return scan;
  }

  #writePending(): void {
    const zeros = this.#previous.fill(0);
    for (let page = this.pages.filePages + 1; page <= this.pages.pageCount; page += 1) {
      if (!this.pages.pending.has(page) && !this.pages.isStored(page)) this.#files.writePage(page, zeros);
    }
    for (const [page, image] of this.pages.pending) {
      if (page === 1) assertFirstPage(image, this.#pageSize, this.#path);
      this.#files.writePage(page, image);
    }
  }

  /** Writes all pages of an archived file. */
  *#fillAll(pageCount: number): Filling {
    const size = this.#pageSize;
    const together = Buffer.alloc(Math.min(pageCount, WRITTEN_TOGETHER) * size);
    for (let first = 1; first <= pageCount; first += WRITTEN_TOGETHER) {
      const count = Math.min(WRITTEN_TOGETHER, pageCount - first + 1);
      const images = together.subarray(0, count * size);
      yield images;
      for (let i = 0; i < count; i += 1) {
        const image = images.subarray(i * size, (i + 1) * size);
        if (first + i === 1) assertFirstPage(image, size, this.#path);
        canonicalize(first + i, image);
        this.pages.show(first + i, image);
      }
      this.#files.writePages(first, images, size);
    }
  }

  /** Until what it returns is disposed of, the log is empty and stays so: the file may be written. */
  #lock(): Disposable {
    const { holder, index } = this.#opened();
    this.#files.assertSame();
    this.#files.assertLog();
    return holder.lock(() => index.read().maxFrame === 0);
  }

  /** The file has been written, and has this many pages; to be called under the lock. */
  #publish(pageCount: number): void {
    const { index } = this.#opened();
    this.#files.setLength(pageCount * this.#pageSize);
    index.publish(pageCount, this.#pageSize);
  }

  /** The file holds the state, but for what the log may hold beyond it. */
  #settle(pageCount: number): void {
    this.#files.keep(this.#opened().wal.start());
    this.pages.settle(pageCount);
    this.#backlogMax = BACKLOG_FRAMES;
  }
}
