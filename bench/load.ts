/**
 * The load generator, a process of its own: a loop on each of N connections, closed or at a steady rate, prebuilt requests, one
 * job after another. Connections are opened before the clock starts.
 */
import { messageOf } from '../src/errors.ts';
import { Connection } from './connection.ts';
import { type FromLoad, type Job, type LoadResult, monotonicMs, type Step, type ToLoad } from './job.ts';
import { Sameness } from './sameness.ts';
import type { ResponseScanner } from './scanner.ts';
import { latency } from './statistics.ts';

const SAMPLES_MAX = 4_000_000;
const SAMPLES_AT_FIRST = 65_536;
/** How long a request may take beyond the end of the job. */
const GRACE_MS = 30_000;

/** Numbers in the order they come; what is beyond the limit is not kept. */
class Samples {
  #values = new Float64Array(SAMPLES_AT_FIRST);
  #count = 0;

  add(value: number): void {
    if (this.#count === SAMPLES_MAX) return;
    if (this.#count === this.#values.length) {
      const larger = new Float64Array(Math.min(SAMPLES_MAX, 2 * this.#count));
      larger.set(this.#values);
      this.#values = larger;
    }
    this.#values[this.#count++] = value;
  }

  get all(): Float64Array {
    return this.#values.slice(0, this.#count);
  }
}

class Run {
  readonly #job: Job;
  readonly #connections: Connection[] = [];
  readonly #durations = new Samples();
  readonly #starts = new Samples();
  #requests = 0;
  #errors = 0;
  #firstError = '';
  #until = 0;
  #stopped = false;

  constructor(job: Job) {
    this.#job = job;
  }

  async connect(): Promise<void> {
    for (let i = 0; i < this.#job.scripts.length; i++)
      this.#connections.push(await Connection.open(this.#job.port, this.#job.sameBodies));
  }

  stop(): void {
    this.#stopped = true;
  }

  async run(): Promise<LoadResult> {
    const { scripts, seconds, trace } = this.#job;
    const offset = monotonicMs() - performance.now();
    const cpu = process.cpuUsage();
    const begin = performance.now();
    this.#until = begin + seconds * 1000;
    const overdue = setTimeout(() => this.#close(), seconds * 1000 + GRACE_MS);
    await Promise.all(scripts.map((script, i) => this.#loop(i, script)));
    clearTimeout(overdue);
    const end = performance.now();
    const { user, system } = process.cpuUsage(cpu);
    this.#close();
    const durations = this.#durations.all;
    return {
      requests: this.#requests,
      errors: this.#errors,
      firstError: this.#firstError,
      seconds: (end - begin) / 1000,
      latencyMs: latency(durations),
      cpuSeconds: (user + system) / 1e6,
      trace: trace ? { starts: this.#starts.all.map((start) => start + offset), durations } : null,
    };
  }

  #loop(number: number, script: readonly Step[]): Promise<void> {
    const connection = this.#connections[number];
    return new Promise((resolve) => {
      let at = 0;
      const { perSecond } = this.#job;
      const gapMs = perSecond === 0 ? 0 : (1000 * this.#connections.length) / perSecond;
      let dueAt = performance.now() + number * (gapMs / this.#connections.length);
      const next = (): void => {
        const step = script[at];
        if (connection === undefined || step === undefined || (at === 0 && this.#over())) return resolve();
        at = (at + 1) % script.length;
        const start = gapMs === 0 ? performance.now() : dueAt;
        connection.exchange(step.bytes, (response) => {
          this.#answered(start, step, response);
          if (response instanceof Error) return resolve();
          dueAt += gapMs;
          const waitMs = gapMs === 0 ? this.#job.pauseMs : dueAt - performance.now();
          if (waitMs > 0) setTimeout(next, waitMs);
          else next();
        });
      };
      if (gapMs === 0) next();
      else setTimeout(next, dueAt - performance.now());
    });
  }

  #over(): boolean {
    return this.#stopped || this.#requests >= this.#job.requestsMax || performance.now() >= this.#until;
  }

  #answered(start: number, step: Step, response: ResponseScanner | Error): void {
    this.#requests++;
    this.#durations.add(performance.now() - start);
    if (this.#job.trace) this.#starts.add(start);
    const { forbidden } = this.#job;
    if (response instanceof Error) this.#wrong(response.message);
    else if (response.status !== step.status) this.#wrong(`${response.head.split('\r\n')[0]} to a request`);
    else if (this.#job.sameBodies && !sameness.holds(step, response.body))
      this.#wrong('another body than before');
    else if (forbidden !== '' && response.head.includes(forbidden)) this.#wrong(`a reply with ${forbidden}`);
  }

  #wrong(message: string): void {
    this.#errors++;
    if (this.#firstError === '') this.#firstError = message;
  }

  #close(): void {
    for (const connection of this.#connections) connection.close();
  }
}

function tell(message: FromLoad): void {
  process.send?.(message);
}

/** Of all jobs, so that a body is compared with those of the jobs before. */
const sameness = new Sameness();

let current: Run | null = null;

async function take(message: ToLoad): Promise<void> {
  switch (message.type) {
    case 'job':
      current = new Run(message.job);
      await current.connect();
      return tell({ type: 'connected' });
    case 'go':
      if (current !== null) tell({ type: 'result', result: await current.run() });
      return;
    case 'stop':
      return current?.stop();
  }
}

process.on('message', (message: ToLoad) => {
  take(message).catch((error: unknown) => tell({ type: 'failed', message: messageOf(error) }));
});
process.on('disconnect', () => process.exit());
