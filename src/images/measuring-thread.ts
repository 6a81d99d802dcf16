/** The thread that measures images: it keeps the accepted manifests, on disk and in memory, and compares the disk with them. */
import { readFileSync } from 'node:fs';
import { parentPort } from 'node:worker_threads';
import { replaceText } from '../durable.ts';
import type { ServiceImage } from '../domains/domain.ts';
import { type Failure, failureOf } from '../thread.ts';
import {
  changes,
  digestOf,
  type Entry,
  type FileChange,
  type Manifest,
  type Measured,
  measure,
  type Progress,
} from './manifest.ts';
import { sourcesOf } from './sources.ts';

/** Named in a message; of the others only the number. */
const NAMED_MAX = 3;
const TELL_MS = 1000;
/** A check pauses after so long, for as long: at once it would take a processor from those that serve. */
const WORK_MS = 4;
const PAUSE_MS = 4;

export type MeasuringRequest =
  /** The manifest that was kept in this file is the one of `image`. */
  | { readonly type: 'load'; readonly id: number; readonly image: number; readonly file: string }
  /** What is on disk now is what `image` is; or whether it is. */
  | {
      readonly type: 'take' | 'check';
      readonly id: number;
      readonly image: number;
      readonly variants: readonly ServiceImage[];
      readonly dataFolder: string;
    }
  /** Keeps the manifest of `image`, with `about` for who loads it. */
  | {
      readonly type: 'keep';
      readonly id: number;
      readonly image: number;
      readonly file: string;
      readonly about: unknown;
    }
  | { readonly type: 'forget'; readonly id: number; readonly image: number };

export type MeasuringAnswer =
  | { readonly type: 'progress'; readonly files: number; readonly bytes: number }
  | {
      readonly type: 'done';
      readonly id: number;
      /** Of what was loaded or taken; of others empty. */
      readonly digest: string;
      readonly about: unknown;
      /** Of a check: what lies there and does not count. */
      readonly leftOut: readonly string[];
    }
  | {
      readonly type: 'changed';
      readonly id: number;
      readonly named: readonly FileChange[];
      readonly count: number;
    }
  | ({ readonly type: 'failed'; readonly id: number } & Failure);

export interface Kept {
  readonly about: unknown;
  readonly entries: readonly (readonly [string, Entry])[];
}

const images = new Map<number, Manifest>();

function tell(answer: MeasuringAnswer): void {
  parentPort?.postMessage(answer);
}

/** Everything that was ever measured, so that a file which several images have is read once. */
function known(): Manifest {
  const [only] = images.values();
  if (only !== undefined && images.size === 1) return only;
  const all = new Map<string, Entry>();
  for (const manifest of images.values()) for (const [path, entry] of manifest) all.set(path, entry);
  return all;
}

type Measure = Extract<MeasuringRequest, { type: 'take' | 'check' }>;

function measured({ variants, dataFolder }: Measure, breathe: () => void): Measured {
  let told = Date.now();
  const progress = ({ files, bytes }: Progress): void => {
    if (Date.now() - told < TELL_MS) return;
    told = Date.now();
    tell({ type: 'progress', files, bytes });
  };
  return measure(sourcesOf(variants, dataFolder), known(), progress, breathe);
}

/** Nobody writes to it: waiting for it is how a thread sleeps. */
const nothing = new Int32Array(new SharedArrayBuffer(4));

function atLeisure(): () => void {
  let since = performance.now();
  return () => {
    if (performance.now() - since < WORK_MS) return;
    Atomics.wait(nothing, 0, 0, PAUSE_MS);
    since = performance.now();
  };
}

function keep(image: number, file: string, about: unknown): void {
  const kept: Kept = { about, entries: [...(images.get(image) ?? [])] };
  replaceText(file, JSON.stringify(kept));
}

function answer(request: MeasuringRequest): MeasuringAnswer {
  const { id, image } = request;
  const done = { type: 'done', id, digest: '', about: null, leftOut: [] } as const;
  switch (request.type) {
    case 'load': {
      const { about, entries } = JSON.parse(readFileSync(request.file, 'utf8')) as Kept;
      const manifest = new Map(entries);
      images.set(image, manifest);
      return { ...done, digest: digestOf(manifest), about };
    }
    case 'take': {
      const { manifest } = measured(request, () => {});
      images.set(image, manifest);
      return { ...done, digest: digestOf(manifest) };
    }
    case 'check': {
      const before = images.get(image) ?? new Map<string, Entry>();
      const { manifest: now, leftOut } = measured(request, atLeisure());
      const found = changes(before, now);
      if (found.length > 0)
        return { type: 'changed', id, named: found.slice(0, NAMED_MAX), count: found.length };
      // The same contents, perhaps with other times: known from now on.
      images.set(image, now);
      return { ...done, leftOut };
    }
    case 'keep':
      keep(image, request.file, request.about);
      return done;
    case 'forget':
      images.delete(image);
      return done;
  }
}

parentPort?.on('message', (request: MeasuringRequest) => {
  try {
    tell(answer(request));
  } catch (error) {
    tell({ type: 'failed', id: request.id, ...failureOf(error) });
  }
});
