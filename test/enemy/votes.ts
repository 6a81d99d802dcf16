/** Attacks on who votes for what, and when. */
import { chunkFrames, digestAnswer, resultFrames, stateMark } from '../../src/wire/channel.ts';
import type { Attack } from './attack.ts';
import type { Captured, Result } from './captured.ts';

const TURN = 'the core: answers come in the order that was asked (L1)';
const LIE = Buffer.from('a lie');

/** After the next answer to a request. */
function after(more: (captured: Captured, result: Result) => void): (captured: Captured) => void {
  return (captured) =>
    captured.results('request', 'first', (result, pass) => {
      pass();
      more(captured, result);
    });
}

export const VOTE_ATTACKS: readonly Attack[] = [
  {
    name: 'a vote twice',
    by: 'active',
    kind: 'protocol',
    stopped: TURN,
    run: after((captured, { index, reply, update }) => captured.send(resultFrames(index, reply, update))),
  },
  {
    name: 'a second, other vote, as if it were from another replica',
    by: 'active',
    kind: 'protocol',
    stopped: 'the link says who votes: a frame names nobody; Q1',
    run: after((captured, { index, update }) => captured.send(resultFrames(index, LIE, update))),
  },
  {
    name: 'a vote for the past',
    by: 'active',
    kind: 'protocol',
    stopped: `${TURN}; no bytes of it are kept`,
    run: after((captured, { index, reply, update }) =>
      captured.send(resultFrames(Math.max(0, index - 50), reply, update)),
    ),
  },
  {
    name: 'a vote for the future',
    by: 'active',
    kind: 'protocol',
    stopped: `${TURN}; no bytes of it are kept`,
    run: after((captured, { index, reply, update }) =>
      captured.send(resultFrames(index + 1000, reply, update)),
    ),
  },
  {
    name: 'two votes in the wrong order',
    by: 'active',
    kind: 'protocol',
    stopped: TURN,
    run: (captured) => {
      let held: (() => void) | null = null;
      captured.onAnswer = (_answer, pass) => {
        if (held === null) {
          held = pass;
          return;
        }
        pass();
        held();
      };
    },
  },
  {
    name: 'a digest nobody asked for',
    by: 'active',
    kind: 'protocol',
    stopped: TURN,
    run: after((captured) => captured.send(digestAnswer(stateMark(Buffer.alloc(32, 1), 100), false))),
  },
  {
    name: 'a state nobody asked for',
    by: 'active',
    kind: 'protocol',
    stopped: '`Snapshots.take`',
    run: after((captured) => captured.send(chunkFrames(Buffer.alloc(1000), true))),
  },
  {
    name: 'answers of a replica that should sleep',
    by: 'refreshed',
    kind: 'protocol',
    stopped: `${TURN}; all of a domain is stopped`,
    run: (captured) =>
      captured.answers('digest', (_answer, pass) => {
        // In one write: stopped between two, it would say the second as its answer of the next time, when it is asked.
        captured.manager.cork();
        pass();
        captured.send(digestAnswer(stateMark(Buffer.alloc(32, 1), 100), false));
        captured.manager.uncork();
      }),
  },
  {
    name: 'a vote of a passive replica',
    by: 'refreshed',
    kind: 'protocol',
    stopped: TURN,
    run: (captured) => captured.answers('digest', () => captured.send(resultFrames(1, LIE, LIE))),
  },
];
