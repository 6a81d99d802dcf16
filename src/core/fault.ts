/** What a replica can do wrong, as data. */
import type { Index, ReplicaId } from './ids.ts';

/**
 * - `reply`: another reply than f+1 others gave
 * - `update`: the same reply, but another change of the state
 * - `state`: its whole state has another digest
 * - `late`: no vote within the deadline
 * - `crash`: its domain ended, or its agent gave up
 * - `protocol`: it sent what no honest agent sends
 */
export type FaultKind = 'reply' | 'update' | 'state' | 'late' | 'crash' | 'protocol';

export interface Fault {
  readonly replica: ReplicaId;
  readonly kind: FaultKind;
  /** The entry it was noticed at. */
  readonly index: Index;
}
