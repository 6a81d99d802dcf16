/**
 * What a replica is sent first: the state that its service starts on, and the start.
 *
 * O1. Who founds the group starts on the initial state, since what its start makes of that is voted on. Who comes later starts on the
 *     present one, as after a restart without Spare: what a service reads at its start, such as settings, is not older than the copy.
 */
import { transferMs } from '../core/index.ts';
import type { Opening, ServiceImage } from '../domains/domain.ts';
import { messageOf } from '../errors.ts';
import { decodeAnswer, digestFrames, prepareFrames, startFrames } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';
import type { Write } from './link.ts';
import type { Tell } from './loading.ts';
import { type ManagerOptions, REPORT_MS, type Version } from './options.ts';
import type { Verified } from './verified.ts';

/** Agreed time and randomness of entry 0: every replica starts with them, whenever it starts. */
export interface StartEntry {
  readonly timeMs: number;
  readonly seed: Buffer;
}

export type OpeningOptions = Pick<ManagerOptions, 'frameBytesMax' | 'replyBytesMax' | 'startTimeoutMs'>;

export interface Opened {
  readonly version: Version;
  readonly image: ServiceImage;
  readonly port: number;
  readonly entry: StartEntry;
  /** As of the core's effect. */
  readonly founds: boolean;
  readonly onPresent: boolean;
}

export interface ReplicaOpening extends Opening {
  /** Answers the entry after which the state was that it sent, null of the initial one. */
  send(write: Write): Promise<number | null>;
}

/**
 * The same for all replicas of a variant, but for `founds`, and for how far the group is. A machine that one of them was given may be
 * cloned for a later one: that it then starts on an older state is the price of its being there at once.
 */
export function openingOf(
  { version, image, port, entry, founds, onPresent }: Opened,
  { frameBytesMax, replyBytesMax, startTimeoutMs }: OpeningOptions,
  verified: Verified,
  tell: Tell,
): ReplicaOpening {
  const order = {
    timeMs: entry.timeMs,
    seed: entry.seed.toString('base64'),
    command: image.command,
    env: image.env,
    port,
    timeoutMs: startTimeoutMs,
    replyBytesMax,
  };
  return {
    key: JSON.stringify([version.digest, image.state, order, founds || onPresent]),
    get timeoutMs() {
      return startTimeoutMs + REPORT_MS + transferMs(verified.bytes);
    },
    send: async (write) => {
      await write(prepareFrames(image.state));
      const startedOn = onPresent
        ? await verified.sendPresent(write, tell)
        : await verified.sendInitial(write, tell);
      await write(startFrames({ ...order, founds }));
      return startedOn;
    },
    listen: () => listenForAnswer(new FrameReader(frameBytesMax)),
    rehearsal: digestFrames(),
  };
}

/** What is wrong with the answer is found when a replica itself gives it. */
function listenForAnswer(reader: FrameReader): ReturnType<Opening['listen']> {
  return (bytes) => {
    try {
      const [first] = reader.read(bytes);
      if (first === undefined) return 'more';
      const answer = decodeAnswer(first);
      return answer.type === 'failed' ? { failed: answer.message } : 'answered';
    } catch (error) {
      return { failed: messageOf(error) };
    }
  };
}
