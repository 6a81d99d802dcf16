/** The command line of the benchmark. */
import { readOptions, refuse } from '../test/options.ts';
import type { RotationPace } from './rotation.ts';

const PARTS = ['conduit', 'json', 'latency', 'masking', 'rotation', 'domains'] as const;
/** Long, so only where it is asked for. */
const USUAL: readonly Part[] = ['conduit', 'json', 'latency', 'masking'];
type Part = (typeof PARTS)[number];

export interface BenchSettings {
  readonly quick: boolean;
  readonly parts: readonly Part[];
  /** Of one measurement of one mode. */
  readonly seconds: number;
  readonly rounds: number;
  readonly connections: number;
  /** Sequential requests of one client in a round. */
  readonly sequential: number;
  /** Of each kind of fault, by service. */
  readonly events: { readonly json: number; readonly conduit: number };
  readonly rotation: RotationPace;
  /** How often each figure of a domain is measured. */
  readonly domains: number;
  /** Where the results go; undefined for a new file in `bench/results`. */
  readonly out: string | undefined;
}

const USAGE = `Usage: npm run bench -- [options]

  --quick         fewer and shorter rounds
  --seconds N     length of one measurement of one mode
  --only PART     conduit, json, latency, masking, rotation or domains; may be repeated (the last two only so)
  --out FILE      where the figures go as JSON (default: a new file in bench/results)
`;

function part(name: string): Part {
  const found = PARTS.find((each) => each === name);
  return found ?? refuse(`There is no part ${JSON.stringify(name)}; there are: ${PARTS.join(', ')}.`);
}

export function readSettings(): BenchSettings {
  const values = readOptions(USAGE, {
    quick: { type: 'boolean' },
    seconds: { type: 'string' },
    only: { type: 'string', multiple: true },
    out: { type: 'string' },
  });
  const quick = values.quick === true;
  const seconds = Number(values.seconds ?? (quick ? 2 : 5));
  if (!(seconds > 0 && seconds <= 600))
    refuse(`--seconds must be above 0, at most 600, not ${JSON.stringify(values.seconds)}.`);
  return {
    quick,
    parts: values.only === undefined ? USUAL : values.only.map(part),
    seconds,
    rounds: quick ? 3 : 6,
    connections: 32,
    sequential: quick ? 400 : 1500,
    events: quick ? { json: 10, conduit: 0 } : { json: 20, conduit: 10 },
    rotation: quick
      ? { rounds: 2, seconds: 20, peakSeconds: 4 }
      : { rounds: 10, seconds: 60, peakSeconds: 6 },
    domains: quick ? 3 : 10,
    out: values.out,
  };
}
