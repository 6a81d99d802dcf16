/**
 * The replicas of this manager as things that run: domains started and ended, links held. Knows nothing of roles.
 *
 * A replica has a place here from `start` to `stop`; what is sent to one that is still starting, or is gone, is lost
 * without harm, because the core sends nothing to a replica before its first answer.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DOMAINS_FOLDER } from '../data-folder.ts';
import type { Effect } from '../core/index.ts';
import type { Domain, Driver, Opening, ServiceImage } from '../domains/domain.ts';
import { messageOf, roomOrOther, SpareError } from '../errors.ts';
import { decodeAnswer, digestFrames, printable, printableLines, startFrames } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';
import { type Heard, Link } from './link.ts';
import type { Deployment } from './deployment.ts';
import { type ManagerOptions, REPORT_MS, type Version } from './options.ts';
import { freePort, SERVICE_PORT } from './port.ts';
import type { Snapshots } from './snapshots.ts';

export interface FleetHandlers {
  readonly onAnswer: (id: string, answer: Heard) => void;
  readonly onDown: (id: string, kind: 'crash' | 'protocol') => void;
  /** A replica that is not of a new version may not start: what it would start from is not what was accepted, or built from it. */
  readonly onRefused: (error: SpareError) => void;
  /** The image of machines is not what was built from what was accepted; told once, until a replica starts from it again. */
  readonly onImageDamaged: (error: SpareError) => void;
  /** The disk of the data folder was full when a replica was to be started that is not of a new version. */
  readonly onNoRoom: (error: SpareError) => void;
}

/** Agreed time and randomness of entry 0: every replica starts with them, whenever it starts. */
export interface StartEntry {
  readonly timeMs: number;
  readonly seed: Buffer;
}

/** What a replica runs, by the core's numbers, and whether what its start writes may count. */
type What = Pick<Extract<Effect, { type: 'start' }>, 'variant' | 'version' | 'founds'>;

/** For so long a check that was made for a rotation holds for the next replica that starts: the clean one, or who replaces one lost just then. */
const AHEAD_MS = 5000;
/** What is to be started is not what was accepted, or built from it. */
const REFUSALS: ReadonlySet<string> = new Set(['image-changed', 'image-unreadable', 'image-damaged']);

interface Place {
  readonly version: number;
  link: Link | null;
  readonly startedAt: number;
  /** It was stopped, perhaps before its domain was up. */
  stopped: boolean;
  readonly whenStopped: PromiseWithResolvers<null>;
  /** Why it went down, as far as it is known. */
  why: string;
  /** It may not start: what it would start from has changed. */
  refused: boolean;
  /** It starts, and goes behind all others. */
  behind: boolean;
}

export class Fleet {
  readonly #options: ManagerOptions;
  readonly #driver: Driver;
  readonly #deployment: Deployment;
  readonly #snapshots: Snapshots;
  readonly #handlers: FleetHandlers;
  readonly #places = new Map<string, Place>();
  /** Domains on their way up or down: `close` waits for them. */
  readonly #moving = new Set<Promise<void>>();
  /** Told of: what else is found while they are repaired, such as a file that is gone, is no news. */
  readonly #damaged = new Set<ServiceImage>();
  /** A check that was made for a rotation, and no start has used. */
  #ahead: {
    readonly version: Version;
    readonly leftOut: readonly string[];
    readonly untilMs: number;
  } | null = null;

  constructor(
    options: ManagerOptions,
    driver: Driver,
    deployment: Deployment,
    snapshots: Snapshots,
    handlers: FleetHandlers,
  ) {
    this.#deployment = deployment;
    this.#options = options;
    this.#driver = driver;
    this.#snapshots = snapshots;
    this.#handlers = handlers;
  }

  get isolation(): string {
    return this.#driver.isolation;
  }

  link(id: string): Link | null {
    return this.#places.get(id)?.link ?? null;
  }

  /** All that have a place, oldest first, and when they were started. */
  births(): [string, number][] {
    return [...this.#places].map(([id, { startedAt }]) => [id, startedAt]);
  }

  /** In a line that is safe for a terminal. */
  why(id: string): string {
    return printable(this.#places.get(id)?.why ?? '');
  }

  /** Whether it was not started because that would be from something else than what was accepted. */
  isRefused(id: string): boolean {
    return this.#places.get(id)?.refused ?? false;
  }

  /** Whether it is of a version that has not taken over. */
  isNew(id: string): boolean {
    return this.#deployment.isNew(this.#places.get(id)?.version ?? 0);
  }

  /** What is kept of what its processes printed, safe for a terminal. */
  console(id: string): string {
    return printableLines(this.link(id)?.domain.console() ?? '').trim();
  }

  /** Whether a clean replica could be started. Throws what `Version.check` throws. */
  async checkAhead(): Promise<void> {
    const version = this.#deployment.current;
    const leftOut = await version.check();
    this.#ahead = { version, leftOut, untilMs: performance.now() + AHEAD_MS };
  }

  /** Once: null for a version that was not checked, or not just now. */
  #takeAhead(version: Version): readonly string[] | null {
    const ahead = this.#ahead;
    this.#ahead = null;
    return ahead?.version === version && performance.now() < ahead.untilMs ? ahead.leftOut : null;
  }

  start(id: string, what: What, entry: StartEntry): void {
    const { version } = what;
    const place: Place = {
      version,
      link: null,
      startedAt: performance.now(),
      stopped: false,
      whenStopped: Promise.withResolvers(),
      why: '',
      refused: false,
      behind: true,
    };
    this.#places.set(id, place);
    this.#track(
      this.#bringUp(id, place, this.#deployment.version(version), what, entry).catch((thrown: unknown) => {
        if (place.stopped) return;
        const error = roomOrOther(this.#options.dataFolder, thrown);
        const noRoom = error instanceof SpareError && error.code === 'storage-failed';
        if (noRoom && !this.isNew(id)) return this.#handlers.onNoRoom(error);
        place.why = messageOf(error);
        if (error instanceof SpareError && REFUSALS.has(error.code)) {
          place.refused = true;
          if (!this.isNew(id)) this.#handlers.onRefused(error);
        }
        this.#handlers.onDown(id, 'crash');
      }),
    );
  }

  async #bringUp(
    id: string,
    place: Place,
    version: Version | undefined,
    { variant, founds }: What,
    entry: StartEntry,
  ): Promise<void> {
    const { dataFolder, limits } = this.#options;
    const image = version?.variants[variant];
    if (version === undefined || image === undefined) throw new Error(`there is no variant ${variant}`);
    // Nothing is there yet that must be ended, and who closes may not wait for a disk that does not answer.
    const leftOut =
      this.#takeAhead(version) ?? (await Promise.race([version.check(), place.whenStopped.promise]));
    if (leftOut === null || place.stopped) return;
    const directory = join(dataFolder, DOMAINS_FOLDER, id);
    mkdirSync(directory, { recursive: true });
    const opening = await this.#opening(id, version, image, entry, founds);
    const starting = this.#driver.start({ id, image, limits, directory, opening, leftOut });
    starting.catch((error: unknown) => this.#reportDamage(image, error));
    const domain = await starting;
    this.#damaged.delete(image);
    if (place.stopped) return await domain.destroy();
    place.link = this.#connect(id, place, domain);
    if (!domain.opened) place.link.stream((write) => opening.send(write));
  }

  /** That of a change, or of what cannot be read, was reported by who found it. */
  #reportDamage(image: ServiceImage, error: unknown): void {
    if (!(error instanceof SpareError) || error.code !== 'image-damaged') return;
    if (this.#damaged.has(image)) return;
    this.#damaged.add(image);
    this.#handlers.onImageDamaged(error);
  }

  /** Says how far the state of a replica has got. */
  tellLoaded(id: string, percent: number): void {
    this.#options.log(`loading    ${id} has ${percent} % of the state`);
  }

  /**
   * The start, and the initial state if there is one: the same for all replicas of a variant, but for `founds`. A machine that
   * founded the group may be cloned for a later replica: its start is the one that was decided.
   */
  async #opening(
    id: string,
    version: Version,
    image: ServiceImage,
    entry: StartEntry,
    founds: boolean,
  ): Promise<Opening> {
    const { hasBase } = this.#snapshots;
    const { frameBytesMax, replyBytesMax, startTimeoutMs } = this.#options;
    const order = {
      timeMs: entry.timeMs,
      seed: entry.seed.toString('base64'),
      command: image.command,
      env: image.env,
      port: this.#driver.privateNetwork ? SERVICE_PORT : await freePort(),
      state: image.state,
      hasBase,
      timeoutMs: startTimeoutMs,
      replyBytesMax,
    };
    return {
      key: `${version.digest} ${JSON.stringify(order)}`,
      timeoutMs: startTimeoutMs + REPORT_MS,
      send: async (write) => {
        await write(startFrames({ ...order, founds }));
        if (!hasBase) return;
        for await (const frames of this.#snapshots.baseFrames((percent) => this.tellLoaded(id, percent)))
          await write(frames);
      },
      listen: () => listenForAnswer(new FrameReader(frameBytesMax)),
      rehearsal: digestFrames(),
    };
  }

  #connect(id: string, place: Place, domain: Domain): Link {
    return new Link(domain, this.#options.frameBytesMax, {
      onAnswer: (answer) => {
        this.#prioritize(place);
        this.#handlers.onAnswer(id, answer);
      },
      onDown: (kind, why) => {
        place.why = why;
        this.#handlers.onDown(id, kind);
      },
    });
  }

  /** Nobody serves, so those that start need not go behind all others. May be called again and again. */
  hurry(): void {
    for (const place of this.#places.values()) this.#prioritize(place);
  }

  #prioritize(place: Place): void {
    if (!place.behind || place.link === null) return;
    place.behind = false;
    place.link.domain.prioritize();
  }

  stop(id: string): void {
    const place = this.#places.get(id);
    if (place === undefined) return;
    place.stopped = true;
    place.whenStopped.resolve(null);
    this.#places.delete(id);
    if (place.link !== null) this.#track(place.link.destroy());
  }

  #track(work: Promise<void>): void {
    const ended = work.catch((error: unknown) => this.#options.log(`error      ${messageOf(error)}`));
    this.#moving.add(ended);
    void ended.then(() => this.#moving.delete(ended));
  }

  /** Ends all domains. */
  async close(): Promise<void> {
    for (const id of this.#places.keys()) this.stop(id);
    this.#driver.stop?.();
    while (this.#moving.size > 0) await Promise.all(this.#moving);
  }
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
