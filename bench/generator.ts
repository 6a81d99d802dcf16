/** The load generator's process as the benchmark drives it: one job at a time. */
import type { ChildProcess } from 'node:child_process';
import type { FromLoad, Job, LoadResult, ToLoad } from './job.ts';
import { end, startFork } from './processes.ts';

export class Generator {
  readonly #child: ChildProcess;

  constructor() {
    this.#child = startFork(new URL('./load.ts', import.meta.url));
  }

  #tell(message: ToLoad): void {
    this.#child.send(message);
  }

  #next(): Promise<FromLoad> {
    return new Promise((resolve, reject) => {
      const ended = (): void => reject(new Error('The load generator ended.'));
      this.#child.once('exit', ended);
      this.#child.once('message', (message: FromLoad) => {
        this.#child.off('exit', ended);
        if (message.type === 'failed') reject(new Error(`The load generator: ${message.message}`));
        else resolve(message);
      });
    });
  }

  /** `before` runs once all connections are open, before the first request. */
  async run(job: Job, before: () => void = () => {}): Promise<LoadResult> {
    const connected = this.#next();
    this.#tell({ type: 'job', job });
    await connected;
    before();
    const ended = this.#next();
    this.#tell({ type: 'go' });
    const message = await ended;
    if (message.type !== 'result') throw new Error('The load generator answered out of turn.');
    return message.result;
  }

  /** Ends the job that runs; its `run` resolves then. */
  stop(): void {
    this.#tell({ type: 'stop' });
  }

  async end(): Promise<void> {
    await end(this.#child);
  }
}
