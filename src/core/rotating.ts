/**
 * Proactive recovery of one replica: a clean one takes its place, and clients notice nothing.
 *
 * An ordered `rotate` names a passive replica, which is woken and gets all that is decided while the old one still serves.
 * Once it has that, `promote` is ordered. What comes before it the old one executes, what comes after it the new one, as
 * soon as everything before is decided. Then the old one is destroyed, and what is missing to 2f+2 is started. `retire`
 * ends the rotation once all managers of the view are that far.
 *
 * A program that begins to execute is very slow for its first few requests. Where one manager decides by itself, more votes than
 * f+1 do no harm: there the old one goes on beside the new one until these are over, and clients do not wait for them. Not for
 * longer: one that executes more than needed takes its share of the processors from the others.
 *
 * N1. One rotation at a time, and none during a suspicion; a suspicion ends it.
 * N2. The new one executes nothing before `promote`; the old one nothing after it, where there are several managers.
 */
import type { Core } from './core.ts';
import type { Member } from './entry.ts';
import type { Index, ReplicaId } from './ids.ts';
import { type Local, oldestOwed } from './local.ts';

/** Asks for the rotation of a replica of this manager, if it can be now. */
export function rotate(core: Core, replica: ReplicaId): void {
  const { group } = core;
  const member = group.get(replica);
  const phase = core.replicas.get(replica)?.phase;
  if (!core.booted || member === undefined || group.suspicion !== null || group.rotating) return;
  if (phase === 'suspended') return core.propose({ type: 'rotate', replica, by: null });
  if (phase !== 'executing') return;
  const by = successor(core, member);
  if (by !== undefined) core.propose({ type: 'rotate', replica, by: by.replica });
}

/**
 * The passive replica that is to take over: on the same host if there is one, of a variant that is not active anyway as far as
 * possible, and of these the one that is there for longest.
 */
function successor(core: Core, out: Member): Member | undefined {
  const staying = core.group.active().filter(({ replica }) => replica !== out.replica);
  const cost = (member: Member): number => {
    const same = staying.filter(({ variant }) => variant === member.variant).length;
    return same + (member.manager === out.manager ? 0 : staying.length + 1);
  };
  const passive = [...core.group.members()].filter(({ role }) => role === 'passive');
  return passive.toSorted((a, b) => cost(a) - cost(b))[0];
}

/** What a rotation asks of the replicas here, at this moment. */
export function superviseRotation(core: Core, now: number): void {
  const { group, replicas } = core;
  if (group.suspicion !== null) return;
  for (const local of replicas.all()) {
    const named = group.rotation?.by === local.id;
    if (named && local.phase === 'suspended' && !local.faulty) replicas.relieve(now, local);
    else if (local.phase === 'relieving' && !named && group.get(local.id)?.role === 'passive') {
      replicas.backToSleep(local);
    }
  }
  handOver(core, now);
}

/** It has all that was decided when it was woken. */
export function caughtUp(core: Core, local: Local): void {
  const { rotation } = core.group;
  if (rotation?.by !== local.id) return;
  core.propose({ type: 'promote', replica: local.id, replaces: rotation.out });
}

/** Votes after which a program that just began to execute is not slow out of all proportion any more. */
const WARM_VOTES = 5;
/** Entries that the new one may be behind when the old one goes: clients wait for as many, and for no more. */
const BEHIND_MAX = 10;
/** Where little is asked, warming up takes no longer than this. */
const WARM_MS = 2000;
/** Who has not caught up by then will not. */
const CATCH_UP_MS = 10_000;

/** Whether the old one may go, as far as clients would notice: the new one is warm, and has as good as caught up. */
function isWarm(core: Core, now: number, next: Local, at: Index): boolean {
  const ms = now - next.since;
  if (next.faulty || ms > CATCH_UP_MS) return true;
  const through = (oldestOwed(next) ?? core.order.head + 1) - 1;
  const near = through >= core.order.decided - BEHIND_MAX;
  return near && (through >= at + WARM_VOTES || ms > WARM_MS);
}

/** From the old ones to the new ones, once everything before the `promote` or `succeed` is decided. */
export function handOver(core: Core, now: number): void {
  const { group, order, replicas } = core;
  const { takeover } = group;
  if (takeover === null) return;
  const { at } = takeover;
  const old = takeover.out.map(({ replica }) => replicas.get(replica)).filter((local) => local !== undefined);
  const next = takeover.by.map((replica) => replicas.get(replica)).filter((local) => local !== undefined);
  // Of an old version nothing may count after it.
  const together = core.alone && old.every(({ version }) => version === core.succession.version);
  if (!together) for (const local of old) local.until = at;
  if (order.decided < at - 1) return;
  if (!together) for (const local of old) replicas.remove(local);
  for (const local of next) if (local.phase !== 'executing' && !local.faulty) replicas.takeOver(now, local);
  if (together && old.length > 0) {
    if (!next.every((local) => isWarm(core, now, local, at))) return;
    for (const local of old) replicas.remove(local);
  }
  const [first] = takeover.by;
  const [last] = takeover.out;
  if (first === undefined || last === undefined) return;
  const own = group.get(first)?.manager === core.options.manager;
  if (own && core.peers.decidedByAll() >= at - 1) {
    core.propose({ type: 'retire', replica: last.replica });
  }
}
