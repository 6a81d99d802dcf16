/**
 * The seam between the agent and one kind of state. Lives inside the domain; the manager sees only opaque bytes.
 *
 * An update is the whole effect that one entry had on the state, in a canonical encoding: replicas that executed
 * the same order give the same bytes. Updates are relative to the state before the entry.
 *
 * S1. The same state gives the same digest, however it was reached (executed, applied, imported).
 * S2. `apply` writes nothing before `flush`, as long as that fits into some megabytes; `flush` writes each changed page once,
 *     however often it changed.
 * S3. After `flush` or `import`, the service's open connections see the new state at their next statement.
 */
export interface State {
  /** Called first: makes the state folder ready, with a state that may be of no bytes. `apply` may follow. */
  prepare(): Intake;
  /**
   * Called right before the service starts. `founds`: what the service makes of the state while it starts belongs to it; else that
   * is undone by the next `flush` or `import`, of which there is one before the next `capture`. `notes`: a file that is made there, in
   * which the service's processes note what they read of the state while it starts.
   */
  leave(founds: boolean, notes: string): void;
  /** Called once the service is up: from here on changes are captured. Throws a `StateError` if it cannot be. */
  open(): void;
  /** Called when what the start wrote is captured, or undone. */
  started(): void;
  /** Whether something that the service read, or made, while it started is different by now, as of the last `digest`. */
  isOutdated(): boolean;
  /** The update since the last capture (or since `leave`), empty when nothing changed. Not while an entry runs. */
  capture(): Uint8Array;
  /** Remembers an update of another replica, to be written at `flush`. */
  apply(update: Uint8Array): void;
  flush(): void;
  /** SHA-256 over the whole state, kept incrementally: cost follows what changed since the last call. */
  digest(): Uint8Array;
  /** How large an export is. */
  exportBytes(): number;
  /** The whole state, in chunks of exactly `chunkBytes` but for the last; valid until the next entry. */
  export(chunkBytes: number): Iterable<Uint8Array>;
  /** Replaces the whole state by an exported one; the service must be idle until it has come whole. */
  import(): Intake;
  close(): void;
}

/** A whole state in pieces of any size, written as they come; both methods throw a `StateError`. */
export interface Intake {
  take(piece: Uint8Array): void;
  end(): void;
}

/** A state that cannot be captured, with what to do about it; the message is for the operator. */
export class StateError extends Error {}
