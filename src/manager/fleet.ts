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
import { fullDisk } from '../room.ts';
import { printable, printableLines } from '../wire/channel.ts';
import { withLastWords } from './last-words.ts';
import { type Heard, Link } from './link.ts';
import type { Deployment } from './deployment.ts';
import { openingOf, type OpeningOptions, type StartEntry } from './opening.ts';
import type { ManagerOptions, Version } from './options.ts';
import { freePort, SERVICE_PORT } from './port.ts';
import type { Verified } from './verified.ts';

export type FleetOptions = OpeningOptions & Pick<ManagerOptions, 'dataFolder' | 'limits' | 'log'>;

export interface FleetHandlers {
  readonly onAnswer: (id: string, answer: Heard) => void;
  readonly onDown: (id: string, kind: 'crash' | 'protocol') => void;
  /** A replica that is not of a new version may not start: what it would start from is not what was accepted, or built from it. */
  readonly onRefused: (error: SpareError) => void;
  /** The image of machines is not what was built from what was accepted; told once, until a replica starts from it again. */
  readonly onImageDamaged: (error: SpareError) => void;
  /** The disk of the data folder is full, and a replica that is not of a new version could not be started. */
  readonly onNoRoom: (error: SpareError) => void;
}

/** What a replica runs, by the core's numbers, and whether what its start writes may count. */
type What = Pick<Extract<Effect, { type: 'start' }>, 'variant' | 'version' | 'founds'>;

/** For so long a check that was made for a rotation holds for the next replica that starts: the clean one, or who replaces one lost just then. */
const AHEAD_MS = 5000;
/** What is to be started is not what was accepted, or built from it. */
const REFUSALS: ReadonlySet<string> = new Set(['image-changed', 'image-unreadable', 'image-damaged']);

/** After so many starts on the present state in a row that came to nothing, copies of a version start on the initial one, for a while. */
const FAILED_MAX = 2;
/** Clients may have changed what it did not start on: so long after a failed start one tries the present state again. */
const PRESENT_AGAIN_MS = 3_600_000;
/** Of the time that it has to start it is behind all others for so much at most: on a busy host nothing comes of that. */
const BEHIND_SHARE = 1 / 4;
/** How often one is started at most, unless others start on the present state meanwhile. */
export const STARTS_MAX: number = FAILED_MAX + 1;

interface Place {
  readonly what: What;
  readonly entry: StartEntry;
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
  /** What it owes its first answer to, and since when, by the manager's clock; null where it is not asked, or has answered. */
  owed: { sinceMs: number | null; readonly opening: Opening } | null;
  /** Its service is to start on the state that the group has now, not on that it began with, and has not. */
  onPresent: boolean;
  /** The entry after which that state was; null where it is not known, or was asked for. */
  startedOn: number | null;
  /** As it said itself: what its service read at its start has changed. */
  outdated: boolean;
}

export class Fleet {
  readonly #options: FleetOptions;
  readonly #driver: Driver;
  readonly #deployment: Deployment;
  readonly #verified: Verified;
  readonly #handlers: FleetHandlers;
  readonly #places = new Map<string, Place>();
  /** Domains on their way up or down: `close` waits for them. */
  readonly #moving = new Set<Promise<void>>();
  /** Told of: what else is found while they are repaired, such as a file that is gone, is no news. */
  readonly #damaged = new Set<ServiceImage>();
  /** A replica that started from it was outdated, and none was started from it since. */
  readonly #outdated = new Set<ServiceImage>();
  /** By version: how many starts on the present state failed since one worked, and when and of what the last one did. */
  readonly #failed = new Map<
    number,
    { readonly count: number; readonly atMs: number; readonly cause: object }
  >();
  /** A check that was made for a rotation, and no start has used. */
  #ahead: {
    readonly version: Version;
    readonly leftOut: readonly string[];
    readonly untilMs: number;
  } | null = null;

  constructor(
    options: FleetOptions,
    driver: Driver,
    deployment: Deployment,
    verified: Verified,
    handlers: FleetHandlers,
  ) {
    this.#deployment = deployment;
    this.#options = options;
    this.#driver = driver;
    this.#verified = verified;
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

  /** Whether what its service read at its start has changed, as far as it says so, and a clean one would read what there is now. */
  isOutdated(id: string): boolean {
    const place = this.#places.get(id);
    return place?.outdated === true && this.#startsOnPresent(place.what);
  }

  #startsOnPresent({ version }: What): boolean {
    const failed = this.#failed.get(version);
    if (failed === undefined || failed.count < FAILED_MAX) return true;
    return performance.now() - failed.atMs > PRESENT_AGAIN_MS;
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
    return this.#deployment.isNew(this.#places.get(id)?.what.version ?? 0);
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

  /** The entry on whose state the service of this replica was started, if it needs only what came later; once. */
  takeStartedOn(id: string): number | null {
    const place = this.#places.get(id);
    const startedOn = place?.startedOn ?? null;
    if (place !== undefined) place.startedOn = null;
    return startedOn;
  }

  start(id: string, what: What, entry: StartEntry): void {
    const place: Place = {
      what,
      entry,
      link: null,
      startedAt: performance.now(),
      stopped: false,
      whenStopped: Promise.withResolvers(),
      why: '',
      refused: false,
      behind: true,
      owed: null,
      onPresent: !what.founds && this.#startsOnPresent(what),
      startedOn: null,
      outdated: false,
    };
    this.#places.set(id, place);
    this.#bringUp(id, place);
  }

  #bringUp(id: string, place: Place): void {
    this.#track(this.#connectNew(id, place).catch((error: unknown) => this.#notUp(id, place, error)));
  }

  #notUp(id: string, place: Place, thrown: unknown): void {
    if (place.stopped) return;
    const error = roomOrOther(this.#options.dataFolder, thrown);
    place.why = messageOf(error);
    if (error instanceof SpareError) {
      const { code } = error;
      if (code === 'storage-failed' && !this.isNew(id)) return this.#handlers.onNoRoom(error);
      if (code === 'service-start-failed' && this.#mayStartAgain(id, place))
        return this.#startAgain(id, place, error);
      place.refused = REFUSALS.has(code);
      if (place.refused && !this.isNew(id)) this.#handlers.onRefused(error);
    }
    this.#handlers.onDown(id, 'crash');
  }

  /** A new version must start on what the old one leaves: it never did on the initial state. */
  #mayStartAgain(id: string, { onPresent }: Place): boolean {
    return onPresent && !this.isNew(id);
  }

  /**
   * What clients have made of the state may be what a service does not start on. Where it looks like that, then on what it did start on;
   * but who was merely killed, or starved, starts on the present state, or would know only what is old. `cause`: the same one for
   * machines that were to be made from one, which did not start.
   */
  #startAgain(id: string, place: Place, cause: object): void {
    // It has its state on that disk, and so failed of that: nobody could be started there.
    const full = fullDisk(this.#options.dataFolder);
    if (full !== null) return this.#handlers.onNoRoom(full);
    const { version } = place.what;
    const before = this.#failed.get(version);
    const count = (before?.count ?? 0) + (before?.cause === cause ? 0 : 1);
    this.#failed.set(version, { count, atMs: performance.now(), cause });
    place.onPresent = count < FAILED_MAX;
    const state = place.onPresent ? 'present' : 'initial';
    const told = `start      ${id} starts once more, on the ${state} state: ${this.why(id)}`;
    for (const line of withLastWords(told, this.console(id)).split('\n')) this.#options.log(line);
    const { link } = place;
    place.link = null;
    place.behind = true;
    place.owed = null;
    place.startedOn = null;
    const again = (): void => {
      if (!place.stopped) this.#bringUp(id, place);
    };
    if (link === null) again();
    else this.#track(link.destroy().then(again));
  }

  async #connectNew(id: string, place: Place): Promise<void> {
    const { dataFolder, limits } = this.#options;
    const { entry, onPresent } = place;
    const { variant, founds } = place.what;
    const version = this.#deployment.version(place.what.version);
    const image = version?.variants[variant];
    if (version === undefined || image === undefined) throw new Error(`there is no variant ${variant}`);
    // Nothing is there yet that must be ended, and who closes may not wait for a disk that does not answer.
    const leftOut =
      this.#takeAhead(version) ?? (await Promise.race([version.check(), place.whenStopped.promise]));
    if (leftOut === null || place.stopped) return;
    const directory = join(dataFolder, DOMAINS_FOLDER, id);
    // In a data folder that is gone: a new one would get what the store, in the old one, is told that it has.
    mkdirSync(directory);
    const port = this.#driver.privateNetwork ? SERVICE_PORT : await freePort();
    const tell = (percent: number): void => this.tellLoaded(id, percent);
    const opened = { version, image, port, entry, founds, onPresent };
    const opening = openingOf(opened, this.#options, this.#verified, tell);
    const renew = this.#outdated.delete(image);
    const starting = this.#driver.start({ id, image, limits, directory, opening, renew, leftOut });
    starting.catch((error: unknown) => this.#reportDamage(image, error));
    const domain = await starting;
    this.#damaged.delete(image);
    if (place.stopped) return await domain.destroy();
    place.link = this.#connect(id, place, image, domain);
    if (domain.opened) return;
    place.owed = { sinceMs: null, opening };
    place.link.stream(async (write) => {
      const startedOn = await opening.send(write);
      // Nobody knows what is in one that says that it has started before it could.
      if (place.onPresent) place.startedOn = startedOn;
    });
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

  #connect(id: string, place: Place, image: ServiceImage, domain: Domain): Link {
    return new Link(domain, this.#options.frameBytesMax, {
      onAnswer: (answer) => {
        this.#prioritize(place);
        place.owed = null;
        if (place.onPresent) this.#failed.delete(place.what.version);
        place.onPresent = false;
        if (answer.type === 'digest') {
          place.outdated = answer.outdated;
          if (answer.outdated) this.#outdated.add(image);
        }
        this.#handlers.onAnswer(id, answer);
      },
      onDown: (kind, why) => {
        place.why = why;
        if (kind === 'crash' && this.#mayStartAgain(id, place)) return this.#startAgain(id, place, {});
        this.#handlers.onDown(id, kind);
      },
    });
  }

  /** Hurries who is to start, and gives up who says nothing. `now`: of a clock that leaves out when the manager stood still. */
  clock(now: number): void {
    for (const place of this.#places.values()) {
      const { link, owed } = place;
      if (link === null || owed === null) continue;
      owed.sinceMs ??= now;
      const { timeoutMs } = owed.opening;
      const passedMs = now - owed.sinceMs;
      if (passedMs > BEHIND_SHARE * timeoutMs) this.#prioritize(place);
      if (passedMs > timeoutMs) link.giveUp(`it said nothing for ${Math.round(timeoutMs / 1000)} s`);
    }
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
