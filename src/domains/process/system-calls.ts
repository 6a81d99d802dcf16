/**
 * Programs for the kernel's filter of system calls (seccomp): classic BPF, instructions of eight bytes. What they refuse fails as on
 * a system that does not have it.
 */
import { constants } from 'node:os';

export interface Refused {
  /** Its number for audits. */
  readonly architecture: number;
  /** The numbers of its calls. */
  readonly calls: readonly number[];
  /** Of calls that do nothing, and say that they did. */
  readonly pretended?: readonly number[];
  /** Of calls that do many things: refused only with this as their second argument. */
  readonly commands?: readonly { readonly call: number; readonly command: number }[];
}

export const X86_64 = 0xc000_003e;
/** In the data that the program looks at. */
const NUMBER_AT = 0;
const ARCHITECTURE_AT = 4;
/** The lower half of the second argument. */
const COMMAND_AT = 24;
const LOAD = 0x20;
const AND = 0x54;
const IF_EQUAL = 0x15;
const RETURN = 0x06;
const ALLOWED = 0x7fff_0000;
/** With this as its answer, or with the negative of the number of an error in its lower half. */
const ANSWERED = 0x0005_0000;
const REFUSED = ANSWERED | constants.errno.ENOSYS;
/** What the calls of x86-64 have in common with those of its kind with short pointers (x32). */
const WITHOUT_X32 = 0xbfff_ffff;

type Instruction = readonly [code: number, ifTrue: number, ifFalse: number, value: number];

/** `others`: what becomes of all calls of architectures that are not named. */
export function refusing(refused: readonly Refused[], others: 'allowed' | 'refused'): Buffer {
  const program = [
    ...refused.flatMap(instructions),
    [RETURN, 0, 0, others === 'allowed' ? ALLOWED : REFUSED],
  ] as const;
  return Buffer.concat(program.map(encode));
}

function instructions({ architecture, calls, pretended = [], commands = [] }: Refused): Instruction[] {
  const answers: Instruction[] = [
    [RETURN, 0, 0, ALLOWED],
    [RETURN, 0, 0, REFUSED],
    [RETURN, 0, 0, ANSWERED],
  ];
  const ofCommands = commands.flatMap(({ call, command }, index): Instruction[] => [
    [IF_EQUAL, 0, 3, call],
    [LOAD, 0, 0, COMMAND_AT],
    // Over the next, those of the commands that are left, and the first answer.
    [IF_EQUAL, 1 + 4 * (commands.length - index - 1) + 1, 0, command],
    [RETURN, 0, 0, ALLOWED],
  ]);
  const answered = [
    ...calls.map((call) => [call, 1] as const),
    ...pretended.map((call) => [call, 2] as const),
  ];
  const ofNumbers = answered.map(([call, answer], index): Instruction => [
    IF_EQUAL,
    // Over those that are left, what is about commands, and the answers before its own.
    answered.length - index - 1 + ofCommands.length + answer,
    0,
    call,
  ]);
  const numbered: Instruction[] = [
    [LOAD, 0, 0, NUMBER_AT],
    [AND, 0, 0, WITHOUT_X32],
    ...ofNumbers,
    ...ofCommands,
    ...answers,
  ];
  return [[LOAD, 0, 0, ARCHITECTURE_AT], [IF_EQUAL, 0, numbered.length, architecture], ...numbered];
}

function encode([code, ifTrue, ifFalse, value]: Instruction): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt16LE(code, 0);
  bytes.writeUInt8(ifTrue, 2);
  bytes.writeUInt8(ifFalse, 3);
  bytes.writeUInt32LE(value, 4);
  return bytes;
}
