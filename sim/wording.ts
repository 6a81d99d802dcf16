/**
 * The words of a told run (`narrator.ts`): one line for an event, a command, an effect; null for what is left out.
 *
 * A result is named by its place among those that were seen of its entry: `A/a` is the first reply with the first update, `A/b`
 * the same reply with another update; `-` is no update.
 */
import type { Effect } from '../src/core/effect.ts';
import type { Entry } from '../src/core/entry.ts';
import type { Event, Vote } from '../src/core/event.ts';
import type { Part } from '../src/core/message.ts';
import { commandText } from './command-text.ts';
import type { Observed } from './simulation.ts';

type Result = Pick<Vote, 'reply' | 'update'>;

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

export class Wording {
  readonly #names = new Names();

  /** What came to a manager; entries of the order have words of their own. */
  event(event: Event): string | null {
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- the others are left out
    switch (event.type) {
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
      case 'peer-down':
        return `${event.manager} has no lease any more`;
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

  entry(entry: Entry, kind: string): string {
    if (entry.type === 'command') return commandText(entry.command, (votes) => this.#results(votes));
    return entry.type === 'request' ? `request (${kind})` : entry.type;
  }

  #results(votes: readonly { readonly index: number; readonly vote: Vote }[]): string {
    return votes.map(({ index, vote }) => `${index} as ${this.#names.result(index, vote)}`).join(', ');
  }

  /** Each with a `#` for whom it concerns; equal ones are put together. */
  *effects(effects: readonly Effect[]): Iterable<[string, string]> {
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
        return yield [`asks for: ${commandText(effect.command, (votes) => this.#results(votes))}`, ''];
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

export function faultText(what: Observed): string {
  if (what.type === 'replica') return `a replica goes wrong: ${what.way}, ${what.when}`;
  if (what.type === 'host-crash') return `a host crashes, for ${what.ms} ms`;
  return what.type;
}
