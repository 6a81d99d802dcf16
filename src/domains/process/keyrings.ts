/**
 * Keeps a domain from the kernel's keyrings, for which there is no namespace: whoever is started by the manager has its session's, with
 * all that is in it (tickets, keys of disks), and shares it with all other domains.
 */
import { refusing, X86_64 } from './system-calls.ts';

/** `add_key`, `request_key` and `keyctl` have numbers in a row on each architecture. */
const CALLS = [0, 1, 2] as const;
/** Of each architecture that these processors run: the number of `add_key`. */
const FIRST_CALLS = [
  { architecture: X86_64, first: 248 },
  { architecture: 0x4000_0003, first: 286 }, // i386
  { architecture: 0xc000_00b7, first: 217 }, // arm64
  { architecture: 0x4000_0028, first: 309 }, // arm
] as const;

export const WITHOUT_KEYRINGS: Buffer = refusing(
  FIRST_CALLS.map(({ architecture, first }) => ({ architecture, calls: CALLS.map((call) => first + call) })),
  'allowed',
);
