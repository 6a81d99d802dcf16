/** Runs `main.ts` as a process that may do next to nothing, for a bounded time, behind everything else on the host. */
import { execFile, type ExecFileException } from 'node:child_process';
import { existsSync, renameSync } from 'node:fs';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { guarded } from '../../guardian.ts';
import { COMPARISON_FILE, FOUND_FILE } from './difference.ts';

const TIMEOUT_MS = 120_000;
const HEAP_MIB = 512;
const BEHIND = 10;
const SOURCES = fileURLToPath(new URL('../../', import.meta.url));
const PACKAGE = fileURLToPath(new URL('../../../package.json', import.meta.url));
const PROGRAM = fileURLToPath(new URL('main.ts', import.meta.url));

/** The state before the entry: the folder that it is in, or why it is not at hand. */
export type StateAtHand = { readonly folder: string } | { readonly why: string };

/** Compares the votes of one incident. Rejects when it does not get to its end; what it has found until then is kept. */
export async function compareVotes(folder: string, before: StateAtHand, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const folders = 'folder' in before ? [folder, before.folder] : [folder];
  const args = [
    '--permission',
    `--allow-fs-read=${SOURCES}`,
    `--allow-fs-read=${PACKAGE}`,
    ...folders.flatMap((path) => [`--allow-fs-read=${path}`, `--allow-fs-write=${path}`]),
    `--max-old-space-size=${HEAP_MIB}`,
    PROGRAM,
    ...folders,
    ...('why' in before ? ['', before.why] : []),
  ];
  const options = {
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    maxBuffer: 64 * 1024,
    env: {},
    signal,
  } as const;
  // Where Spare is killed there is nobody else who sees to it that its time is bounded.
  const { started: running, guardian } = guarded('', () =>
    promisify(execFile)(process.execPath, args, options),
  );
  const { pid } = running.child;
  if (pid !== undefined) guardian.watch(pid);
  try {
    if (pid !== undefined) setPriority(pid, BEHIND);
  } catch {
    // It has ended already.
  }
  try {
    await running;
  } catch (error) {
    throw new Error(`votes are not compared to the end: ${whyNot(error as ExecFileException)}`, {
      cause: error,
    });
  } finally {
    guardian.release();
    const found = join(folder, FOUND_FILE);
    if (existsSync(found)) renameSync(found, join(folder, COMPARISON_FILE));
  }
}

/** What its process says of its end, which is a line among many. */
function whyNot({ killed, signal, stderr = '', message }: ExecFileException): string {
  if (killed === true) return `it took longer than ${TIMEOUT_MS / 1000} s`;
  return /^.*error: .*$/im.exec(String(stderr))?.[0] ?? (signal ? `ended by ${signal}` : message);
}
