/** `npm run sim`: runs seeds and says what they found. */
import { once } from 'node:events';
import { exit, stderr, stdout } from 'node:process';
import { Worker } from 'node:worker_threads';
import { readOptions, refuse, wholeNumber } from '../test/options.ts';
import { Coverage } from './coverage.ts';
import { type Case, planFor, run } from './run.ts';
import { isScenario, SCENARIO_NAMES, type ScenarioName } from './scenarios.ts';
import { shrink } from './shrink.ts';
import { transcriber } from './transcript.ts';
import type { Report, Task } from './worker.ts';

const CHUNK = 25;
const SHOWN_MAX = 10;

const USAGE = `Usage: npm run sim -- [options]

  --scenario NAME  all, or one of these (default mixed):
                   ${SCENARIO_NAMES.join(', ')}
  --seed S         the first seed (default 0)
  --seeds N        how many (default 1)
  --jobs J         threads (default 2)
  --coverage       which steps of the protocol were reached, how often
  of one seed:
  --transcript     prints the run
  --shrink         leaves out the faults that its failure does not need
  --without 1,3    leaves out these faults
`;

const values = readOptions(USAGE, {
  seeds: { type: 'string', default: '1' },
  seed: { type: 'string', default: '0' },
  scenario: { type: 'string', default: 'mixed' },
  jobs: { type: 'string', default: '2' },
  without: { type: 'string', default: '' },
  transcript: { type: 'boolean', default: false },
  shrink: { type: 'boolean', default: false },
  coverage: { type: 'boolean', default: false },
});
const firstSeed = wholeNumber('seed', values.seed, 0);
const seeds = wholeNumber('seeds', values.seeds, 1);
const jobs = wholeNumber('jobs', values.jobs, 1);

function scenarios(): readonly ScenarioName[] {
  if (values.scenario === 'all') return SCENARIO_NAMES;
  if (isScenario(values.scenario)) return [values.scenario];
  return refuse(`There is no scenario ${values.scenario}. There are: ${SCENARIO_NAMES.join(', ')}, all.`);
}

function command({ scenario, seed, without }: Case): string {
  const left = without.length === 0 ? '' : ` --without ${without.join()}`;
  return `npm run sim -- --scenario ${scenario} --seed ${seed}${left}`;
}

function describe(which: Case): void {
  const { managers, faults, schedule } = planFor(which);
  stdout.write(`${command(which)}: ${managers} managers, f = ${faults}\n`);
  for (const { at, fault } of schedule) stdout.write(`  ${at} ms ${JSON.stringify(fault)}\n`);
}

function single(which: Case): void {
  describe(which);
  const line = (text: string): void => void stdout.write(`${text}\n`);
  const { failure, entries, simulatedMs } = run(which, null, values.transcript ? transcriber(line) : null);
  line(
    `${entries} entries in ${simulatedMs.toFixed(1)} ms: ${failure === null ? 'all promises kept' : failure.what}`,
  );
  if (failure === null) return;
  if (values.shrink) describe(shrink(which, failure.promise));
  exit(1);
}

class Batch {
  readonly #tasks: Task[];
  readonly #total: number;
  readonly #coverage = new Coverage();
  readonly #begun = performance.now();
  readonly #failures: Report['failures'][number][] = [];
  #entries = 0;
  #runs = 0;
  #least = Infinity;
  #excused = 0;

  constructor(tasks: Task[]) {
    this.#tasks = tasks;
    this.#total = tasks.reduce((sum, { count }) => sum + count, 0);
  }

  async run(jobs: number): Promise<void> {
    const progress = setInterval(() => this.#progress(), 5000);
    await Promise.all(Array.from({ length: jobs }, () => this.#worker()));
    clearInterval(progress);
    this.#summary();
  }

  async #worker(): Promise<void> {
    const worker = new Worker(new URL('worker.ts', import.meta.url));
    for (let task = this.#tasks.shift(); task !== undefined; task = this.#tasks.shift()) {
      worker.postMessage(task);
      const [report] = (await once(worker, 'message')) as [Report];
      this.#take(report);
    }
    await worker.terminate();
  }

  #take(report: Report): void {
    this.#runs += report.runs;
    this.#entries += report.entries;
    this.#excused += report.excused;
    this.#least = Math.min(this.#least, report.least);
    this.#coverage.add(report.coverage);
    for (const found of report.failures) {
      if (this.#failures.length < SHOWN_MAX) {
        stdout.write(
          `${found.failure.what}\n  again: ${command({ ...found, without: [] })} [--transcript | --shrink]\n`,
        );
      }
      this.#failures.push(found);
    }
  }

  get #rate(): string {
    return ((1000 * this.#runs) / (performance.now() - this.#begun)).toFixed(0);
  }

  #progress(): void {
    stderr.write(`${this.#runs}/${this.#total} seeds, ${this.#rate}/s, ${this.#failures.length} failures\n`);
  }

  #summary(): void {
    const entries = `${(this.#entries / this.#runs).toFixed(0)} entries a run, at least ${this.#least}`;
    const seconds = ((performance.now() - this.#begun) / 1000).toFixed(1);
    if (values.coverage) stdout.write(`${this.#coverage.lines().join('\n')}\n`);
    if (this.#coverage.missing.length > 0)
      stdout.write(`not reached: ${this.#coverage.missing.join(', ')}\n`);
    stdout.write(
      `${this.#runs} seeds in ${seconds} s, ${this.#rate}/s; ${entries}; ${this.#excused} excused\n`,
    );
    stdout.write(this.#failures.length === 0 ? 'all promises kept\n' : `${this.#failures.length} failures\n`);
    if (this.#failures.length > 0) exit(1);
  }
}

function tasks(): Task[] {
  const list: Task[] = [];
  for (let from = firstSeed; from < firstSeed + seeds; from += CHUNK) {
    const count = Math.min(CHUNK, firstSeed + seeds - from);
    for (const scenario of scenarios()) list.push({ scenario, from, count });
  }
  return list;
}

const [scenario, ...others] = scenarios();
if (seeds === 1 && scenario !== undefined && others.length === 0) {
  const left = values.without === '' ? [] : values.without.split(',');
  single({ scenario, seed: firstSeed, without: left.map((text) => wholeNumber('without', text, 0)) });
} else await new Batch(tasks()).run(jobs);
