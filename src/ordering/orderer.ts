/**
 * The seam to whatever orders: a local log on one host, a consensus engine on several.
 *
 * R1. Every manager gets the same entries at the same indices, without a gap, from 0.
 * R2. An entry may be handed out before it is durable; `onDurable` tells, in order.
 */
export interface Orderer<Tag> {
  /** Called with each entry, in order. `tag` is what `append` was given, for entries appended here. */
  onOrdered: (index: number, entry: Buffer, tag: Tag | null) => void;
  /** Called when all entries up to `index` are durable. */
  onDurable: (index: number) => void;
  append(entry: Buffer, tag: Tag | null): void;
}
