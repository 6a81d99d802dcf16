/** A command of the order in words: the same in transcripts and stories. */
import type { Command } from '../src/core/entry.ts';

type Votes = Extract<Command, { type: 'decide' }>['votes'];

/** `results` words what a `decide` decides. */
export function commandText(command: Command, results: (votes: Votes) => string): string {
  switch (command.type) {
    case 'boot':
      return `boot ${command.manager} with ${command.members.map(({ replica, role }) => `${replica} (${role})`).join(', ')}`;
    case 'dismiss':
      return `dismiss ${command.manager}, says ${command.by}`;
    case 'report':
      return `report ${command.manager}: had decided up to ${command.decided} at ${command.round}`;
    case 'decide':
      return `decide ${results(command.votes)}`;
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
    case 'succeed':
      return `succeed: ${command.members.map(({ replica, role }) => `${replica} (${role})`).join(', ')}`;
  }
}
