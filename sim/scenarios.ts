/**
 * Scenarios: how many managers, what clients ask, and which faults happen when. All from the seed; none of them knows what is
 * checked.
 */
import type { CoreOptions } from '../src/core/options.ts';
import type { Workload } from './clients.ts';
import {
  anyFault,
  anyKind,
  BEGIN_MS,
  between,
  END_MS,
  oneOf,
  plain,
  type Random,
  replicaFault,
  seldom,
  times,
} from './draws.ts';
import { BREACHES, type Fault, type Planned, FAILURES, LIES, type Way } from './faults.ts';

export interface Plan {
  readonly managers: number;
  readonly faults: number;
  readonly workload: Workload;
  readonly schedule: readonly Planned[];
  /** Marks, refreshes and checkpoints so often, entries. */
  readonly refreshEvery: number;
  readonly limits: Pick<CoreOptions, 'deadline' | 'requestTimeoutMs' | 'startTimeoutMs'>;
  /** What a replica takes to start: any time between these; where they are far apart, a short one is as likely as a long one. */
  readonly startMs: readonly [number, number];
  /** What a replica takes to apply or give updates, states and digests. */
  readonly fillMs: number;
  /** What a whole state takes on top. */
  readonly stateMs: number;
  /** What the disk takes on a host for the first whole state that is exported there. */
  readonly diskMs: number;
  /** Of the whole state, as replicas and managers say. */
  readonly stateBytes: number;
  readonly appendMs: number;
  readonly linkMs: number;
  readonly lose: number;
  readonly double: number;
  /** Nothing goes wrong: nobody may be blamed, and nobody woken. */
  readonly calm: boolean;
}

export const LIMITS: Plan['limits'] = {
  deadline: { floorMs: 50, ceilingMs: 200, factor: 20 },
  requestTimeoutMs: 1000,
  startTimeoutMs: 1500,
};
export const START_MS: Plan['startMs'] = [20, 120];

type Scenario = (random: Random, base: Plan) => Partial<Plan>;

/** Given some seconds to be brought somewhere. */
const LARGE_BYTES = 32 * 1024 ** 2;

/** Requests that come alone, or so many at once that the pipeline is never empty. */
function workload(random: Random): Workload {
  const calls = between(random, 90, 140);
  const busy = random() < 0.5;
  const clients = busy ? between(random, 10, 25) : between(random, 3, 8);
  const thinkMs = busy ? 1500 / (calls / clients) : between(random, 40, 90);
  return { clients, calls, thinkMs, kind: plain, keyed: 0.3 };
}

function base(random: Random): Plan {
  const managers = between(random, 1, 4);
  return {
    managers,
    faults: random() < 0.7 ? 1 : between(random, 2, 3),
    workload: workload(random),
    schedule: [],
    refreshEvery: between(random, 15, 60),
    limits: LIMITS,
    startMs: START_MS,
    fillMs: 0,
    stateMs: 0,
    diskMs: 0,
    stateBytes: 0,
    appendMs: oneOf(random, [2, 5, 40]),
    linkMs: oneOf(random, [2, 5, 30, 120]),
    lose: oneOf(random, [0, 0, 0.05, 0.3]),
    double: oneOf(random, [0, 0, 0.3]),
    calm: false,
  };
}

const several = (random: Random): number => between(random, 2, 4);

/** Results of chance cannot be found again: what is known of them must not be lost or contradicted. */
function chance(random: Random, plan: Plan): Partial<Plan> {
  return {
    workload: { ...plan.workload, kind: seldom(0.1 + 0.4 * random(), ['split', 'split', 'split', 'random']) },
    schedule: times(random, 2, 8, () => {
      const [pick, ms] = [random(), between(random, 10, 800)];
      const type = oneOf(random, [
        'host-crash',
        'host-crash',
        'alarm',
        'partition',
        'order-cut',
        'restart-all',
      ] as const);
      if (type === 'restart-all') return { type, ms };
      return type === 'alarm' ? { type: 'false-alarm', pick, about: random() } : { type, pick, ms };
    }),
  };
}

/** Replicas are seen where they seldom are: rotated, refreshed, just started, or of a new version when something happens. */
function wider(random: Random): Partial<Plan> {
  const span = [random() < 0.3 ? 0 : BEGIN_MS, END_MS] as const;
  const young = (): Fault => ({ ...replicaFault(random), young: random() < 0.7 }) as Fault;
  return {
    refreshEvery: between(random, 5, 25),
    fillMs: between(random, 0, 60),
    schedule: [
      ...times(random, 0, 8, () => ({ type: 'rotate', pick: random() }), span),
      ...times(random, 0, 3, young, span),
      ...times(random, 0, 1, () => ({ type: 'deploy', variants: between(random, 1, 4) }), span),
    ],
  };
}

/** A manager sees the order only when the others have long begun without it. */
function newcomer(random: Random): Partial<Plan> {
  const ms = between(random, 500, 2500);
  const cut: Planned = { at: 0, fault: { type: 'order-cut', pick: random(), ms } };
  const then = times(random, 0, 3, () => replicaFault(random), [ms - 200, ms + 300]);
  return { managers: several(random), refreshEvery: between(random, 5, 15), schedule: [cut, ...then] };
}

/** All are restarted while one of them has seen little of the order. */
function lateRestart(random: Random): Planned[] {
  const [pick, lagMs] = [random(), between(random, 50, 300)];
  return [
    { at: 0, fault: { type: 'order-lag', pick, ms: between(random, 300, 800), lagMs } },
    { at: between(random, 60, 560), fault: { type: 'restart-all', ms: between(random, 10, 300) } },
  ];
}

/** What happens so seldom by itself that nothing would be learnt of it. */
function seldomMet(random: Random): Partial<Plan> {
  const refreshEvery = between(random, 5, 15);
  const fillMs = between(random, 0, 80);
  const young = (ways: readonly [Way, ...Way[]]): Fault =>
    ({ ...replicaFault(random, ways), young: random() < 0.7 }) as Fault;
  const any = (): Fault => young([...LIES, ...FAILURES, ...BREACHES]);
  switch (oneOf(random, ['founding', 'newcomer', 'unasked', 'deploy', 'deploy'])) {
    case 'founding': {
      const fault = (): Fault => (random() < 0.5 ? any() : anyFault(random));
      if (random() < 0.5) return { fillMs, schedule: times(random, 1, 8, fault, [0, BEGIN_MS]) };
      return { fillMs, schedule: lateRestart(random) };
    }
    case 'newcomer':
      return newcomer(random);
    case 'unasked':
      return { refreshEvery, fillMs, schedule: times(random, 1, 4, () => young(BREACHES)) };
    default: {
      const deploys = times(random, 2, 6, () => ({ type: 'deploy', variants: between(random, 1, 4) }));
      return {
        managers: 1,
        refreshEvery,
        fillMs,
        schedule: [...deploys, ...times(random, 0, 4, any)],
      };
    }
  }
}

/** Slower now and then than a request may be. */
function slowDisk(random: Random): number {
  return random() < 0.3 ? between(random, 100, 4000) : 0;
}

/** What brings a state there takes longer than a request may, or a start; also where replicas go back to one after a skip. */
function largeState(random: Random, plan: Plan): Partial<Plan> {
  const rotations = times(random, 0, 4, () => ({ type: 'rotate', pick: random() }));
  const restart = times(random, 1, 1, () => ({ type: 'restart-all', ms: between(random, 10, 500) }));
  const restarted = random() < 0.3;
  const calm = random() < 0.5;
  const stateMs = between(random, 300, 2000);
  const skips = !calm && random() < 0.5;
  return {
    // Where there are several, who is back before the others may be missed.
    managers: restarted ? 1 : plan.managers,
    calm,
    lose: 0,
    double: 0,
    linkMs: Math.min(plan.linkMs, 5),
    ...(skips ? { workload: { ...plan.workload, kind: seldom(0.05, ['random']) } } : {}),
    stateMs,
    stateBytes: LARGE_BYTES,
    schedule: restarted ? restart : rotations,
  };
}

/** Starts that take very different times, hang or fail: of those that are started together, or in place of others. */
function slowStart(random: Random): Partial<Plan> {
  const slowestMs = oneOf(random, [300, 1500, 6000]);
  const young = (): Fault =>
    ({
      ...replicaFault(random, ['crash', 'hang', 'no-start', 'reply', 'dawdle']),
      young: random() < 0.7,
    }) as Fault;
  const fault = (): Fault => {
    switch (oneOf(random, ['restart', 'recover', 'deploy', 'young', 'young', 'young'])) {
      case 'restart':
        return { type: 'restart-all', ms: between(random, 10, 500) };
      case 'recover':
        return { type: 'recover', pick: random() };
      case 'deploy':
        return { type: 'deploy', variants: between(random, 1, 4) };
      default:
        return young();
    }
  };
  return {
    managers: random() < 0.7 ? 1 : several(random),
    lose: 0,
    double: 0,
    // The longest that a start may take is many times what most take.
    limits: { ...LIMITS, requestTimeoutMs: oneOf(random, [1000, 4000]), startTimeoutMs: 5 * slowestMs },
    startMs: [START_MS[0], slowestMs],
    fillMs: between(random, 0, 60),
    refreshEvery: between(random, 5, 25),
    schedule: times(random, 1, 6, fault, [0, 2 * slowestMs + 1000]),
  };
}

/** Replicas that are right, and slow; a manager that stands still meanwhile. All limits are so far apart as they really are. */
function slow(random: Random): Partial<Plan> {
  const calm = random() < 0.3;
  const fault = (): Fault => {
    const [pick, dice] = [random(), random()];
    if (dice < 0.7) return { type: 'standstill', pick, ms: oneOf(random, [20, 50, 150, 400, 1000]) };
    if (calm || dice < 0.8) return { type: 'recover', pick };
    return replicaFault(random, ['dawdle', 'lag', 'crash', 'hang']);
  };
  return {
    managers: 1,
    calm,
    limits: {
      deadline: { floorMs: 250, ceilingMs: 500, factor: 20 },
      requestTimeoutMs: 7000,
      startTimeoutMs: 12_000,
    },
    fillMs: between(random, 0, 60),
    refreshEvery: between(random, 5, 25),
    schedule: times(random, 5, 30, fault),
  };
}

export const SCENARIO_NAMES = [
  'fault-free',
  'founding',
  'lie',
  'silence',
  'host-crash',
  'partition',
  'poison',
  'nothing-agrees',
  'slow-refresh',
  'restart-all',
  'rotation',
  'large-state',
  'slow-start',
  'slow',
  'deploy',
  'amnesia',
  'late-commands',
  'newcomer',
  'chance',
  'bad-links',
  'mixed',
] as const;
export type ScenarioName = (typeof SCENARIO_NAMES)[number];

const SCENARIOS: Readonly<Record<ScenarioName, Scenario>> = {
  'fault-free': (random, plan) => ({
    calm: true,
    lose: 0,
    double: 0,
    linkMs: Math.min(plan.linkMs, 5),
    diskMs: slowDisk(random),
  }),
  // The group is not up yet.
  founding: (random, plan) => ({
    workload: { ...plan.workload, kind: anyKind(random) },
    fillMs: between(random, 0, 60),
    schedule: times(random, 1, 8, () => anyFault(random), [0, BEGIN_MS]),
  }),
  lie: (random) => ({
    schedule: times(random, 1, 4, () => replicaFault(random, LIES)),
  }),
  silence: (random) => ({
    schedule: times(random, 1, 4, () => replicaFault(random, FAILURES)),
  }),
  'host-crash': (random) => ({
    managers: several(random),
    schedule: times(random, 1, 3, () => ({
      type: 'host-crash',
      pick: random(),
      ms: between(random, 50, 1500),
    })),
  }),
  partition: (random) => ({
    managers: several(random),
    schedule: times(random, 1, 4, () => {
      const [pick, ms] = [random(), between(random, 100, 1500)];
      const type = oneOf(random, ['partition', 'order-cut', 'order-lag'] as const);
      return type === 'order-lag' ? { type, pick, ms, lagMs: between(random, 20, 1200) } : { type, pick, ms };
    }),
  }),
  poison: (_, plan) => ({
    workload: { ...plan.workload, kind: seldom(0.02, ['poison', 'flood', 'hang']) },
  }),
  'nothing-agrees': (_, plan) => ({
    workload: { ...plan.workload, kind: seldom(0.15, ['random', 'split', 'split', 'split']) },
  }),
  // Passive replicas that are being filled or refreshed when something goes wrong.
  'slow-refresh': (random, plan) => ({
    workload: { ...plan.workload, kind: anyKind(random) },
    refreshEvery: between(random, 5, 15),
    fillMs: between(random, 1, 80),
    schedule: times(random, 2, 10, () => anyFault(random)),
    diskMs: slowDisk(random),
  }),
  // With clocks that were set meanwhile.
  'restart-all': (random) => ({
    schedule: [
      { at: BEGIN_MS, fault: { type: 'skew', pick: random(), ms: between(random, -3000, 3000) } },
      ...times(random, 1, 3, () => ({ type: 'restart-all', ms: between(random, 10, 500) })),
    ],
  }),
  rotation: (random, plan) => ({
    calm: random() < 0.5,
    lose: 0,
    double: 0,
    linkMs: Math.min(plan.linkMs, 5),
    schedule: times(random, 2, 8, () => ({ type: 'rotate', pick: random() })),
  }),
  'large-state': largeState,
  'slow-start': slowStart,
  slow,
  // Of one manager: a new version takes over, once or more often, while replicas fail, are rotated, and all is restarted; where
  // the service on disk was changed in place, it is what makes the group whole again.
  deploy: (random, plan) => ({
    managers: 1,
    workload: { ...plan.workload, kind: random() < 0.5 ? plain : anyKind(random) },
    schedule: times(random, 2, 8, () => {
      if (random() < 0.5) return { type: 'deploy', variants: between(random, 1, 4) };
      if (random() < 0.1) return { type: 'changed' };
      return random() < 0.3 ? { type: 'rotate', pick: random() } : anyFault(random);
    }),
  }),
  // What was not on its disk is lost with a manager that is back before the others miss it.
  amnesia: (random) => ({
    managers: several(random),
    schedule: Array.from({ length: between(random, 1, 4) }, () => {
      const [pick, at] = [random(), between(random, BEGIN_MS, END_MS)];
      return [
        { at, fault: { type: 'disk-full', pick, ms: 400 } },
        {
          at: at + between(random, 10, 390),
          fault: { type: 'host-crash', pick, ms: between(random, 1, 250) },
        },
      ] satisfies Planned[];
    }).flat(),
  }),
  // Who is cut off finds others dead, and can say so only when it is long over.
  'late-commands': (random) => ({
    managers: several(random),
    schedule: Array.from({ length: between(random, 1, 4) }, () => {
      const [other, pick, at] = [random(), random(), between(random, BEGIN_MS, END_MS)];
      const cutAt = at + between(random, 100, 300);
      return [
        { at, fault: { type: 'order-cut', pick: other, ms: between(random, 250, 600) } },
        { at: cutAt, fault: { type: 'order-cut', pick, ms: between(random, 100, 600) } },
        { at: cutAt + between(random, 0, 100), fault: { type: 'false-alarm', pick, about: other } },
      ] satisfies Planned[];
    }).flat(),
  }),
  newcomer,
  chance,
  // Managers that learn late, or only by asking, what others saw.
  'bad-links': (random, plan) => ({
    ...chance(random, plan),
    managers: several(random),
    linkMs: oneOf(random, [30, 120, 200]),
    lose: 0.1 + 0.3 * random(),
    double: 0.3 * random(),
  }),
  mixed: (random, plan) => {
    const workload = { ...plan.workload, kind: anyKind(random) };
    const schedule = times(random, 2, 10, () => anyFault(random));
    const wide = random() < 0.5 ? wider(random) : {};
    const more = random() < 0.2 ? seldomMet(random) : {};
    return {
      workload,
      ...wide,
      ...more,
      schedule: [schedule, wide.schedule ?? [], more.schedule ?? []].flat(),
    };
  },
};

export function isScenario(name: string): name is ScenarioName {
  return Object.hasOwn(SCENARIOS, name);
}

export function planOf(name: ScenarioName, random: Random): Plan {
  const plan = base(random);
  return { ...plan, ...SCENARIOS[name](random, plan) };
}
