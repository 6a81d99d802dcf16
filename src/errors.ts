/**
 * Errors for the operator: what happened, to what, how to solve it. A replica's misbehaviour is never one of
 * these (it is a `Fault`, data), and a bug of ours is an assertion. `docs/ERRORS.md` explains each code; a test
 * compares the two.
 */

/** Every code, with the exit status that `spare` ends with: 2 the call was wrong, 1 something failed. */
export const ERROR_CODES = {
  'config-invalid': 2,
  'config-not-found': 2,
  'faults-out-of-range': 2,
  'command-missing': 2,
  'command-not-found': 2,
  'service-folder-missing': 2,
  'address-in-use': 1,
  'address-invalid': 2,
  'data-folder-unwritable': 1,
  'data-folder-in-use': 1,
  'data-folder-foreign': 1,
  'data-folder-damaged': 1,
  'state-missing': 2,
  'state-not-database': 1,
  'state-not-wal': 1,
  'service-start-failed': 1,
  'service-not-deterministic': 1,
  'hypervisor-unknown': 2,
  'domain-start-failed': 1,
  'image-build-failed': 1,
  'image-damaged': 1,
  'storage-failed': 1,
  'not-running': 1,
  'admin-failed': 1,
  'replica-unknown': 2,
  'rotation-under-way': 1,
  'group-not-whole': 1,
  'data-folder-missing': 2,
  'incident-unknown': 2,
  'image-changed': 1,
  'image-unreadable': 1,
  'deploy-refused': 2,
  'deploy-under-way': 1,
  'deploy-failed': 1,
  'data-folder-not-empty': 1,
  'backup-missing': 2,
  'backup-foreign': 1,
  'backup-damaged': 1,
  'backup-failed': 1,
  'backup-under-way': 1,
} as const;
export type ErrorCode = keyof typeof ERROR_CODES;

/** The one error class of Spare. `hint` says what to do; both are one or two plain sentences. */
export class SpareError extends Error {
  override readonly name = 'SpareError';
  readonly code: ErrorCode;
  readonly hint: string;

  constructor(code: ErrorCode, message: string, options: { hint: string; cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
  }

  get exitStatus(): number {
    return ERROR_CODES[this.code];
  }
}

/** The data folder, or a file of it, cannot be written or read while Spare runs. */
export function storageFailed(path: string, why: string): SpareError {
  return new SpareError('storage-failed', `Using ${path} failed: ${why}.`, {
    hint: 'Free space on its disk or repair it, then start again: what was acknowledged is kept.',
  });
}

/** What lies in the data folder is not what Spare left there. `what`: which, and why. */
export function dataFolderDamaged(what: string): SpareError {
  return new SpareError('data-folder-damaged', `${what}.`, {
    hint: 'Restore a backup into a new folder. Whoever starts anew with another --data gives up what is kept here.',
  });
}

/** Of a whole state in the data folder. */
export function stateChanged(path: string): SpareError {
  return dataFolderDamaged(`${path} is not what was written there`);
}

/** Of a whole state in the data folder. */
export function stateMissing(path: string): SpareError {
  return dataFolderDamaged(`${path} is missing`);
}

/** Of a disk that takes nothing more. */
const FULL: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT']);

/**
 * `storage-failed` of this folder where want of room in it is why, or the cause of why; otherwise what was thrown. The system names
 * what it had no room for, unless that is open already.
 */
export function roomOrOther(folder: string, thrown: unknown): unknown {
  const causes = [thrown, (thrown as { cause?: unknown }).cause] as Partial<CopyError>[];
  const full = causes.find((cause) => FULL.has(cause?.code));
  const { path = folder, dest = path } = full ?? {};
  if (full === undefined || !`${dest}/`.startsWith(`${folder}/`)) return thrown;
  return storageFailed(folder, messageOf(full));
}

/** As `copyFile` gives it, too. */
type CopyError = NodeJS.ErrnoException & { dest: string };

/** Of the operating system, such as a full disk: nothing that we did wrong. */
export function isSystemError(error: unknown): error is Error {
  return error instanceof Error && 'syscall' in error;
}

/** The message of whatever was thrown, for a cause that is shown to a person. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}
