/** What the operator is shown of the core. */
import type { Core } from './core.ts';
import { index as toIndex, type Index, type ReplicaId } from './ids.ts';
import { type Local, oldestOwed } from './local.ts';

export type ReplicaState = 'starting' | 'running' | 'suspended';

export interface ReplicaView {
  readonly id: ReplicaId;
  readonly variant: number;
  readonly role: 'active' | 'passive';
  readonly state: ReplicaState;
  /** The last entry that is in its state. */
  readonly applied: Index;
}

export interface CoreView {
  readonly ordered: Index;
  readonly decided: Index;
  readonly suspicion: boolean;
  readonly updateLog: { readonly entries: number; readonly bytes: number };
  readonly replicas: readonly ReplicaView[];
}

const STATE_OF = {
  starting: 'starting',
  started: 'starting',
  joining: 'starting',
  suspended: 'suspended',
  refreshing: 'running',
  relieving: 'running',
  executing: 'running',
} as const satisfies Record<Local['phase'], ReplicaState>;

export function stateOf(local: Local): ReplicaState {
  return STATE_OF[local.phase];
}

export function replicaView(core: Core, local: Local): ReplicaView {
  const idle = core.order.head + 1;
  return {
    id: local.id,
    variant: local.variant,
    role: core.group.get(local.id)?.role ?? 'passive',
    state: stateOf(local),
    applied: local.phase === 'executing' ? toIndex((oldestOwed(local) ?? idle) - 1) : local.applied,
  };
}
