/**
 * Plants a bug: copies core and simulator to a temporary folder, and edits the copy. The tree itself is never touched.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bug, Edit } from './bug.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** `text` after the edit; an edit that no longer fits is an error. */
function edited(name: string, text: string, { file, find, replace }: Edit): string {
  const found = text.split(find).length - 1;
  if (found === 1) return text.replace(find, () => replace);
  const what = found === 0 ? 'is not there any more' : `is there ${found} times`;
  throw new Error(`Planted bug ${name} no longer fits src/core/${file}: this ${what}:\n${find}`);
}

/** The files of the core that the bug changes, as they are with it. */
export function editedFiles({ name, edits }: Bug): Map<string, string> {
  const files = new Map<string, string>();
  for (const edit of edits) {
    const text = files.get(edit.file) ?? readFileSync(join(ROOT, 'src/core', edit.file), 'utf8');
    files.set(edit.file, edited(name, text, edit));
  }
  return files;
}

/** A copy of core and simulator, with a bug in it; removed when disposed of. */
export class Planted implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'spare-bug-'));

  constructor(bug: Bug) {
    const files = editedFiles(bug);
    const filter = (source: string): boolean => !basename(source).endsWith('.test.ts');
    for (const part of ['package.json', 'src/core', 'sim']) {
      cpSync(join(ROOT, part), join(this.folder, part), { recursive: true, filter });
    }
    for (const [file, text] of files) writeFileSync(join(this.folder, 'src/core', file), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}
