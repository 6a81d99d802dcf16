/**
 * The rows of one leaf page of a table, read without SQLite: the page may be what an intruder made of it. What is not as the
 * file format has it is no row.
 *
 * https://www.sqlite.org/fileformat2.html, 1.6 and 2.1.
 */

const TABLE_LEAF = 0x0d;
const FILE_HEADER = 100;
const CELLS_AT = 8;

/** As text; what lies on overflow pages is not read. */
export type Row = readonly string[];

class Cursor {
  at: number;
  readonly #page: Buffer;

  constructor(page: Buffer, at: number) {
    this.#page = page;
    this.at = at;
  }

  varint(): bigint {
    let value = 0n;
    for (let i = 0; i < 9; i++) {
      const byte = this.#page.readUInt8(this.at++);
      if (i === 8) return (value << 8n) | BigInt(byte);
      value = (value << 7n) | BigInt(byte & 0x7f);
      if (byte < 0x80) return value;
    }
    return value;
  }
}

/** By rowid; null when it is no leaf page of a table, or a damaged one. `page`: its number, from 1. */
export function rowsOf(image: Buffer, page: number): Map<bigint, Row> | null {
  try {
    const start = page === 1 ? FILE_HEADER : 0;
    if (image.readUInt8(start) !== TABLE_LEAF) return null;
    const count = image.readUInt16BE(start + 3);
    const rows = new Map<bigint, Row>();
    let left = image.length;
    for (let i = 0; i < count; i++) {
      const cursor = new Cursor(image, image.readUInt16BE(start + CELLS_AT + 2 * i));
      const payload = Number(cursor.varint());
      const rowid = BigInt.asIntN(64, cursor.varint());
      const length = localBytes(payload, image.length);
      // Rows that lie in each other would be read over and over.
      if ((left -= length) < 0) return null;
      rows.set(rowid, recordOf(image, cursor.at, length));
    }
    return rows;
  } catch (error) {
    // Read beyond its end.
    if (error instanceof RangeError) return null;
    throw error;
  }
}

/** How much of a payload lies in the page itself. */
function localBytes(payload: number, pageSize: number): number {
  const most = pageSize - 35;
  if (payload <= most) return payload;
  const least = Math.floor(((pageSize - 12) * 32) / 255) - 23;
  const local = least + ((payload - least) % (pageSize - 4));
  return local <= most ? local : least;
}

function recordOf(page: Buffer, at: number, length: number): Row {
  const end = at + length;
  const header = new Cursor(page, at);
  const headerEnd = at + Number(header.varint());
  const values: string[] = [];
  for (let body = headerEnd; header.at < headerEnd && header.at < end;) {
    const type = Number(header.varint());
    const size = sizeOf(type);
    values.push(body + size <= end ? valueOf(page, body, type, size) : 'not in this page');
    body += size;
  }
  return values;
}

const INTEGERS = [0, 1, 2, 3, 4, 6, 8];

function sizeOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2);
  return INTEGERS[type] ?? (type === 7 ? 8 : 0);
}

function valueOf(page: Buffer, at: number, type: number, size: number): string {
  if (type >= 12 && type % 2 === 0) return `x'${page.toString('hex', at, at + size)}'`;
  if (type >= 12) return JSON.stringify(page.toString('utf8', at, at + size));
  if (type === 0) return 'null';
  if (type === 7) return String(page.readDoubleBE(at));
  if (type === 8 || type === 9) return String(type - 8);
  if (size === 8) return String(page.readBigInt64BE(at));
  return size === 0 ? 'unknown' : String(page.readIntBE(at, size));
}
