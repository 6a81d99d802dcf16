/**
 * A short run in the words of the protocol, to learn it from: what was ordered, what replicas said, what managers did about it.
 * Left out is what happens all the time: clocks, what became durable, progress.
 */
import type { Effect } from '../src/core/effect.ts';
import type { Event } from '../src/core/event.ts';
import type { Host } from './host.ts';
import type { Observed, Observer, Simulation } from './simulation.ts';
import { isEvent } from './transcript.ts';
import { faultText, Wording } from './wording.ts';

type Line = (text: string) => void;

class Narrator {
  readonly #line: Line;
  readonly #words = new Wording();
  #ordered = -1;
  /** Whose missing lease was told of, by whom. */
  readonly #missed = new Set<string>();
  #step: { now: number; host: Host; effects: Effect[] } | null = null;

  constructor(line: Line) {
    this.#line = line;
  }

  /** `who` did or saw it. */
  say(now: number, who: string, text: string): void {
    this.#line(`${now.toFixed(1).padStart(7)}  ${who.padEnd(5)}  ${text}`);
  }

  observe(now: number, host: Host | null, what: Observed): void {
    if (host === null) {
      this.flush();
      this.say(now, what.type === 'rotate' ? 'SHELL' : 'FAULT', faultText(what));
    } else if (isEvent(what)) {
      this.flush();
      this.#step = { now, host, effects: [] };
      const text = this.#event(host, what);
      if (text !== null) this.say(now, what.type === 'ordered' ? 'order' : host.id, text);
    } else this.#step?.effects.push(what as Effect);
  }

  /** The effects of a step, what belongs together on one line. */
  flush(): void {
    const step = this.#step;
    this.#step = null;
    if (step === null) return;
    const lines = new Map<string, string[]>();
    for (const [what, who] of this.#words.effects(step.effects)) {
      const together = lines.get(what) ?? [];
      // Comes after what any of them has to get before.
      if (what.includes('executed')) lines.delete(what);
      if (who !== '') together.push(who);
      lines.set(what, together);
    }
    for (const [what, who] of lines) {
      this.say(step.now, step.host.id, `  > ${what.replace('#', who.join(' '))}`);
    }
  }

  #event(host: Host, event: Event): string | null {
    if (event.type === 'ordered') {
      // Told once, when the first manager sees it.
      if (event.index <= this.#ordered) return null;
      this.#ordered = event.index;
      const kind = host.sim.order.lines[event.index]?.kind ?? '';
      return `${event.index} ${this.#words.entry(event.entry, kind)}`;
    }
    if (event.type === 'peer-down') {
      const who = `${host.id} ${event.manager}`;
      if (this.#missed.has(who)) return null;
      this.#missed.add(who);
    }
    return this.#words.event(event);
  }
}

/** Who is there, in which role. */
function groupOf({ hosts }: Simulation): string {
  const core = hosts.find(({ core }) => core !== null)?.core;
  const members = [...(core?.group.members() ?? [])].map(({ replica, role }) => `${replica} ${role}`);
  return `the group: ${members.join(', ')}; decided up to ${core?.order.decided}`;
}

export interface Narration {
  readonly observer: Observer;
  /** Once the run is over. */
  end(simulation: Simulation): void;
}

/** Tells a run from some time on. */
export function narrator(from: number, line: Line): Narration {
  const told = new Narrator(line);
  let begun = from === 0;
  let simulation: Simulation | null = null;
  return {
    observer: (now, host, what): void => {
      if (!begun && now >= from) {
        begun = true;
        if (simulation !== null) told.say(now, '', groupOf(simulation));
      }
      simulation = host?.sim ?? simulation;
      if (begun) told.observe(now, host, what);
    },
    end: (simulation): void => {
      told.flush();
      told.say(simulation.timeline.now, '', groupOf(simulation));
    },
  };
}
