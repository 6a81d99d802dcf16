/**
 * How many requests may be in work, and how many may wait: bounded in number and bytes, whatever clients do.
 *
 * A1. Requests run in the order in which they entered.
 * A2. A request that was given up while it waited does not run, and takes no room.
 */

export interface AdmissionLimits {
  /** Requests ordered and not answered. */
  readonly inFlight: number;
  readonly inFlightBytes: number;
  /** Requests waiting to be ordered; beyond that they are refused. */
  readonly waiting: number;
  readonly waitingBytes: number;
}

export interface Ticket {
  readonly bytes: number;
  /** Called when it is the request's turn, unless it was given up before. */
  readonly run: () => void;
}

export class Admission {
  readonly #limits: AdmissionLimits;
  /** In the order in which they run. */
  readonly #waiting = new Set<Ticket>();
  #waitingBytes = 0;
  #running = 0;
  #runningBytes = 0;

  constructor(limits: AdmissionLimits) {
    this.#limits = limits;
  }

  /** Runs the request now or later; false when too many wait already. */
  enter(ticket: Ticket): boolean {
    if (this.#waiting.size === 0 && this.#fits(ticket)) {
      this.#run(ticket);
      return true;
    }
    const { waiting, waitingBytes } = this.#limits;
    if (this.#waiting.size >= waiting || this.#waitingBytes + ticket.bytes > waitingBytes) return false;
    this.#waiting.add(ticket);
    this.#waitingBytes += ticket.bytes;
    return true;
  }

  /** A request that ran is answered. */
  leave(ticket: Ticket): void {
    this.#running--;
    this.#runningBytes -= ticket.bytes;
    this.#next();
  }

  /** Nobody waits for the answer any more; without effect on a request that runs or ran. */
  abandon(ticket: Ticket): void {
    if (!this.#waiting.delete(ticket)) return;
    this.#waitingBytes -= ticket.bytes;
    this.#next();
  }

  #next(): void {
    for (const next of this.#waiting) {
      if (!this.#fits(next)) return;
      this.#waiting.delete(next);
      this.#waitingBytes -= next.bytes;
      this.#run(next);
    }
  }

  #fits(ticket: Ticket): boolean {
    const { inFlight, inFlightBytes } = this.#limits;
    // A single request always fits: its own size is limited elsewhere.
    if (this.#running === 0) return true;
    return this.#running < inFlight && this.#runningBytes + ticket.bytes <= inFlightBytes;
  }

  #run(ticket: Ticket): void {
    this.#running++;
    this.#runningBytes += ticket.bytes;
    ticket.run();
  }
}
