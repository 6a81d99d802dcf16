/** Attacks on the channel's framing. */
import { frameHead } from '../../src/wire/frames.ts';
import { resultFrames } from '../../src/wire/channel.ts';
import type { Attack } from './attack.ts';
import type { Captured } from './captured.ts';

const READER = '`FrameReader` (F1, F2)';
const GATEWAY = '`decodeAnswer`';
/** What the manager takes in one frame: a reply of 8 MiB, an update of 64 MiB, and room for their heads. */
const FRAME_BYTES_MAX = 72 * 1024 ** 2 + 64 * 1024;

/** In place of the next answer to a request. */
function instead(bytes: Uint8Array): (captured: Captured) => void {
  return (captured) => captured.results('request', 'first', () => captured.send([bytes]));
}

function head(type: number, length: number, ...payload: number[]): Buffer {
  return Buffer.concat([frameHead(type, length), Buffer.from(payload)]);
}

function cutResult(captured: Captured, then: () => void): void {
  captured.results('request', 'first', ({ index, reply, update }) => {
    const whole = Buffer.concat(resultFrames(index, reply, update));
    captured.send([whole.subarray(0, whole.length - 3)]);
    captured.onAnswer = () => {};
    then();
  });
}

export const FRAME_ATTACKS: readonly Attack[] = [
  {
    name: 'an answer of an unknown type',
    by: 'active',
    kind: 'protocol',
    stopped: GATEWAY,
    run: instead(head(99, 0)),
  },
  {
    name: 'a reply longer than its frame',
    by: 'active',
    kind: 'protocol',
    stopped: `${GATEWAY}, \`Reader\` (B1)`,
    run: instead(head(1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255)),
  },
  {
    name: 'a result for an index that is no number',
    by: 'active',
    kind: 'protocol',
    stopped: `${GATEWAY}, \`Reader.integer\``,
    run: instead(head(1, 12, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0)),
  },
  {
    name: 'a frame that announces 4 GiB',
    by: 'active',
    kind: 'protocol',
    stopped: `${READER}: refused by its head`,
    run: instead(head(1, 0xffff_ffff)),
  },
  {
    name: 'a frame cut short, then silence',
    by: 'active',
    kind: 'late',
    stopped: 'the deadline (U1, U2)',
    run: (captured) => cutResult(captured, () => {}),
  },
  {
    name: 'a frame cut short, then the end of the channel',
    by: 'active',
    kind: 'crash',
    stopped: '`Link`: the channel ended',
    run: (captured) => cutResult(captured, () => captured.manager.end()),
  },
  {
    name: 'a frame of the largest size that never ends',
    by: 'active',
    kind: 'late',
    stopped: `${READER} keeps one frame; the deadline`,
    run: (captured) =>
      captured.results('request', 'first', () => {
        captured.onAnswer = () => {};
        const block = Buffer.alloc(64 * 1024, 1);
        captured.send([frameHead(1, FRAME_BYTES_MAX)]);
        void (async () => {
          for (let left = FRAME_BYTES_MAX - block.length; left > 0; left -= block.length) {
            await captured.sendSlowly([block]);
          }
        })();
      }),
  },
  {
    name: 'a frame in single bytes, for as long as it is listened to',
    by: 'refreshed',
    kind: 'late',
    stopped: `${READER}: what is kept does not grow with the number of pieces; an awake passive replica has the time of one request`,
    run: (captured) =>
      captured.answers('digest', () => {
        captured.onAnswer = () => {};
        captured.send([frameHead(1, FRAME_BYTES_MAX)]);
        void (async () => {
          for (;;) {
            await captured.sendSlowly([Buffer.of(1)]);
            await new Promise(setImmediate);
          }
        })();
      }),
  },
];
