/**
 * A short run in the words of the protocol, to learn it from: what was ordered, what replicas said, what managers did about it.
 * Left out is what happens all the time: clocks, what became durable, progress.
 *
 * A result is named by its place among those that were seen of its entry: `A/a` is the first reply with the first update, `A/b`
 * the same reply with another update; `-` is no update.
 */
import type { Effect } from '../src/core/effect.ts';
import type { Command, Entry } from '../src/core/entry.ts';
import type { Event, Vote } from '../src/core/event.ts';
import type { Part } from '../src/core/message.ts';
import type { Host } from './host.ts';
import type { Observed, Observer, Simulation } from './simulation.ts';
import { isEvent } from './transcript.ts';

type Result = Pick<Vote, 'reply' | 'update'>;
type Line = (text: string) => void;

/** Names of what differs, in the order of being seen. */
class Names {
  readonly #known = new Map<string, string[]>();

  #place(kind: string, index: number, value: string): number {
    const seen = this.#known.get(`${kind} ${index}`) ?? [];
    this.#known.set(`${kind} ${index}`, seen);
    if (!seen.includes(value)) seen.push(value);
    return seen.indexOf(value);
  }

  result(index: number, { reply, update }: Result): string {
    const first = String.fromCharCode(65 + this.#place('reply', index, reply));
    const second = update === '' ? '-' : String.fromCharCode(97 + this.#place('update', index, update));
    return `${first}/${second}`;
  }

  reply(index: number, digest: string): string {
    return String.fromCharCode(65 + this.#place('reply', index, digest));
  }
}

/** `5`, or `5-8`. */
function range(from: number, through: number): string {
  return from === through ? `${from}` : `${from}-${through}`;
}

class Narrator {
  readonly #line: Line;
  readonly #names = new Names();
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
    for (const [what, who] of this.#effects(step.effects)) {
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
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the others are left out
    switch (event.type) {
      case 'ordered': {
        const { index } = event;
        const again = index <= this.#ordered;
        this.#ordered = Math.max(this.#ordered, index);
        if (again) return null;
        return `${index} ${this.#entry(event.entry, host.sim.order.lines[index]?.kind ?? '')}`;
      }
      case 'vote':
        return `${event.replica}: the result of ${event.index} is ${this.#names.result(event.index, event.vote)}`;
      case 'digest':
        return `${event.replica}: digest of its state`;
      case 'exported':
        return `${event.replica}: its state as a whole`;
      case 'down':
        return `${event.replica}: down (${event.kind})`;
      case 'rotate':
        return `${event.replica} has been running for long enough`;
      case 'peer-down': {
        const known = this.#missed.has(`${host.id} ${event.manager}`);
        this.#missed.add(`${host.id} ${event.manager}`);
        return known ? null : `${event.manager} has no lease any more`;
      }
      case 'recovered':
        return event.first > 0 || event.decided >= 0
          ? `starts again, with the state at ${event.decided}`
          : null;
      case 'fetched':
        return event.found ? `has the bytes of ${event.index}` : null;
      case 'state-fetched':
        return event.index === null ? null : `has a state at ${event.index}`;
      case 'checkpointed':
        return `the checkpoint at ${event.index} is durable`;
      default:
        return null;
    }
  }

  #entry(entry: Entry, kind: string): string {
    if (entry.type === 'command') return this.#command(entry.command);
    return entry.type === 'request' ? `request (${kind})` : entry.type;
  }

  #command(command: Command): string {
    switch (command.type) {
      case 'boot':
        return `boot ${command.manager} with ${command.members.map(({ replica, role }) => `${replica} (${role})`).join(', ')}`;
      case 'dismiss':
        return `dismiss ${command.manager}, says ${command.by}`;
      case 'report':
        return `report ${command.manager}: had decided up to ${command.decided} at ${command.round}`;
      case 'decide':
        return `decide ${this.#results(command.votes)}`;
      case 'join':
        return `join ${command.member.replica}`;
      case 'suspect':
        return `suspect at ${command.index}`;
      case 'expel':
        return `expel ${command.replica}: ${command.kind}${command.index < 0 ? '' : ` at ${command.index}`}`;
      case 'settle':
        return `settle: ${command.active.join(' ')} stay active`;
      case 'skip':
        return `skip ${command.index}: ${command.reason}`;
      case 'rotate':
        return command.by === null
          ? `rotate ${command.replica}: it is passive, and leaves`
          : `rotate ${command.replica}: ${command.by} is to take over`;
      case 'promote':
        return `promote ${command.replica} in place of ${command.replaces}`;
      case 'retire':
        return `retire ${command.replica}`;
    }
  }

  #results(votes: readonly { readonly index: number; readonly vote: Vote }[]): string {
    return votes.map(({ index, vote }) => `${index} as ${this.#names.result(index, vote)}`).join(', ');
  }

  /** Each with a `#` for whom it concerns; equal ones are put together. */
  *#effects(effects: readonly Effect[]): Iterable<[string, string]> {
    const executes = new Map<string, [number, number]>();
    for (const effect of effects) {
      if (effect.type !== 'execute') continue;
      const [from] = executes.get(effect.replica) ?? [effect.index];
      executes.set(effect.replica, [from, effect.index]);
    }
    for (const effect of effects) {
      if (effect.type !== 'execute') yield* this.#effect(effect);
      else {
        const span = executes.get(effect.replica);
        executes.delete(effect.replica);
        if (span !== undefined) yield [`${range(...span)} to be executed by #`, effect.replica];
      }
    }
  }

  *#effect(effect: Exclude<Effect, { type: 'execute' }>): Iterable<[string, string]> {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the others are left out
    switch (effect.type) {
      case 'append-command':
        return yield [`asks for: ${this.#command(effect.command)}`, ''];
      case 'append-mark':
        return yield ['asks for a mark', ''];
      case 'record':
        return yield [`${effect.index} is decided: ${this.#names.result(effect.index, effect.vote)}`, ''];
      case 'answer':
        return yield [`answers ${effect.index}: ${this.#outcome(effect)}`, ''];
      case 'start':
        return yield ['starts #', effect.replica];
      case 'stop':
        return yield ['destroys #', effect.replica];
      case 'suspend':
        return yield ['suspends #', effect.replica];
      case 'resume':
        return yield ['resumes #', effect.replica];
      case 'apply':
        return yield [`the updates of ${range(effect.from, effect.through)} for #`, effect.replica];
      case 'import':
        return yield [`the verified state at ${effect.through} for #`, effect.replica];
      case 'digest':
        return yield ['asks # for the digest of its state', effect.replica];
      case 'export':
        return yield ['asks # for its state', effect.replica];
      case 'checkpoint':
        return yield [`f+1 exports agree: checkpoint at ${effect.index}`, ''];
      case 'truncate-order':
        return yield [`the order up to ${effect.through} is needed by nobody`, ''];
      case 'fetch':
        return yield [`fetches the bytes of ${effect.index} from ${effect.from}`, ''];
      case 'fetch-state':
        return yield [`fetches a state from ${effect.from}`, ''];
      case 'take-state':
        return yield [`takes the state at ${effect.index} as its own`, ''];
      case 'incident': {
        const { replica, kind, index } = effect.fault;
        return yield [`INCIDENT: ${replica}, ${kind} at ${index}`, ''];
      }
      case 'send':
        for (const part of effect.message.parts) {
          const text = this.#part(part);
          if (text !== null) yield [`tells #: ${text}`, effect.to];
        }
        return;
      default:
    }
  }

  #part(part: Part): string | null {
    switch (part.type) {
      case 'votes':
        return `${part.replica} says ${this.#results(part.votes)}`;
      case 'decisions':
        return `decided are ${this.#results(part.decisions)}`;
      case 'caught-up':
        return part.replicas.length === 0 ? null : `${part.replicas.join(' ')} could stay`;
      case 'silent':
        return part.silent.map(({ replica, index }) => `${replica} is silent at ${index}`).join(', ');
      case 'exported':
        return `${part.replica} exported at ${part.mark}`;
      case 'too-old':
        return 'that is let go of';
      case 'progress':
      case 'ask':
        return null;
    }
  }

  #outcome({ outcome, index }: Extract<Effect, { type: 'answer' }>): string {
    if (outcome.type === 'reply') return this.#names.reply(index, outcome.digest ?? '');
    return outcome.type === 'skipped' ? `502, ${outcome.reason}` : outcome.type;
  }
}

function faultText(what: Observed): string {
  if (what.type === 'replica') return `a replica goes wrong: ${what.way}, ${what.when}`;
  if (what.type === 'host-crash') return `a host crashes, for ${what.ms} ms`;
  return what.type;
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
