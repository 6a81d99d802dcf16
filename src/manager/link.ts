/**
 * One replica as the manager holds it: its domain, and the channel to its agent. The gateway through which all
 * bytes of a replica come.
 *
 * K1. What is sent reaches the agent in the order sent, also while a state is being read from disk for an import.
 * K2. A frame that is malformed or too large ends the link at once: `onDown('protocol', …)`.
 * K3. What waits to be sent is bounded.
 * K4. After `destroy` nothing is reported any more.
 * K5. What the agent said before it ended is heard first, and why its domain ended before that its channel did: it often says why.
 * K6. A state is read only for who is still there.
 */
import type { Domain } from '../domains/domain.ts';
import { messageOf } from '../errors.ts';
import { MalformedError } from '../wire/bytes.ts';
import { type Answer, decodeAnswer } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';

/** What is heard of an agent that goes on. */
export type Heard = Exclude<Answer, { type: 'failed' }>;

export interface LinkHandlers {
  readonly onAnswer: (answer: Heard) => void;
  readonly onDown: (kind: 'crash' | 'protocol', why: string) => void;
}

/** What may wait for a replica that does not read, or for the end of an import. */
const UNREAD_BYTES_MAX = 256 * 1024 ** 2;
const BACKLOG_MAX = 100_000;
/** How long a domain whose channel has ended may take to say why it ends. */
const EXIT_MS_MAX = 500;

export type Write = (frames: Buffer[]) => Promise<void>;

/** What is read from disk while it is sent, and what it needs there until then. */
interface Streamed {
  readonly job: (write: Write) => Promise<void>;
  readonly held: Disposable | undefined;
}

export class Link {
  readonly domain: Domain;
  readonly #handlers: LinkHandlers;
  readonly #backlog: (Buffer[] | Streamed)[] = [];
  /** Too many votes of it are undecided, or the disk is behind with what it exports. */
  readonly #against = new Set<'votes' | 'disk'>();
  #busy = false;
  #closed = false;
  #control: Promise<void> = Promise.resolve();

  /** `frameBytesMax`: the largest payload that the agent may send. */
  constructor(domain: Domain, frameBytesMax: number, handlers: LinkHandlers) {
    this.domain = domain;
    this.#handlers = handlers;
    const reader = new FrameReader(frameBytesMax);
    domain.channel.on('data', (chunk: Buffer) => this.#receive(reader, chunk));
    // Why the domain ends says more, when it does; one that goes on without its channel is as good as gone.
    const afterHalf = (then: () => void): void => void setTimeout(then, EXIT_MS_MAX / 2).unref();
    // In halves: where the manager itself waits for a processor, one may be over before what came meanwhile is heard of.
    domain.channel.on('end', () => {
      afterHalf(() => afterHalf(() => this.#down('crash', 'its agent closed the channel')));
    });
    // In a whole turn of the loop all is read that has come.
    const afterATurn = (then: () => void): void => void setImmediate(() => setImmediate(then));
    void domain.exited.then((why) => afterATurn(() => this.#down('crash', why)));
  }

  #receive(reader: FrameReader, chunk: Buffer): void {
    if (this.#closed) return;
    try {
      for (const frame of reader.read(chunk)) {
        if (this.#closed) return;
        const answer = decodeAnswer(frame);
        if (answer.type === 'failed') return this.#down('crash', answer.message);
        this.#handlers.onAnswer(answer);
      }
    } catch (error) {
      // Anything else is a bug of ours, and must end the manager, not blame the replica.
      if (!(error instanceof MalformedError)) throw error;
      this.#down('protocol', error.message);
    }
  }

  /**
   * Whether more is taken from the agent: while nothing stands against it. What came in one piece of at most 64 KiB with the last
   * frame is heard still.
   */
  hear(wanted: boolean, against: 'votes' | 'disk'): void {
    if (wanted) this.#against.delete(against);
    else this.#against.add(against);
    if (this.#against.size === 0) this.domain.channel.resume();
    else this.domain.channel.pause();
  }

  /** As if it had ended. */
  giveUp(why: string): void {
    this.#down('crash', why);
  }

  #down(kind: 'crash' | 'protocol', why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#handlers.onDown(kind, why);
  }

  send(frames: Buffer[]): void {
    if (this.#busy) this.#backlog.push(frames);
    else this.#write(frames);
    if (this.domain.channel.writableLength > UNREAD_BYTES_MAX || this.#backlog.length > BACKLOG_MAX) {
      this.#down('crash', 'it does not read what it is sent');
    }
  }

  /**
   * Sends what `job` writes, before anything that is sent later. A job that throws ends the link, and its writes
   * throw once the replica is gone. `held` is let go of when all is sent, or never will be.
   */
  stream(job: Streamed['job'], held?: Disposable): void {
    this.#backlog.push({ job, held });
    if (!this.#busy) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    for (let next = this.#backlog.shift(); next !== undefined; next = this.#backlog.shift()) {
      if (Array.isArray(next)) this.#write(next);
      else await this.#run(next);
    }
    this.#busy = false;
  }

  async #run({ job, held }: Streamed): Promise<void> {
    using _ = held;
    if (this.#closed) return;
    try {
      await job((frames) => this.#writeAndWait(frames));
    } catch (error) {
      // Why its channel is gone is still to be heard of (K5).
      if (!this.#gone) this.#down('crash', messageOf(error));
    }
  }

  get #gone(): boolean {
    return this.#closed || this.domain.channel.destroyed;
  }

  #write(frames: Buffer[]): boolean {
    const { channel } = this.domain;
    if (this.#gone) return true;
    if (channel.writableCorked === 0) {
      // What is sent in one turn of the loop, for many clients, goes out in one system call.
      channel.cork();
      setImmediate(() => channel.uncork());
    }
    let room = true;
    for (const part of frames) if (part.length > 0) room = channel.write(part);
    return room;
  }

  /** Throws when nobody is there any more, so that whoever reads what is to be sent ends. */
  async #writeAndWait(frames: Buffer[]): Promise<void> {
    if (!this.#write(frames)) await this.#drained();
    if (this.#gone) throw new Error('it is gone');
  }

  async #drained(): Promise<void> {
    const { channel } = this.domain;
    await new Promise<void>((resolve) => {
      const go = (): void => {
        channel.off('drain', go);
        channel.off('close', go);
        resolve();
      };
      channel.on('drain', go);
      channel.on('close', go);
    });
  }

  suspend(): void {
    this.#then(() => this.domain.suspend());
  }

  resume(): void {
    this.#then(() => this.domain.resume());
  }

  #then(action: () => Promise<void>): void {
    this.#control = this.#control
      .then(action)
      .catch((error: unknown) => this.#down('crash', messageOf(error)));
  }

  async destroy(): Promise<void> {
    this.#closed = true;
    await this.domain.destroy();
  }
}
