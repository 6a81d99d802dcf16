/**
 * Plants a bug: copies the core, and the simulator with what it uses, to a temporary folder, and edits the copy. The tree itself is never touched.
 */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bug } from './bug.ts';
import { edited } from './edit.ts';

const ROOT = fileURLToPath(new URL('../..', import.meta.url));

/** The files of the core that the bug changes, as they are with it. */
export function editedFiles({ name, edits }: Bug): Map<string, string> {
  const files = new Map<string, string>();
  for (const edit of edits) {
    const text = files.get(edit.file) ?? readFileSync(join(ROOT, 'src/core', edit.file), 'utf8');
    const what = `Planted bug ${name} no longer fits src/core/${edit.file}`;
    files.set(edit.file, edited(what, text, edit));
  }
  return files;
}

/** A copy of core and simulator, with a bug in it; removed when disposed of. */
export class Planted implements Disposable {
  readonly folder: string = mkdtempSync(join(tmpdir(), 'spare-bug-'));

  constructor(bug: Bug) {
    const files = editedFiles(bug);
    const filter = (source: string): boolean => !basename(source).endsWith('.test.ts');
    for (const part of ['package.json', 'src/core', 'src/manager/clock.ts', 'sim']) {
      cpSync(join(ROOT, part), join(this.folder, part), { recursive: true, filter });
    }
    for (const [file, text] of files) writeFileSync(join(this.folder, 'src/core', file), text);
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true });
  }
}
