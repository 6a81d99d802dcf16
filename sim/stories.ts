/** Short scripted runs, told in `transcripts/`: one fault each, few requests, always the same. */
import type { Kind } from '../src/core/testing/service.ts';
import type { Fault } from './faults.ts';
import { narrator } from './narrator.ts';
import { LIMITS, type Plan, START_MS } from './scenarios.ts';
import { Simulation } from './simulation.ts';

export interface Script {
  readonly name: string;
  /** What to look at. */
  readonly about: readonly string[];
  readonly managers: number;
  readonly seed: number;
  /** It is told from here on, milliseconds. */
  readonly from: number;
  readonly requests: readonly Kind[];
  /** From one request to the next, at most. */
  readonly apartMs: number;
  readonly faults: readonly { readonly at: number; readonly fault: Fault }[];
  readonly refreshEvery?: number;
}

function planOf({ managers, requests, apartMs, faults, refreshEvery = 1000 }: Script): Plan {
  let next = 0;
  return {
    managers,
    faults: 1,
    workload: {
      clients: 1,
      calls: requests.length,
      thinkMs: apartMs / 2,
      kind: () => requests[next++] ?? 'write',
      keyed: 0,
    },
    schedule: faults,
    refreshEvery,
    limits: LIMITS,
    startMs: START_MS,
    fillMs: 0,
    stateMs: 0,
    diskMs: 0,
    stateBytes: 0,
    appendMs: 2,
    linkMs: 2,
    lose: 0,
    double: 0,
    calm: faults.length === 0 && requests.every((kind) => kind === 'write' || kind === 'read'),
  };
}

/** The whole text of one; throws when a promise is broken. */
export function tell(script: Script): string {
  const lines = [`# ${script.name}`, '#', ...script.about.map((text) => `# ${text}`.trimEnd()), ''];
  const story = narrator(script.from, (text) => lines.push(text.trimEnd()));
  const simulation = new Simulation(script.seed, planOf(script), story.observer);
  simulation.run();
  story.end(simulation);
  return `${lines.join('\n')}\n`;
}

export const SCRIPTS: readonly Script[] = [
  {
    name: 'fault-free',
    about: [
      'One manager, f = 1, nothing goes wrong: from nothing to the first checkpoint.',
      '',
      'Columns: milliseconds; where (`order`: it has its place in the order now); what. `>` is what a manager does about the line',
      'above it. A result is named within its entry: `A/a` is the first reply that was seen with the first change of the state,',
      '`B/a` another reply, `A/b` the same reply with another change; `-` changes nothing. Left out: clocks, what became durable,',
      'progress.',
      '',
      '- Entry 0 is the start of the service itself, voted on like any other. Two of four equal results decide it; whoever comes',
      '  later gets the verified state in place of its own.',
      '- r0 and r1 execute. r2 and r3 are suspended once they have confirmed their state, and cost nothing from then on.',
      '- Each request is decided by f+1 = 2 equal results, and answered once it is durable, too: a little later where the disk',
      '  is slower than the replicas.',
      '- 5 is a mark: its result is the digest of the state. r2, then r3, are resumed, get the updates up to it, and must report',
      '  that digest. Both export their states, which agree: a checkpoint, and the order before it is let go of.',
    ],
    managers: 1,
    seed: 3,
    from: 0,
    requests: ['write', 'read', 'write', 'write'],
    apartMs: 400,
    faults: [],
    refreshEvery: 3,
  },
  {
    name: 'lie',
    about: [
      'One manager, f = 1: an active replica gives a wrong reply, once. How to read it: fault-free.txt.',
      '',
      '- Two different results for 3: nobody can tell yet who is wrong, so nothing is answered. `suspect` wakes all passive ones.',
      '- They get the updates that they lack, then execute 3 themselves. The first of them makes f+1 equal results: 3 is decided,',
      '  and whoever said otherwise is to blame. Its incident is written before anything else is done.',
      '- `settle` names f+1 to stay. r3 has executed, so it never becomes passive again: it is destroyed.',
      '- r4 and r5 are clean: they start, get the verified state, confirm it, join, and are suspended.',
    ],
    managers: 1,
    seed: 1,
    from: 250,
    requests: ['write', 'write', 'write'],
    apartMs: 500,
    faults: [{ at: 250, fault: { type: 'replica', pick: 0, way: 'reply', when: 'once', young: false } }],
  },
  {
    name: 'silence',
    about: [
      'One manager, f = 1: an active replica does not answer any more. How to read it: fault-free.txt.',
      '',
      '- r1 has voted at once. That r0 has not says nothing yet: the deadline begins with the first vote (here 200 ms, its ceiling,',
      '  as nothing is known of usual lags).',
      '- The client is answered as soon as one woken replica agrees with r1.',
      '- r0 is blamed only now that f+1 others have decided 3: a quick first vote could have been the lie (U2).',
    ],
    managers: 1,
    seed: 1,
    from: 250,
    requests: ['write', 'write', 'write'],
    apartMs: 500,
    faults: [{ at: 250, fault: { type: 'replica', pick: 0, way: 'hang', when: 'always', young: false } }],
  },
  {
    name: 'poison',
    about: [
      'One manager, f = 1: a request kills every replica that executes it. How to read it: fault-free.txt.',
      '',
      '- The `expel` of r0 leaves one active replica: that is a suspicion as well, without a `suspect`.',
      '- With r1, f+1 replicas went down while they executed 3. No f of them can be lying about that: the order skips 3.',
      '- Its client gets a 502 that says why. Entry 3 has no effect, for good, and is executed by nobody any more.',
      '- r2 and r3 are woken when r0 is gone, but do not execute 3 as long as r1 is at it: no more die than it takes to know.',
      '- They go on behind it; the two that died are replaced. Nothing that was acknowledged is lost.',
    ],
    managers: 1,
    seed: 1,
    from: 250,
    requests: ['write', 'poison', 'write'],
    apartMs: 500,
    faults: [],
  },
  {
    name: 'nothing-agrees',
    about: [
      'One manager, f = 1: each replica has another result (a service that is not deterministic). How to read it: fault-free.txt.',
      '',
      '- 2f+1 = 3 results, and no two agree. More votes could still make two equal, but more than f replicas differ: it is the',
      '  entry that is at fault, and it is skipped.',
      '- Whoever executed it goes back to the verified state before it; the result of r2, which comes later, is void.',
      '- Nobody is blamed. The client gets a 502.',
    ],
    managers: 1,
    seed: 1,
    from: 250,
    requests: ['write', 'random', 'write'],
    apartMs: 500,
    faults: [],
  },
  {
    name: 'suspicion',
    about: [
      'Three managers, f = 1: a replica lies in its update, not in its reply. How to read it: fault-free.txt.',
      '',
      '- Managers tell each other results, never bytes. The replies are equal: only the change of the state differs.',
      '- All three ask for `suspect`; the first one counts (9). It begins a round: each manager says by the order how far it had',
      '  decided by itself, and from then on decides nothing by itself any more.',
      '- With the last report (14) the order decides: all before the highest report stands as decided there, all after it is',
      '  decided by the first `decide`. The ones at 16 and 17 change nothing.',
      '- m0.r0 is blamed by its own manager, which has both votes. m1 answers before m2 has got so far: m1 and m0, f+1 managers,',
      '  know the decision. Every manager answers; the one that has the client passes it on.',
      '- `settle` ends it (19). From there each manager decides by itself again, as 22 shows.',
      '- m2 has no active replica: it knows from the votes what is decided, and fetches the bytes.',
    ],
    managers: 3,
    seed: 1,
    from: 300,
    requests: ['write', 'write', 'write'],
    apartMs: 600,
    faults: [{ at: 300, fault: { type: 'replica', pick: 0, way: 'update', when: 'once', young: false } }],
  },
  {
    name: 'rotation',
    about: [
      'One manager, f = 1: an active replica has been running for long enough. How to read it: fault-free.txt.',
      '',
      '- `rotate` names the passive one that is to take over. It is resumed and gets the decided updates, while the old one still',
      '  answers.',
      '- At `promote` it takes over, and executes what comes after. The old one goes on beside it until it is warm, or two seconds',
      '  have passed: nobody waits for a program that has only just begun. Nothing is suspected.',
      '- The old one is destroyed, `retire` ends the rotation, and a clean replica is started. It joins as a passive one.',
    ],
    managers: 1,
    seed: 1,
    from: 300,
    requests: ['write', 'write', 'write'],
    apartMs: 300,
    faults: [{ at: 360, fault: { type: 'rotate', pick: 0 } }],
  },
  {
    name: 'host-crash',
    about: [
      'Three managers, f = 1: the host of m1 crashes and comes back. How to read it: fault-free.txt.',
      '',
      '- 8 has one vote and needs two: it waits until the lease of m1 is over. `dismiss` takes m1 and its replicas out of the view;',
      '  an active one is missing then, so it is a suspicion, too.',
      '- Only those who are in the view report. `settle` leaves the active ones on two hosts.',
      '- m1 is back with the state at 7, before the suspicion. It boots and fetches from the others what it missed. The group is',
      '  full again, so the replica that it brings is not taken; it will start one when one is missing.',
    ],
    managers: 3,
    seed: 1,
    from: 300,
    requests: ['write', 'write'],
    apartMs: 600,
    faults: [{ at: 300, fault: { type: 'host-crash', pick: 0.4, ms: 390 } }],
  },
];
