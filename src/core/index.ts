/** The protocol core: see `core.ts`. */
export { Core } from './core.ts';
export type { CoreOptions } from './options.ts';
export { type CoreView, type ReplicaState, stateOf } from './view.ts';
export type { Effect, Outcome } from './effect.ts';
export type { Command, Entry, Key, Role, SkipReason } from './entry.ts';
export type { Event, Vote } from './event.ts';
export type { FaultKind } from './fault.ts';
export { assert, digest, index, managerId, replicaId, type Digest, type ReplicaId } from './ids.ts';
export { transferMs } from './refreshing.ts';
