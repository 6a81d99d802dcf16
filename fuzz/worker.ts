/** Fuzzes one target in a thread of its own, so that the main one can tell when it hangs. */
import { parentPort, workerData } from 'node:worker_threads';
import { readCorpus } from './corpus.ts';
import { Finding, type Fuzzer, startFuzzer } from './fuzzer.ts';
import type { Target } from './target.ts';

export interface Job {
  readonly target: string;
  readonly inputs: number;
  readonly seed: number;
  /** What is being tried: a count, its length, its bytes. */
  readonly shared: SharedArrayBuffer;
}

export interface Progress {
  readonly inputs: number;
  readonly reached: number;
  readonly corpus: number;
  readonly residentBytes: number;
}

export type Message =
  | ({ readonly type: 'progress' } & Progress)
  | ({ readonly type: 'done'; readonly kept: readonly Uint8Array[] } & Progress)
  | { readonly type: 'finding'; readonly input: Uint8Array; readonly what: string };

const REPORT_INPUTS = 250_000;

const { target: name, inputs, seed, shared } = workerData as Job;
const { target } = (await import(`./targets/${name}.ts`)) as { target: Target };
const numbers = new Int32Array(shared, 0, 2);
const bytes = new Uint8Array(shared, 8);

function tries(input: Buffer): void {
  bytes.set(input.subarray(0, bytes.length));
  numbers[1] = input.length;
  Atomics.add(numbers, 0, 1);
}

function say(message: Message): void {
  parentPort?.postMessage(message);
}

function progress({ inputs: done, reached, corpus }: Fuzzer): Progress {
  return { inputs: done, reached, corpus: corpus.length, residentBytes: process.memoryUsage().rss };
}

/** The smallest inputs that reach all that `all` reach. */
async function reduced(all: readonly Buffer[]): Promise<readonly Buffer[]> {
  const again = await startFuzzer({ ...target, seeds: [] }, seed, { tries });
  await again.take([...all].sort((a, b) => a.length - b.length));
  return again.corpus;
}

try {
  const fuzzer = await startFuzzer(target, seed, { tries });
  await fuzzer.take(readCorpus(name));
  for (let next = REPORT_INPUTS; fuzzer.inputs < inputs;) {
    await fuzzer.batch();
    if (fuzzer.inputs < next) continue;
    next += REPORT_INPUTS;
    say({ type: 'progress', ...progress(fuzzer) });
  }
  say({ type: 'done', ...progress(fuzzer), kept: await reduced(fuzzer.corpus) });
} catch (error) {
  if (!(error instanceof Finding)) throw error;
  say({ type: 'finding', input: error.input, what: error.message });
}
