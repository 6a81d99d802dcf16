/**
 * The loop: inputs in batches, coverage asked for once a batch (asking costs as much as thousands of inputs), and where a
 * batch reached something new, halves of it again until the input is found that did. Batches grow while nothing is new.
 */
import { Coverage } from './coverage.ts';
import { Mutator } from './mutate.ts';
import { Random } from './random.ts';
import type { Target } from './target.ts';

const BATCH_MIN = 256;
const BATCH_MAX = 16_384;
/** A target that tells more ends apart than this has none that are worth an input each. */
const ENDS_MAX = 500;

const STACK = 30;

export interface Watch {
  /** Before each input: if nothing follows, it hangs in that one. */
  readonly tries: (input: Buffer) => void;
}

export class Finding extends Error {
  readonly input: Buffer;

  constructor(input: Buffer, cause: unknown) {
    super(cause instanceof Error ? (cause.stack ?? cause.message) : String(cause), { cause });
    this.input = input;
  }
}

export class Fuzzer {
  readonly #target: Target;
  readonly #coverage: Coverage;
  readonly #mutator: Mutator;
  readonly #watch: Watch;
  readonly #ends = new Set<string>();
  readonly corpus: Buffer[] = [];
  inputs = 0;
  #batch = BATCH_MIN;

  constructor(target: Target, coverage: Coverage, seed: number, watch: Watch) {
    this.#target = target;
    this.#coverage = coverage;
    this.#mutator = new Mutator(new Random(seed), target.words);
    this.#watch = watch;
  }

  get reached(): number {
    return this.#coverage.reached;
  }

  #run(input: Buffer): void {
    this.inputs++;
    this.#watch.tries(input);
    let end: string;
    try {
      end = this.#target.run(input);
    } catch (error) {
      throw new Finding(input, this.#again(input) ?? error);
    }
    if (this.#ends.has(end) || this.#ends.size >= ENDS_MAX) return;
    this.#ends.add(end);
    this.corpus.push(input);
  }

  /** The error with its stack: to write that up for each refusal would be most of the work. */
  #again(input: Buffer): unknown {
    Error.stackTraceLimit = STACK;
    try {
      this.#target.run(input);
    } catch (error) {
      return error;
    }
    return null;
  }

  /** Takes inputs of an earlier run, each for itself: one that adds nothing is dropped. */
  async take(inputs: readonly Buffer[]): Promise<void> {
    for (const input of inputs) {
      const before = this.corpus.length;
      this.#run(input);
      const news = await this.#coverage.news(true);
      if (news && this.corpus.length === before) this.corpus.push(input);
    }
  }

  async batch(): Promise<void> {
    const inputs: Buffer[] = [];
    for (let i = 0; i < this.#batch; i++) {
      const input = this.#mutator.from(this.corpus);
      inputs.push(input);
      this.#run(input);
    }
    const news = await this.#coverage.news(false);
    if (news) await this.#find(inputs);
    this.#batch = news ? BATCH_MIN : Math.min(2 * this.#batch, BATCH_MAX);
  }

  /** Looks in these for the inputs that reach what was not reached before. */
  async #find(inputs: readonly Buffer[]): Promise<void> {
    const [only, ...more] = inputs;
    for (const input of inputs) this.#run(input);
    if (!(await this.#coverage.news(more.length === 0)) || only === undefined) return;
    if (more.length === 0) return void this.corpus.push(only);
    const middle = inputs.length >> 1;
    await this.#find(inputs.slice(0, middle));
    await this.#find(inputs.slice(middle));
  }
}

export async function startFuzzer(target: Target, seed: number, watch: Watch): Promise<Fuzzer> {
  const coverage = await Coverage.start();
  Error.stackTraceLimit = 0;
  const fuzzer = new Fuzzer(target, coverage, seed, watch);
  await fuzzer.take([Buffer.alloc(0), ...target.seeds.map((bytes) => Buffer.from(bytes))]);
  return fuzzer;
}
