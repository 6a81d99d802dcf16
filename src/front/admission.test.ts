import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as fc from 'fast-check';
import { Admission, type AdmissionLimits, type Ticket } from './admission.ts';

const LIMITS: AdmissionLimits = { inFlight: 3, inFlightBytes: 100, waiting: 4, waitingBytes: 150 };

type Step =
  | { readonly type: 'enter'; readonly bytes: number }
  | { readonly type: 'leave' | 'abandon'; readonly which: number };

const step = fc.oneof(
  // Small ones, or bytes would always be what they are too many of.
  { weight: 2, arbitrary: fc.record({ type: fc.constant('enter' as const), bytes: fc.nat(30) }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('enter' as const), bytes: fc.nat(130) }) },
  fc.record({ type: fc.constantFrom('leave' as const, 'abandon' as const), which: fc.nat() }),
);

/** Admission as a list of what entered, in which everything is looked up anew. */
class Model {
  readonly admission = new Admission(LIMITS);
  waiting: Ticket[] = [];
  running: Ticket[] = [];
  readonly ran: Ticket[] = [];

  take(next: Step): void {
    if (next.type === 'enter') {
      const ticket: Ticket = { bytes: next.bytes, run: () => this.#run(ticket) };
      this.waiting.push(ticket);
      if (!this.admission.enter(ticket)) {
        this.waiting.pop();
        const room = LIMITS.waitingBytes - sum(this.waiting);
        assert.ok(this.waiting.length === LIMITS.waiting || ticket.bytes > room, 'refused without need');
      }
    } else if (next.type === 'leave') {
      const [ticket] = this.running.splice(next.which % Math.max(1, this.running.length), 1);
      if (ticket !== undefined) this.admission.leave(ticket);
    } else {
      // Also one that runs already, which changes nothing.
      const all = [...this.waiting, ...this.running];
      const ticket = all[next.which % Math.max(1, all.length)];
      if (ticket === undefined) return;
      this.waiting = this.waiting.filter((other) => other !== ticket);
      this.admission.abandon(ticket);
    }
  }

  #run(ticket: Ticket): void {
    assert.equal(this.waiting.shift(), ticket, 'in the order entered');
    this.running.push(ticket);
    this.ran.push(ticket);
  }

  check(): void {
    const { running, waiting } = this;
    assert.ok(running.length <= LIMITS.inFlight);
    assert.ok(running.length === 1 || sum(running) <= LIMITS.inFlightBytes);
    assert.ok(waiting.length <= LIMITS.waiting && sum(waiting) <= LIMITS.waitingBytes);
    const [next] = waiting;
    if (next === undefined) return;
    const full = running.length === LIMITS.inFlight || sum(running) + next.bytes > LIMITS.inFlightBytes;
    assert.ok(full && running.length > 0, 'waits without need');
  }
}

function sum(tickets: readonly Ticket[]): number {
  return tickets.reduce((total, { bytes }) => total + bytes, 0);
}

void test('limits hold, order holds, nobody waits or is refused without need', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const model = new Model();
      for (const next of steps) {
        model.take(next);
        model.check();
      }
      while (model.running.length > 0) model.take({ type: 'leave', which: 0 });
      assert.equal(model.waiting.length, 0, 'all that waited ran');
      assert.equal(new Set(model.ran).size, model.ran.length, 'once');
    }),
    { numRuns: 1000 },
  );
});
