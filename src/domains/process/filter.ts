/**
 * The system calls that a domain is refused, because what they reach is shared with the manager and all other domains, and no
 * namespace keeps it apart.
 *
 * - The kernel's keyrings: whoever is started by the manager has its session's, with all that is in it (tickets, keys of disks).
 * - Sessions of its own: Linux shares the processors between sessions (see `priority.ts`), so that a domain of two hundred would
 *   have two hundred times what the manager has. It is told that it has one: many a program ends where it gets none.
 * - Leases on files: who owns a file, as a domain of a manager that is not root owns the service's, keeps whoever opens it waiting
 *   for 45 s with one. Clean replicas are measured, and started, from these files.
 */
import { refusing, X86_64 } from './system-calls.ts';

/** `add_key`, `request_key` and `keyctl` have numbers in a row on each architecture. */
const KEYRING_CALLS = [0, 1, 2] as const;
const SET_LEASE = 1024;
/** Of each architecture that these processors run: the number of `add_key`, of `setsid`, and of `fcntl` in its forms. */
const NUMBERS = [
  { architecture: X86_64, addKey: 248, setSession: 112, control: [72] },
  { architecture: 0x4000_0003, addKey: 286, setSession: 66, control: [55, 221] }, // i386
  { architecture: 0xc000_00b7, addKey: 217, setSession: 157, control: [25] }, // arm64
  { architecture: 0x4000_0028, addKey: 309, setSession: 66, control: [55, 221] }, // arm
] as const;

export const DOMAIN_FILTER: Buffer = refusing(
  NUMBERS.map(({ architecture, addKey, setSession, control }) => ({
    architecture,
    calls: KEYRING_CALLS.map((call) => addKey + call),
    pretended: [setSession],
    commands: control.map((call) => ({ call, command: SET_LEASE })),
  })),
  'allowed',
);
