/**
 * A run as text for a person: one line for what happened, its consequences indented below it. The same seed gives the same
 * text, byte for byte.
 */
import type { Effect } from '../src/core/effect.ts';
import type { Command, Entry } from '../src/core/entry.ts';
import type { Event, Vote } from '../src/core/event.ts';
import type { Part } from '../src/core/message.ts';
import { commandText } from './command-text.ts';
import type { Host } from './host.ts';
import type { Observed, Observer } from './simulation.ts';

type Digests = Pick<Vote, 'reply' | 'update'>;

function vote({ reply, update }: Digests): string {
  return `${reply.slice(0, 6)}/${update.slice(0, 6)}`;
}

function command(command: Command): string {
  return commandText(command, (votes) =>
    votes.map(({ index, vote: said }) => `${index}=${vote(said)}`).join(' '),
  );
}

function entry(entry: Entry): string {
  if (entry.type === 'command') return command(entry.command);
  return entry.type === 'request' && entry.key !== null ? `request with key ${entry.key.key}` : entry.type;
}

function part(part: Part): string {
  switch (part.type) {
    case 'votes': {
      const votes = part.votes.map(({ index, vote: cast }) => `${index}=${vote(cast)}`);
      return `votes of ${part.replica} (right through ${part.good}) ${votes.join(' ')}`;
    }
    case 'progress':
      return `decided ${part.decided}, mark ${part.mark}, checkpoint ${part.checkpoint}`;
    case 'ask':
      return `asks from ${part.from}`;
    case 'decisions':
      return `decisions ${part.decisions.map(({ index, vote: decided }) => `${index}=${vote(decided)}`).join(' ')}`;
    case 'too-old':
      return 'that is let go of';
    case 'caught-up':
      return `caught up since ${part.suspicion}: ${part.replicas.join(' ')}`;
    case 'silent':
      return `silent: ${part.silent.map(({ replica, index }) => `${replica} at ${index}`).join(' ')}`;
    case 'exported':
      return `${part.replica} exported at ${part.mark}: ${part.digest.slice(0, 6)}`;
  }
}

function parts(all: readonly Part[]): string {
  return all.map(part).join('; ');
}

function outcome(effect: Extract<Effect, { type: 'answer' }>): string {
  const { outcome: told } = effect;
  if (told.type === 'reply') return `reply of ${told.of} ${told.digest?.slice(0, 6) ?? ''}`;
  return told.type === 'skipped' ? `skipped: ${told.reason}` : told.type;
}

function event(event: Event): string | null {
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- `rest` says the others
  switch (event.type) {
    case 'clock':
      return null;
    case 'ordered':
      return `ordered ${event.index}: ${entry(event.entry)}`;
    case 'vote':
      return `vote of ${event.replica} for ${event.index}: ${vote(event.vote)}`;
    case 'peer':
      return `from ${event.from} (at ${event.message.at}): ${parts(event.message.parts)}`;
    case 'recovered':
      return `recovered: decided ${event.decided}, order from ${event.first}`;
    default:
      return rest(event);
  }
}

/** Whatever has no words of its own: its type and its plain fields. */
function rest(what: Observed): string {
  const fields = Object.entries(what).filter(([name, value]) => name !== 'type' && typeof value !== 'object');
  return [what.type, ...fields.map(([, value]) => String(value).slice(0, 24))].join(' ');
}

function effect(effect: Effect): string {
  // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- `rest` says the others
  switch (effect.type) {
    case 'append-command':
      return `append ${command(effect.command)}`;
    case 'answer':
      return `answer ${effect.index}: ${outcome(effect)}`;
    case 'record':
      return `record ${effect.index}: ${vote(effect.vote)}`;
    case 'send':
      return `send to ${effect.to}: ${parts(effect.message.parts)}`;
    case 'fetch':
      return `fetch ${effect.index} from ${effect.from}`;
    case 'incident':
      return `incident: ${effect.fault.replica} ${effect.fault.kind} at ${effect.fault.index}`;
    default:
      return rest(effect);
  }
}

const EVENTS: ReadonlySet<string> = new Set<Event['type']>([
  'recovered',
  'ordered',
  'durable',
  'recorded',
  'vote',
  'digest',
  'exported',
  'paused',
  'checkpointed',
  'down',
  'peer',
  'peer-down',
  'startable',
  'rotate',
  'deploy',
  'fetched',
  'state-fetched',
  'boot',
  'clock',
]);

export function isEvent(what: Observed): what is Event {
  // `digest` and `exported` are told as events with a digest, and asked for as effects without one.
  return EVENTS.has(what.type) && (what.type !== 'digest' || 'digest' in what);
}

/** Writes down what it is shown; `line` gets each line. */
export function transcriber(line: (text: string) => void): Observer {
  let pending: string | null = null;
  return (now: number, host: Host | null, what: Observed): void => {
    const at = now.toFixed(1).padStart(8);
    if (host === null) return line(`${at}    ******** ${rest(what)} ${JSON.stringify(what)}`);
    if (isEvent(what)) {
      pending = null;
      const text = event(what);
      if (text === null) pending = `${at} ${host.id} clock`;
      else line(`${at} ${host.id} ${text}`);
      return;
    }
    if (pending !== null) line(pending);
    pending = null;
    line(`${' '.repeat(8)}    ${host.id} > ${effect(what as Effect)}`);
  };
}
