/**
 * Bounded exhaustive exploration of one manager: not some lives drawn by chance, but all that differ from the calm one in so
 * many places. At every moment it goes on in each way there is: another replica answers first, the disk is late, a request
 * comes, a replica fails, everything is killed. Moments that are equal are gone on from once.
 *
 * The world is that of the core's own tests; `checks.ts` there watches every step. From every moment in which nothing is under
 * way, all must end well by itself: everything answered, the group whole, nothing left over.
 */
import { hash } from 'node:crypto';
import type { Key } from '../src/core/entry.ts';
import type { ReplicaId } from '../src/core/ids.ts';
import type { Write } from '../src/core/testing/disk.ts';
import type { Lie, Replica } from '../src/core/testing/replica.ts';
import type { Kind } from '../src/core/testing/service.ts';
import type { World } from '../src/core/testing/world.ts';
import { copy, fingerprint, openPrivates } from './graph.ts';
import { promise } from './violation.ts';

openPrivates();
const { World: OpenWorld } = await import('../src/core/testing/world.ts');
const { refreshEvery } = await import('../src/core/testing/scenario.ts');

type Failure = 'crash' | 'hang' | Lie;

/** What may come from outside, in any order, and how often in one life. */
export interface Scope {
  /** These, in this order. */
  readonly requests: readonly { readonly kind: Kind; readonly key?: Key }[];
  /** Of one replica. */
  readonly failures?: readonly Failure[];
  readonly rotate?: number;
  readonly deploy?: number;
  /** Everything is killed; of what was written and is not durable, any part survives. */
  readonly kill?: number;
  /** So many milliseconds pass, each once, while nobody sound has anything to do. */
  readonly waits?: readonly number[];
  /** A refresh and a checkpoint are due after every change. */
  readonly refresh?: boolean;
  /** Begins with the service's start. */
  readonly founding?: boolean;
}

/** What happens, and to whom, or how much: `crash r0`, `kill 2`. */
type Step = `${string} ${string}`;

interface Moment {
  readonly scope: Scope;
  readonly world: World;
  /** How often each thing has come from outside. */
  readonly came: Map<string, number>;
  readonly faulty: Set<ReplicaId>;
  /** Something happened that a suspicion may follow from. */
  disturbed: boolean;
}

export interface Explored {
  readonly moments: number;
  /** At so many of these nothing was under way. */
  readonly ends: number;
  readonly broken: { readonly what: string; readonly path: readonly Step[] } | null;
}

function beginning(scope: Scope): Moment {
  const core = scope.refresh === true ? refreshEvery(1) : {};
  const world = new OpenWorld({ faults: 1, core, behaviour: () => ({ startMs: 0 }) });
  if (scope.founding !== true) world.until('the group is whole', () => world.whole);
  return { scope, world, came: new Map(), faulty: new Set(), disturbed: false };
}

/** What was written and is not durable. */
function unsynced({ disk }: World): readonly Write[] {
  return disk.log.slice(disk.durable);
}

function isWorking({ dueAt }: Replica): boolean {
  return dueAt !== null;
}

/** What is under way; first what comes next in a calm life. */
function* due({ world }: Moment): Iterable<Step> {
  for (const replica of world.replicas.values()) if (isWorking(replica)) yield `work ${replica.id}`;
  if (unsynced(world).length > 0) yield 'sync all';
}

function* outside({ scope, world, came, faulty }: Moment): Iterable<Step> {
  const once = (step: string, most = 1): boolean => (came.get(step) ?? 0) < most;
  const replicas = [...world.replicas.values()];
  if (once('request', scope.requests.length)) yield 'request next';
  if (scope.refresh === true) yield 'clock stroke';
  for (const replica of replicas) {
    if (replica.behaviour.hung || (faulty.size > 0 && !faulty.has(replica.id))) continue;
    for (const failure of scope.failures ?? [])
      if (failure === 'crash' || isWorking(replica)) yield `${failure} ${replica.id}`;
  }
  if (once('rotate', scope.rotate ?? 0)) for (const { id } of replicas) yield `rotate ${id}`;
  if (once('deploy', scope.deploy ?? 0)) yield 'deploy version';
  if (once('kill', scope.kill ?? 0))
    for (let torn = 0; torn <= unsynced(world).length; torn++) yield `kill ${torn}`;
  if (replicas.some(isWorking)) return;
  for (const ms of scope.waits ?? []) if (once(`wait ${ms}`)) yield `wait ${ms}`;
}

function take(moment: Moment, step: Step): void {
  const { world, came } = moment;
  const [what = '', on = ''] = step.split(' ');
  const counted = what === 'wait' ? step : what;
  const before = came.get(counted) ?? 0;
  if (!['work', 'sync', 'clock'].includes(what)) came.set(counted, before + 1);
  world.trace = [];
  const replica = world.replicas.get(on as ReplicaId);
  if (replica === undefined) happen(moment, what, on, before);
  else if (what === 'work') for (const event of replica.work(world.now) ?? []) world.tell(event);
  else if (what === 'rotate') world.tell({ type: 'rotate', replica: replica.id });
  else fail(moment, replica, what as Failure);
  check(moment);
}

function happen(moment: Moment, what: string, amount: string, before: number): void {
  const { scope, world } = moment;
  switch (what) {
    case 'request':
      return void world.request(scope.requests[before]?.kind, scope.requests[before]?.key);
    case 'sync':
      return world.sync();
    case 'deploy':
      return world.tell({ type: 'deploy', variants: 4 });
    case 'kill':
      moment.disturbed = true;
      return world.kill(Number(amount));
    case 'wait':
      world.now += Number(amount);
      return world.tell({ type: 'clock' });
    default:
      return world.tell({ type: 'clock' });
  }
}

function fail(moment: Moment, replica: Replica, failure: Failure): void {
  moment.faulty.add(replica.id);
  moment.disturbed = true;
  if (failure === 'crash') return moment.world.crash(replica.id);
  if (failure === 'hang') replica.behaviour.hung = true;
  else replica.behaviour.lie = failure;
}

/** Requests of these kinds are skipped for this reason, and no others. */
const HOPELESS = { poison: ['poison'], timeout: ['hang'], 'no-agreement': ['random'] } as const;

/** What `checks.ts` cannot know: who is faulty, and what is hopeless. */
function check({ scope, world, faulty, disturbed }: Moment): void {
  for (const effect of world.trace) {
    if (effect.type !== 'skipped') continue;
    const kind = world.truth.kind(effect.index);
    const hopeless: readonly string[] = HOPELESS[effect.reason];
    promise(hopeless.includes(kind), 'P5', () => `a ${kind} is skipped: ${effect.reason}`);
  }
  if (scope.requests.some(({ kind }) => kind !== 'write')) return;
  for (const { replica, kind } of world.incidents) {
    // Of two exports that differ nobody can tell which one is wrong.
    const fair = faulty.has(replica) || (kind === 'state' && scope.failures?.includes('export') === true);
    promise(fair, 'P6', () => `${replica} is sound, and blamed: ${kind}`);
  }
  promise(
    disturbed || world.core.group.suspicion === null,
    'P5',
    () => 'a suspicion though nothing went wrong',
  );
}

/** Nothing comes from outside any more. */
function end(moment: Moment): void {
  const last = copy(moment);
  const { world } = last;
  const good = (): boolean => world.answered && world.whole && world.leftovers.length === 0;
  world.until('P5: everything is answered, the group whole, nothing left over', good, 30_000);
  for (const { id, ended } of world.replicas.values())
    promise(!ended, 'P6', () => `${id} is dead, and stays`);
  check(last);
}

/** All lives that differ from the calm one in at most `places`, until a promise is broken. */
export function explore(scope: Scope, places: number): Explored {
  /** The most places that were left when a moment was gone on from. */
  const seen = new Map<string, number>();
  const path: Step[] = [];
  let ends = 0;
  const goOn = (moment: Moment, left: number): void => {
    const key = hash('md5', fingerprint([moment, unsynced(moment.world)]));
    const before = seen.get(key) ?? -1;
    if (before >= left) return;
    seen.set(key, left);
    const [calm, ...others] = due(moment);
    if (before < 0 && calm === undefined) {
      ends++;
      end(moment);
    }
    const follow = (step: Step, places: number): void => {
      const next = copy(moment);
      path.push(step);
      take(next, step);
      goOn(next, places);
      path.pop();
    };
    if (calm !== undefined) follow(calm, left);
    if (left > 0) for (const step of [...others, ...outside(moment)]) follow(step, left - 1);
  };
  try {
    goOn(beginning(scope), places);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return { moments: seen.size, ends, broken: { what: error.message, path } };
  }
  return { moments: seen.size, ends, broken: null };
}
