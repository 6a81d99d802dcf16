/**
 * Clients: each sends one request after another to a manager that is up, and remembers what it was told and when. Who gets no
 * answer sends a request with a key again, to any manager; one without a key it gives up, as a client must.
 */
import type { Effect } from '../src/core/effect.ts';
import type { Key } from '../src/core/entry.ts';
import type { Kind } from '../src/core/testing/service.ts';
import type { Host } from './host.ts';
import type { Simulation } from './simulation.ts';

export interface Call {
  readonly kind: Kind;
  readonly key: Key | null;
  readonly from: number;
  /** Places in the order that it got: several when it was sent again. */
  readonly indices: number[];
  to: number | null;
  outcome: string | null;
  at: number | null;
  givenUp: boolean;
}

export interface Workload {
  readonly clients: number;
  readonly calls: number;
  readonly thinkMs: number;
  readonly kind: (random: () => number) => Kind;
  readonly keyed: number;
}

const RESEND_MS = 2500;

export class Clients {
  readonly calls: Call[] = [];
  readonly #sim: Simulation;
  readonly #workload: Workload;
  readonly #random: () => number;
  readonly #asked = new Map<string, Call>();
  #made = 0;
  #ended = 0;

  constructor(sim: Simulation, workload: Workload, random: () => number) {
    this.#sim = sim;
    this.#workload = workload;
    this.#random = random;
  }

  start(): void {
    for (let i = 0; i < this.#workload.clients; i++) this.#next();
  }

  get done(): boolean {
    return this.#ended === this.#workload.calls;
  }

  #next(): void {
    if (this.#made === this.#workload.calls) return;
    this.#made++;
    this.#sim.timeline.in(this.#random() * 2 * this.#workload.thinkMs, () => this.#call());
  }

  #call(): void {
    const call: Call = {
      kind: this.#workload.kind(this.#random),
      key: this.#random() < this.#workload.keyed ? this.#key() : null,
      from: this.#sim.timeline.now,
      indices: [],
      to: null,
      outcome: null,
      at: null,
      givenUp: false,
    };
    this.calls.push(call);
    this.#send(call);
  }

  /** Mostly a new one; now and then one that was used, for the same request or, wrongly, for another one. */
  #key(): Key {
    const dice = this.#random();
    const used = this.calls[Math.floor(this.#random() * this.calls.length)]?.key ?? null;
    if (used === null || dice < 0.8) return { key: `k${this.calls.length}`, fingerprint: 'same' };
    return { key: used.key, fingerprint: dice < 0.9 ? 'same' : 'other' };
  }

  #send(call: Call): void {
    if (call.at !== null) return;
    const up = this.#sim.hosts.filter((host) => host.core?.booted === true && !host.cut);
    const host = up[Math.floor(this.#random() * up.length)];
    if (host === undefined) return this.#sim.timeline.in(50, () => this.#send(call));
    const { life } = host;
    host.append({ type: 'request', time: host.wallMs, key: call.key, bytes: 1 }, call.kind, (index) => {
      call.indices.push(index);
      if (host.life === life) this.#asked.set(`${host.number} ${life} ${index}`, call);
    });
    this.#sim.timeline.in(RESEND_MS, () => this.#again(call, host, life));
  }

  /** No answer in time: whose manager is gone never gets one. */
  #again(call: Call, host: Host, life: number): void {
    if (call.at !== null) return;
    if (host.life === life) return this.#sim.timeline.in(RESEND_MS, () => this.#again(call, host, life));
    if (call.key !== null) return this.#send(call);
    call.givenUp = true;
    this.#end(call, 'lost');
  }

  answer(host: Host, { index, outcome }: Extract<Effect, { type: 'answer' }>): void {
    const call = this.#asked.get(`${host.number} ${host.life} ${index}`);
    if (call === undefined) return;
    this.#asked.delete(`${host.number} ${host.life} ${index}`);
    if (call.at !== null) return;
    let text: string = outcome.type;
    if (outcome.type === 'skipped') text = `skipped ${outcome.reason}`;
    if (outcome.type === 'reply') text = `reply of ${outcome.of} ${outcome.digest ?? ''}`;
    call.to = index;
    this.#end(call, text);
    this.#sim.checks.told(host, call);
  }

  #end(call: Call, outcome: string): void {
    call.outcome = outcome;
    call.at = this.#sim.timeline.now;
    this.#ended++;
    this.#next();
  }
}
