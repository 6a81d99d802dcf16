/** The options of the programs that developers run: simulator, fuzzers, benchmarks, breaks. What is not understood ends the program. */
import { argv, exit, stderr, stdout } from 'node:process';
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util';

type Values<T extends ParseArgsOptionsConfig> = ReturnType<typeof parseArgs<{ options: T }>>['values'];

export function refuse(what: string): never {
  stderr.write(`${what}\n`);
  exit(2);
}

/** `usage`: what `--help` prints. */
export function readOptions<T extends ParseArgsOptionsConfig>(usage: string, options: T): Values<T> {
  const args = argv.slice(2);
  if (args.includes('--help')) {
    stdout.write(usage);
    exit(0);
  }
  try {
    return parseArgs({ args, options }).values;
  } catch (error) {
    return refuse(`${error instanceof Error ? error.message : String(error)}\n\n${usage}`);
  }
}

/** The value of the option `name`: a whole number that is at least `least`. */
export function wholeNumber(name: string, text: string, least: number): number {
  const number = Number(text);
  if (/^\d+$/.test(text) && Number.isSafeInteger(number) && number >= least) return number;
  return refuse(`--${name} must be a whole number of at least ${least}, not ${JSON.stringify(text)}.`);
}
