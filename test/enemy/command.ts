/** How a captured replica is told to attack: a frame on its own channel, of a type that no manager sends. */

export const COMMAND = 200;

/** What an intruder could find out or guess, so that an attempt does not fail for want of an address. */
export interface Knowledge {
  readonly managerPid: number;
  /** Agents of other domains, as seen from the host. */
  readonly otherPids: readonly number[];
  /** Where the front door and the admin API listen on the host's loopback. */
  readonly ports: readonly number[];
  readonly dataFolder: string;
}

export interface Command {
  readonly attack: string;
  readonly knows: Knowledge;
}
