/**
 * `npm run fuzz`: coverage-guided fuzzing of what parses bytes of domains and clients. What a run reached is kept in `fuzz/corpus`;
 * an input that crashes, hangs or breaks a rule is, too, and ends the run.
 */
import { Worker } from 'node:worker_threads';
import { readOptions, refuse, wholeNumber } from '../test/options.ts';
import { TARGETS, writeCorpus, writeFinding } from './corpus.ts';
import { INPUT_BYTES_MAX } from './mutate.ts';
import type { Job, Message, Progress } from './worker.ts';

const HANG_MS = 10_000;
const GROWTH_BYTES_MAX = 128 * 1024 ** 2;
const MIB = 1024 ** 2;

interface Result extends Progress {
  readonly seconds: number;
  readonly growthBytes: number;
}

function fail(target: string, input: Uint8Array, what: string): never {
  const path = writeFinding(target, Buffer.from(input));
  process.stderr.write(`${target}: ${what}\n  the input: ${path}\n`);
  process.exit(1);
}

function fuzz(target: string, inputs: number, seed: number): Promise<Result> {
  const begun = performance.now();
  const shared = new SharedArrayBuffer(8 + 2 * INPUT_BYTES_MAX);
  const numbers = new Int32Array(shared, 0, 2);
  const job: Job = { target, inputs, seed, shared };
  const worker = new Worker(new URL('worker.ts', import.meta.url), { workerData: job });
  let warmBytes: number | null = null;
  let tried = -1;
  const current = (): Uint8Array => new Uint8Array(shared, 8, numbers[1]).slice();
  const watchdog = setInterval(() => {
    const now = Atomics.load(numbers, 0);
    if (now === tried) fail(target, current(), `nothing comes of an input for ${HANG_MS / 1000} s`);
    tried = now;
  }, HANG_MS);
  return new Promise((resolve) => {
    worker.on('error', (error) => fail(target, current(), String(error)));
    worker.on('message', (message: Message) => {
      if (message.type === 'finding') return fail(target, message.input, message.what);
      const { inputs: done, reached, corpus, residentBytes } = message;
      if (warmBytes === null && done * 5 >= inputs) warmBytes = residentBytes;
      const seconds = (performance.now() - begun) / 1000;
      const growthBytes = residentBytes - (warmBytes ?? residentBytes);
      if (growthBytes > GROWTH_BYTES_MAX) fail(target, current(), `it grew by ${growthBytes} bytes`);
      const memory = `${Math.round(residentBytes / MIB)} MiB`;
      const speed = `${Math.round(done / seconds / 1000)}k/s`;
      process.stdout.write(
        `${target}: ${done} inputs, ${speed}, ${reached} characters reached, ${corpus} kept, ${memory}\n`,
      );
      if (message.type !== 'done') return;
      clearInterval(watchdog);
      writeCorpus(
        target,
        message.kept.map((bytes) => Buffer.from(bytes)),
      );
      resolve({ inputs: done, reached, corpus: message.kept.length, residentBytes, seconds, growthBytes });
    });
  });
}

const USAGE = `Usage: npm run fuzz -- [options]

  --target NAME  may be repeated (default: all in turn)
                 ${TARGETS.join(', ')}
  --inputs N     so many for each (default 1000000)
  --seed S       (default: a new one)
`;

const values = readOptions(USAGE, {
  target: { type: 'string', multiple: true, default: [...TARGETS] },
  inputs: { type: 'string', default: '1000000' },
  seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
});
const inputsEach = wholeNumber('inputs', values.inputs, 1);
const seed = wholeNumber('seed', values.seed, 0);
const unknown = values.target.find((name) => !TARGETS.includes(name));
if (unknown !== undefined)
  refuse(`There is no target ${JSON.stringify(unknown)}; there are: ${TARGETS.join(', ')}.`);
process.stdout.write(`seed ${seed}\n`);
const lines: string[] = [];
for (const target of values.target) {
  const { inputs, seconds, reached, corpus, growthBytes } = await fuzz(target, inputsEach, seed);
  const growth = `${Math.round(growthBytes / MIB)} MiB`;
  lines.push(`| ${[target, inputs, Math.round(seconds), reached, corpus, growth].join(' | ')} |`);
}
process.stdout.write(
  `\n| target | inputs | seconds | characters of code reached | inputs kept | growth |\n|---|---|---|---|---|---|\n${lines.join('\n')}\n`,
);
