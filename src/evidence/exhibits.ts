/**
 * What proves an incident, as files: the entry, who voted what and when, and the full bytes of the votes where they
 * differ. Made at the moment of the incident, while the bytes are at hand; nothing is copied, or looked into, here.
 *
 * X1. What is kept of one reply or update is bounded; the rest of it is known by its digest and size.
 */
import type { Digest } from '../core/index.ts';
import { decodeEntry } from '../wire/entry.ts';
import { decodeRequest } from '../wire/http.ts';
import type { Incident } from './incidents.ts';
import type { StateBefore } from './scratch.ts';

/** Bytes kept of one reply or update. */
const PART_BYTES_MAX = 16 * 1024 ** 2;

type PartKind = 'reply' | 'update';
type Digests = Readonly<Record<PartKind, Digest>>;

/** What the manager has at hand when an incident happens. */
export interface Finds {
  /** As it was ordered; null when the incident has none, or it is let go of. */
  readonly entry: Buffer | null;
  /** `atMs`: when it came, milliseconds since the epoch. */
  readonly votes: readonly { readonly replica: string; readonly vote: Digests; readonly atMs: number }[];
  readonly decided: Digests | null;
  readonly bytes: (kind: PartKind, digest: Digest) => Buffer | null;
  readonly stateBefore: StateBefore;
  /** All that is kept of what the suspect's processes printed. */
  readonly console: string;
}

/** `evidence.json` in an incident's folder. */
export interface CaseFile {
  readonly incident: Incident;
  readonly entry: {
    readonly kind: string;
    /** ISO 8601: the agreed time. */
    readonly time: string;
    /** Base64: all randomness of the entry. */
    readonly seed: string;
    readonly idempotencyKey: string | null;
  } | null;
  readonly request: {
    readonly method: string;
    readonly target: string;
    readonly headers: readonly string[];
    readonly bodyBytes: number;
  } | null;
  /** `afterMs`: since the entry was ordered. An empty digest stands for no bytes. */
  readonly votes: readonly {
    readonly replica: string;
    readonly afterMs: number | null;
    readonly reply: string;
    readonly update: string;
  }[];
  readonly decided: { readonly reply: string; readonly update: string } | null;
  /** The replies and updates that differ. */
  readonly parts: readonly CasePart[];
}

export interface CasePart {
  readonly file: string;
  readonly kind: PartKind;
  readonly digest: string;
  readonly bytes: number;
  /** Whether all of it is in the file. */
  readonly whole: boolean;
}

export interface Exhibit {
  readonly file: string;
  readonly bytes: Uint8Array;
}

export const CASE_FILE = 'evidence.json';
/** A reply or an update of those that differ. */
export const PART_FILE: RegExp = /^(reply|update)-\d+$/;

export function exhibitsOf(incident: Incident, finds: Finds): Exhibit[] {
  const entry = finds.entry === null ? null : decodeEntry(finds.entry);
  const request = entry?.kind === 'request' ? decodeRequest(entry.body) : null;
  const parts = [...differing('reply', finds), ...differing('update', finds)];
  const votes = finds.votes.map(({ replica, vote: { reply, update }, atMs }) => ({
    replica,
    afterMs: entry === null ? null : atMs - entry.timeMs,
    reply,
    update,
  }));
  const file: CaseFile = {
    incident,
    entry:
      entry === null
        ? null
        : {
            kind: entry.kind,
            time: new Date(entry.timeMs).toISOString(),
            seed: entry.seed.toString('base64'),
            idempotencyKey: entry.key?.key ?? null,
          },
    request:
      request === null
        ? null
        : {
            method: request.method,
            target: request.target,
            headers: request.headers,
            bodyBytes: request.body.length,
          },
    votes,
    decided: finds.decided === null ? null : { reply: finds.decided.reply, update: finds.decided.update },
    parts: parts.map(({ part }) => part),
  };
  const exhibits = parts.map(({ part, bytes }) => ({ file: part.file, bytes }));
  if (request !== null) exhibits.push({ file: 'request-body', bytes: Buffer.from(request.body) });
  if (finds.console !== '') exhibits.push({ file: 'console.txt', bytes: Buffer.from(finds.console) });
  return [...exhibits, { file: CASE_FILE, bytes: Buffer.from(`${JSON.stringify(file, null, 2)}\n`) }];
}

/** All different ones, when there are several: the decided one is `…-1`, or else the first that came. */
function differing(kind: PartKind, finds: Finds): { part: CasePart; bytes: Buffer }[] {
  const found = new Set(finds.votes.map(({ vote }) => vote[kind]));
  const digests = new Set(finds.decided === null ? found : [finds.decided[kind], ...found]);
  if (digests.size < 2) return [];
  return [...digests].flatMap((digest, i) => {
    const bytes = finds.bytes(kind, digest);
    if (bytes === null) return [];
    const kept = bytes.subarray(0, PART_BYTES_MAX);
    const file = `${kind}-${i + 1}`;
    return [
      { part: { file, kind, digest, bytes: bytes.length, whole: kept.length === bytes.length }, bytes: kept },
    ];
  });
}
