/**
 * Where two changes of the state differ: table, row and column where the pages are of a table, else the page.
 *
 * Without the state before them (`scratch` null), only the pages can be named.
 */
import { applyPage, type FilePatch } from '../../replica/state/patch.ts';
import type { PlainFile } from '../../replica/state/plain.ts';
import { StateError } from '../../replica/state/state.ts';
import { readUpdate } from '../../replica/state/update.ts';
import {
  bytesDifference,
  type Difference,
  LISTED_MAX,
  NOTHING,
  shortened,
  shortenedBoth,
} from './difference.ts';
import { type Row, rowsOf } from './leaf.ts';
import { layoutOf, verifiedFiles } from './verified.ts';

/** Pages looked at, and kept of either: an update that is made to be large costs no more. */
const PAGES_MAX = 1000;

export function updateDifferences(is: Buffer, instead: Buffer, scratch: string | null): Difference[] {
  const patches = decoded(is);
  const others = decoded(instead);
  if (typeof patches === 'string' || typeof others === 'string') {
    return [{ where: 'form', is: form(patches), instead: form(others) }];
  }
  const [number, other] = [patches.length, others.length];
  if (number !== other && number > 0 && other > 0)
    return [{ where: 'number of files', is: String(number), instead: String(other) }];
  const count = Math.max(number, other);
  const files = scratch === null ? [] : filesBefore(scratch, count);
  const found: Difference[] = [];
  let left = PAGES_MAX;
  for (let at = 0; at < count; at++) {
    const [a, b, file] = [patches[at] ?? null, others[at] ?? null, files[at]];
    const name = count === 1 ? '' : `file ${at + 1}, `;
    found.push(...pageCountDifference(name, a, b));
    const pages = pagesOf(a, b).slice(0, left);
    left -= pages.length;
    if (file === undefined) found.push(...pageDifferences(name, a, b, pages));
    else found.push(...fileDifferences(name, a, b, pages, file));
  }
  for (const file of files) file.close();
  if (found.length > 0 || is.equals(instead)) return found;
  // The same changes, written otherwise, or in pages that are not looked at.
  return [bytesDifference('update', is, instead)];
}

function filesBefore(scratch: string, count: number): PlainFile[] {
  try {
    return verifiedFiles(scratch, count);
  } catch (error) {
    // The state has not as many files as a liar says: its pages are compared without it.
    if (!(error instanceof StateError)) throw error;
    return [];
  }
}

/** Also what it is compared with may be a liar's, where nothing was decided. */
function decoded(update: Buffer): (FilePatch | null)[] | string {
  try {
    return readUpdate(update, PAGES_MAX);
  } catch (error) {
    if (!(error instanceof StateError)) throw error;
    return error.message;
  }
}

function form(update: (FilePatch | null)[] | string): string {
  return typeof update === 'string' ? `no update: ${shortened(update)}` : 'an update';
}

function pageCountDifference(name: string, a: FilePatch | null, b: FilePatch | null): Difference[] {
  if (a === null || b === null || a.pageCount === b.pageCount) return [];
  return [{ where: `${name}page count`, is: String(a.pageCount), instead: String(b.pageCount) }];
}

function pageDifferences(
  name: string,
  a: FilePatch | null,
  b: FilePatch | null,
  pages: readonly number[],
): Difference[] {
  const changes = (patch: FilePatch | null, page: number): string => {
    const found = patch?.pages.find((other) => other.page === page);
    return found === undefined
      ? NOTHING
      : found.bytes.map((bytes) => Buffer.from(bytes).toString('hex')).join(' ');
  };
  return pages.flatMap((page) => {
    const [is, instead] = [changes(a, page), changes(b, page)];
    if (is === instead) return [];
    return [{ where: `${name}page ${page}`, ...shortenedBoth(is, instead) }];
  });
}

function pagesOf(a: FilePatch | null, b: FilePatch | null): number[] {
  const pages = [...(a?.pages ?? []), ...(b?.pages ?? [])].map(({ page }) => page);
  return [...new Set(pages)].sort((x, y) => x - y);
}

/** `b` was decided, or is another replica's: the file is opened as it was before both. */
function fileDifferences(
  name: string,
  a: FilePatch | null,
  b: FilePatch | null,
  pages: readonly number[],
  file: PlainFile,
): Difference[] {
  const pageSize = (b ?? a)?.pageSize ?? 0;
  if (a !== null && a.pageSize !== pageSize)
    return [{ where: `${name}page size`, is: String(a.pageSize), instead: String(pageSize) }];
  const before = new Map(pages.map((page) => [page, file.read(page, pageSize)]));
  const after = (patch: FilePatch | null, page: number): Buffer => {
    const image = Buffer.from(before.get(page) ?? Buffer.alloc(pageSize));
    const change = patch?.pages.find((other) => other.page === page);
    if (change !== undefined) applyPage(change, image);
    return image;
  };
  const { owners, columns } = layoutOf(file);
  const found: Difference[] = [];
  for (const page of before.keys()) {
    const [is, instead] = [after(a, page), after(b, page)];
    if (found.length > LISTED_MAX || is.equals(instead)) continue;
    const owner = owners.get(page);
    const [rows, others] = [rowsOf(is, page), rowsOf(instead, page)];
    const table = owner === undefined ? 'a table' : `table ${shortened(owner)}`;
    const named =
      rows !== null && others !== null
        ? rowDifferences(`${name}${table}`, columns(owner ?? ''), rows, others)
        : [];
    // The same rows, and yet not the same bytes: what lies between them, a row that is there twice.
    if (named.length === 0)
      named.push(
        bytesDifference(`${name}page ${page} of ${shortened(owner ?? 'none so far')},`, is, instead),
      );
    found.push(...named);
  }
  return found;
}

function rowDifferences(
  table: string,
  columns: readonly string[],
  a: Map<bigint, Row>,
  b: Map<bigint, Row>,
): Difference[] {
  const found: Difference[] = [];
  const row = (values: Row | undefined): string =>
    values === undefined ? NOTHING : shortened(`(${values.join(', ')})`);
  for (const rowid of new Set([...a.keys(), ...b.keys()])) {
    const [is, instead] = [a.get(rowid), b.get(rowid)];
    const where = `${table}, row ${rowid}`;
    if (is === undefined || instead === undefined) found.push({ where, is: row(is), instead: row(instead) });
    else {
      for (let at = 0; at < Math.max(is.length, instead.length); at++) {
        const [value = NOTHING, other = NOTHING] = [is[at], instead[at]];
        if (value === other) continue;
        const column = shortened(columns[at] ?? String(at + 1));
        found.push({ where: `${where}, column ${column}`, ...shortenedBoth(value, other) });
      }
    }
    if (found.length > LISTED_MAX) break;
  }
  return found;
}
