/**
 * Users of the host that domains run as when the manager is root: one per domain, known to nobody, so that no
 * domain has a right on anything of the host or of another domain, and limits per user are limits per domain.
 */
import { SpareError } from '../../errors.ts';
import type { Owner } from './folder.ts';

/** An owner that is taken until `release`. */
export interface TakenOwner extends Owner {
  release(): void;
}

/** Above what distributions, containers and systemd hand out. */
const FIRST_UID = 0x7000_0000;
const PER_MANAGER = 64;
/** Process numbers end here on Linux, so two managers never share a range. */
const PIDS = 2 ** 22;

const taken = new Set<number>();

/** Throws `domain-start-failed` when this manager has too many domains. */
export function takeOwner(): TakenOwner {
  for (let slot = 0; slot < PER_MANAGER; slot += 1) {
    if (taken.has(slot)) continue;
    taken.add(slot);
    const uid = FIRST_UID + (process.pid % PIDS) * PER_MANAGER + slot;
    return { uid, gid: uid, release: () => taken.delete(slot) };
  }
  throw new SpareError('domain-start-failed', `There are ${PER_MANAGER} domains already.`, {
    hint: 'Run fewer replicas with one manager.',
  });
}
