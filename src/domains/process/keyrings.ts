/**
 * Keeps a domain from the kernel's keyrings, for which there is no namespace: whoever is started by the manager has its session's, with
 * all that is in it (tickets, keys of disks), and shares it with all other domains.
 *
 * A program for the filter of system calls (seccomp): classic BPF, instructions of eight bytes. `add_key`, `request_key` and
 * `keyctl` have numbers in a row on each architecture; they fail as on a system that has no keyrings.
 */
import { constants } from 'node:os';

/** In the data that the program looks at. */
const NUMBER_AT = 0;
const ARCHITECTURE_AT = 4;
const LOAD = 0x20;
const AND = 0x54;
const SUBTRACT = 0x14;
const IF_EQUAL = 0x15;
const IF_AT_LEAST = 0x35;
const RETURN = 0x06;
const ALLOWED = 0x7fff_0000;
const REFUSED = 0x0005_0000 | constants.errno.ENOSYS;
const CALLS = 3;
/** Of each architecture that these processors run, by its number for audits: the number of `add_key`. */
const FIRST_CALLS = [
  { architecture: 0xc000_003e, first: 248 }, // x86-64
  { architecture: 0x4000_0003, first: 286 }, // i386
  { architecture: 0xc000_00b7, first: 217 }, // arm64
  { architecture: 0x4000_0028, first: 309 }, // arm
] as const;
/** What the calls of x86-64 have in common with those of its kind with short pointers (x32). */
const WITHOUT_X32 = 0xbfff_ffff;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

const PROGRAM: readonly Instruction[] = [
  ...FIRST_CALLS.flatMap(({ architecture, first }): Instruction[] => [
    [LOAD, 0, 0, ARCHITECTURE_AT],
    [IF_EQUAL, 0, 6, architecture],
    [LOAD, 0, 0, NUMBER_AT],
    [AND, 0, 0, WITHOUT_X32],
    [SUBTRACT, 0, 0, first],
    [IF_AT_LEAST, 0, 1, CALLS],
    [RETURN, 0, 0, ALLOWED],
    [RETURN, 0, 0, REFUSED],
  ]),
  [RETURN, 0, 0, ALLOWED],
];

export const WITHOUT_KEYRINGS: Buffer = Buffer.concat(
  PROGRAM.map(([code, ifTrue, ifFalse, value]) => {
    const bytes = Buffer.alloc(8);
    bytes.writeUInt16LE(code, 0);
    bytes.writeUInt8(ifTrue, 2);
    bytes.writeUInt8(ifFalse, 3);
    bytes.writeUInt32LE(value, 4);
    return bytes;
  }),
);
