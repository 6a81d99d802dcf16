/**
 * The seam between the manager and whatever isolates a replica: a sandboxed process tree, a virtual machine.
 *
 * A driver starts a domain that runs the replica agent and hands out one byte stream to it. Nothing that comes
 * out of that stream is trusted; the driver only promises what is written here, and `conformance.ts` checks it
 * for every driver:
 *
 * D1. Inside a domain nothing of the host can be written, no other domain can be reached, and there is no
 *     network but the domain's own loopback (as far as `isolation` claims it).
 * D2. A suspended domain uses no CPU; what is written to its channel meanwhile is kept and read after `resume`.
 * D3. `destroy` ends every process of the domain and removes its files; it may be called in any state, twice.
 * D4. `exited` resolves once the domain is gone, whoever ended it; it never rejects.
 * D5. A domain does not outlive the manager, also when the manager is killed.
 * D6. Memory, processes and console output of a domain are bounded.
 */
import type { Duplex } from 'node:stream';

/** What to run. The same for every replica of a variant; contains nothing that names the replica. */
export interface ServiceImage {
  /** Absolute path of the service folder; read-only inside the domain. */
  readonly folder: string;
  /** The command and its arguments, started with `folder` as working directory. */
  readonly command: readonly string[];
  /** Environment of the service, added to the domain's own fixed one. */
  readonly env: Readonly<Record<string, string>>;
  /** Database files, relative to `folder`; private to the domain and writable. Never taken from the host. */
  readonly state: readonly string[];
  /** An OCI image layout that folder and program are in, instead of the host's files. */
  readonly oci?: string | undefined;
  /** Of a virtual machine: files and folders of the host that it needs besides, absolute paths. */
  readonly include?: readonly string[] | undefined;
}

export interface DomainLimits {
  /** Resident memory of all processes together; a domain above it is ended. */
  readonly memoryBytes: number;
  readonly processes: number;
}

/**
 * What every domain of a kind is sent first, and answers in the same way. A driver may start one domain, let it answer,
 * and make the others from that one.
 */
export interface Opening {
  /** Equal where who was sent the one will do for the other. */
  readonly key: string;
  /** How long the answer may take; who is asked and can tell why there is none says so before. */
  readonly timeoutMs: number;
  send(write: (parts: Buffer[]) => Promise<void>): Promise<unknown>;
  /** For one domain: is given all that it says, and told when that is the whole answer, or why there will be none. */
  listen(): (bytes: Buffer) => 'more' | 'answered' | { readonly failed: string };
  /**
   * An order that changes nothing, and has one answer. Who makes domains from one that has answered lets it carry this out often
   * before, so that all of them are quick when they are woken.
   */
  readonly rehearsal: readonly Buffer[];
}

export interface DomainSpec {
  /** Unique among all domains of this manager, `[a-z0-9-]+`; never visible inside the domain. */
  readonly id: string;
  readonly image: ServiceImage;
  readonly limits: DomainLimits;
  /** An existing folder only for this domain's files. The driver removes it in `destroy`. */
  readonly directory: string;
  readonly opening?: Opening;
  /** Who was made from such an opening before says that its state has changed since: others should be made from a later one. */
  readonly renew?: boolean;
  /** Real paths of the host that are not shown, wherever they lie; those that there are may be gone. */
  readonly leftOut?: readonly string[];
}

/** Cumulative since the start of the domain, over all of its processes, living or reaped. */
export interface DomainUsage {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly processes: number;
}

export interface Domain {
  /** The process, as seen from the host, that an operator would look at: the agent, or the hypervisor. Null: there is none. */
  readonly pid: number | null;
  /** To the agent; closed or ended when the domain is gone. Bytes from it are hostile. */
  readonly channel: Duplex;
  /** Whether it was sent the opening already; its answer is then the first that comes from the channel. */
  readonly opened: boolean;
  /** Why the domain ended, for a person: `exit status 1`, `killed by SIGKILL`, `memory limit (512 MiB) exceeded`. */
  readonly exited: Promise<string>;
  /** From now on it gets its share of the CPU: it has started, or nobody serves. Until then all others may go first. */
  prioritize(): void;
  suspend(): Promise<void>;
  resume(): Promise<void>;
  destroy(): Promise<void>;
  usage(): Promise<DomainUsage>;
  /** The last console output (stdout and stderr), bounded; for evidence. */
  console(): string;
}

export interface Driver {
  /** One line for the status: what really isolates, such as `bubblewrap 0.8.0`, or `none (plain processes)`. */
  readonly isolation: string;
  /** Whether each domain has ports of its own. If not, services that use the same fixed port clash. */
  readonly privateNetwork: boolean;
  /**
   * Resolves once the agent's program runs; it need not have said anything yet. Throws a `SpareError` when the
   * domain cannot be started at all; then nothing of it is left, `spec.directory` neither. That is `service-start-failed` where the
   * agent said no to the opening, or nothing, or ended.
   */
  start(spec: DomainSpec): Promise<Domain>;
  /** Gives up what is being started, where that may take long: `start` throws. Domains that run stay. */
  stop?(): void;
}
