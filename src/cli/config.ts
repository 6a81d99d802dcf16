/** The configuration as its author writes it; `settings.ts` says what becomes of it. */

/** What a replica runs, where it differs from the others. */
export interface Variant {
  command?: readonly string[];
  env?: Readonly<Record<string, string>>;
}

/** `spare.config.ts`; every key is optional, and flags go before it. */
export interface Config {
  /** f: how many replicas may fail at once, 1 to 4. f+1 are active, f+1 suspended. Default 1. */
  faults?: number;
  /** Where clients come in, `host:port`. Default `127.0.0.1:8080`. */
  listen?: string;
  /** Where the admin API listens. Default `127.0.0.1:7070`. */
  admin?: string;
  /** Where Spare keeps what must survive, relative to the configuration. Default `.spare`. */
  data?: string;
  /** What isolates a replica: `process`, or `qemu` for virtual machines. Default `process`. */
  hypervisor?: 'process' | 'qemu';
  /**
   * Of virtual machines: a suspended one keeps its memory (`paused`) and is woken within milliseconds, or is on disk only
   * (`parked`) and is woken within half a second. Default `paused`.
   */
  suspension?: 'paused' | 'parked';
  /** What else is in the image of a virtual machine. */
  image?: MachineImage;
  /** The service folder, relative to the configuration. Default: the folder of the configuration. */
  folder?: string;
  /** The service's SQLite files, relative to the service folder. An empty list says that it has no state. */
  state?: readonly string[];
  /** The command that starts the service; it listens for HTTP on $PORT. */
  command?: readonly string[];
  env?: Readonly<Record<string, string>>;
  /** Replica i runs variant i mod n: software diversity. */
  variants?: readonly Variant[];
  recovery?: Recovery;
  limits?: Limits;
  /** Who is told of each incident, and gets it as JSON. */
  onIncident?: {
    /** Gets it on stdin; started in the folder of the configuration. */
    command?: readonly string[];
    /** Gets it as a POST. */
    webhook?: string;
  };
}

/** Proactive recovery; durations such as `30s`, `15m`, `24h`, `7d`. */
export interface Recovery {
  /** The age at which a replica is replaced by a clean one (a suspended one: an hour at most), or `never`. Default `24h`. */
  every?: string;
  /** How long it takes to replace all of them, one after another, when they are of the same age. Default: `every`. */
  spread?: string;
}

export interface MachineImage {
  /** Files and folders of this host that the service needs besides its folder and program; absolute paths. */
  include?: readonly string[];
  /**
   * A folder with an OCI image layout, relative to the configuration: what the service and its program are taken from.
   * Command, environment and service folder are then the image's, unless they are said here.
   */
  oci?: string;
}

export interface Limits {
  /** Resident memory of one replica. Default 2 GiB. */
  memoryBytes?: number;
  /** Processes of one replica. Default 256. */
  processes?: number;
  /** Body of a request, at most 32 MiB. Default 1 MiB. */
  bodyBytes?: number;
  /** Reply to a request, at most 1 GiB. Default 8 MiB. */
  replyBytes?: number;
  /** The longest that one request may take in the service. Default 30 s. */
  requestTimeoutMs?: number;
  /** The longest that the service may take to start. Default 60 s; 10 min in a virtual machine, which may be emulated. */
  startTimeoutMs?: number;
  /** Requests waiting to be ordered; beyond that clients get 503. Default 2048. */
  waitingRequests?: number;
}

/** Gives `spare.config.ts` its types. */
export function defineConfig(config: Config): Config {
  return config;
}
