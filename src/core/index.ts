/** The protocol core: see `core.ts`. */
export { Core, type CoreOptions, type CoreView } from './core.ts';
export type { Effect, Outcome } from './effect.ts';
export type { Command, Entry, Key, SkipReason } from './entry.ts';
export type { Event, Vote } from './event.ts';
export type { Fault, FaultKind } from './fault.ts';
export {
  assert,
  digest,
  index,
  managerId,
  replicaId,
  type Digest,
  type Index,
  type ManagerId,
  type ReplicaId,
} from './ids.ts';
