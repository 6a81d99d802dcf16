/** Identifiers, branded so that one kind is never taken for another. */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Place of an entry in the order, from 0. */
export type Index = Branded<number, 'Index'>;
/** One replica for its whole life; never used again after it. */
export type ReplicaId = Branded<string, 'ReplicaId'>;
export type ManagerId = Branded<string, 'ManagerId'>;
/** SHA-256, base64. */
export type Digest = Branded<string, 'Digest'>;

export const index = (value: number): Index => value as Index;
export const replicaId = (value: string): ReplicaId => value as ReplicaId;
export const managerId = (value: string): ManagerId => value as ManagerId;
export const digest = (value: string): Digest => value as Digest;

/** Crashes on a broken promise of our own; a replica's misbehaviour never gets here. */
export function assert(condition: boolean, promise: string): asserts condition {
  if (!condition) throw new Error(`broken invariant: ${promise}`);
}
