/**
 * Where the admin API of a running group is, and what proves the right to change something through it: a file in the data
 * folder, readable for its owner only. Whoever can read that could write to the data folder as well.
 *
 * Web pages and other users of the host reach the API's port, too; changing needs the token. Reading does not, but a web page
 * cannot read what is not its own: nor may it under a name that its owner has led here.
 *
 * The file of a manager that was killed stays, and by then its port may be another's: each answer says of which run it is.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { PRIVATE } from '../data-folder.ts';

const FILE = 'admin.json';
const TOKEN_BYTES = 24;

export interface Access {
  readonly url: string;
  readonly token: string;
  /** The configuration that the group reads; not there where flags say all. */
  readonly config: string;
}

/** Made anew at each start. */
export function newToken(): string {
  return randomBytes(TOKEN_BYTES).toString('base64url');
}

/** With each answer of the API. */
export const RUN_HEADER = 'spare-run';

/** Names the run that has this token; everybody may know it. */
export function runOf(token: string): string {
  return createHash('sha256').update(token).digest('base64url');
}

export function publishAccess(dataFolder: string, access: Access): void {
  const file = join(dataFolder, FILE);
  // A new file: the mode of one that is there would stay.
  rmSync(file, { force: true });
  writeFileSync(file, `${JSON.stringify(access)}\n`, { mode: PRIVATE });
}

/** As far as the disk lets it: one that is left says no more than that of a manager that was killed. */
export function withdrawAccess(dataFolder: string): void {
  try {
    rmSync(join(dataFolder, FILE), { force: true });
  } catch {
    // Why all ends says more, as where the file system has become read-only.
  }
}

/** Null when nothing has been started with this data folder, or it has ended. */
export function readAccess(dataFolder: string): Access | null {
  try {
    return JSON.parse(readFileSync(join(dataFolder, FILE), 'utf8')) as Access;
  } catch {
    return null;
  }
}

/**
 * Of a `Host` header: whether it is an address, or a name that nobody else can have lead here. `own`: the host that the API
 * listens on. A client of HTTP/1.0 names none, and is no browser.
 */
export function namesHost(header: string | undefined, own: string): boolean {
  const [, name = ''] = /^(.*?)(?::\d*)?$/.exec(header?.toLowerCase() ?? 'localhost') ?? [];
  return name === 'localhost' || name === own.toLowerCase() || isIP(name.replace(/^\[(.*)\]$/, '$1')) !== 0;
}

/** Of an `Authorization` header. */
export function isAllowed(header: string | undefined, token: string): boolean {
  const [given, wanted] = [Buffer.from(header ?? ''), Buffer.from(`Bearer ${token}`)];
  return given.length === wanted.length && timingSafeEqual(given, wanted);
}
