/**
 * The `process` driver: a domain is a process tree on this host, isolated as strongly as the host allows. Good
 * against faults and most intrusions; the domains share the host's kernel, so it is no boundary against an exploit
 * of that. There are no cgroups (they are rarely delegated): memory that is not resident in a process, such as
 * the 64 MiB of /tmp, a file kept only by a descriptor or what waits in sockets, does not count, and the disk is not limited as a whole.
 */
import { messageOf, SpareError } from '../../errors.ts';
import { removeFolder } from '../../remove-folder.ts';
import type { Domain, DomainSpec, Driver } from '../domain.ts';
import { chooseIsolation, type Isolation, type Level } from './isolation.ts';
import { launch } from './launch.ts';
import { takeOwner } from './owners.ts';
import { DEFAULT_AGENT } from './package.ts';
import { prepare } from './prepare.ts';
import { ProcessDomain } from './process-domain.ts';

export type { Level } from './isolation.ts';

export interface ProcessDriverOptions {
  /** Only this level of isolation; by default the strongest that works. */
  readonly level?: Level;
  /** The agent's entry file, an absolute path. It runs with the channel as fd 3; `SPARE_RUN` and `SPARE_WORK` are set. */
  readonly agent?: string;
}

/** Finds out what isolation this host offers. Throws `domain-start-failed` when the level asked for does not work. */
export async function createProcessDriver(options: ProcessDriverOptions = {}): Promise<Driver> {
  return new ProcessDriver(await chooseIsolation(options.level), options.agent ?? DEFAULT_AGENT);
}

class ProcessDriver implements Driver {
  readonly isolation: string;
  readonly privateNetwork: boolean;
  readonly #isolation: Isolation;
  readonly #agent: string;

  constructor(isolation: Isolation, agent: string) {
    this.isolation = isolation.description;
    this.privateNetwork = isolation.privateNetwork;
    this.#isolation = isolation;
    this.#agent = agent;
  }

  async start(spec: DomainSpec): Promise<Domain> {
    const owner = this.#isolation.ownUser ? takeOwner() : undefined;
    try {
      const { privateView } = this.#isolation;
      const prepared = await prepare(spec, { privateView, owner, agent: this.#agent });
      const running = await launch(this.#isolation, prepared);
      return new ProcessDomain(running, spec.limits, spec.directory, () => owner?.release());
    } catch (error) {
      owner?.release();
      await removeFolder(spec.directory);
      if (error instanceof SpareError) throw error;
      throw new SpareError('domain-start-failed', `The domain did not start: ${messageOf(error)}`, {
        hint: 'The data folder must be writable, and the service folder readable.',
        cause: error,
      });
    }
  }
}
