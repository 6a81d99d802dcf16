/**
 * Measured images: what the domains of a group start from, as it was when the group was founded or a deploy was accepted. Each is
 * compared with the disk before a domain starts from it.
 *
 * I1. A domain starts only from what was accepted: `check` is asked after it is wanted and before it is started; or was asked for a
 *     rotation just before, and its answer not used by another start (`Fleet.checkAhead`).
 * I2. A change is reported once, until there is another one or none.
 * I3. What is found of an image that was forgotten is not reported: nothing starts from it any more.
 * I4. When the thread that measures is gone, that is reported once, and whoever asks from then on is refused.
 */
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { copyFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { Worker } from 'node:worker_threads';
import type { ServiceImage } from '../domains/domain.ts';
import { syncBeside } from '../durable.ts';
import { messageOf, SpareError, storageFailed } from '../errors.ts';
import { errorOf, startThread } from '../thread.ts';
import { printable } from '../wire/channel.ts';
import type { FileChange } from './manifest.ts';
import type { Kept, MeasuringAnswer, MeasuringRequest } from './measuring-thread.ts';

const FILE = 'image.json';
/** What was accepted before, while a new version comes up. */
const BEFORE_FILE = `${FILE}.before`;

/** One version of the service: what its domains start from. */
export interface Image {
  readonly number: number;
  readonly variants: readonly ServiceImage[];
  readonly digest: string;
}

/** What is kept besides the manifest. */
interface About {
  /** The service folder when the group was founded: it names the group's data. */
  readonly founded: string;
  readonly variants: readonly ServiceImage[];
}

type Done = Extract<MeasuringAnswer, { type: 'done' }>;
type Asked = MeasuringRequest extends infer R ? (R extends { id: number } ? Omit<R, 'id'> : never) : never;

function describe(named: readonly FileChange[], count: number): string {
  const texts = named.map(({ path, part, what }) => `${printable(path)} (${part}) was ${what}`);
  const more = count > named.length ? `, and ${count - named.length} more` : '';
  return `${texts.join(', ')}${more}`;
}

const HINT =
  'Undo the change, or accept what is there now with `spare deploy`. What is written all the time, such as a log, belongs elsewhere.';

function changed(what: string): SpareError {
  const message = `What the service starts from is not what was accepted: ${what}.`;
  return new SpareError('image-changed', message, { hint: HINT });
}

function unreadable(why: string): SpareError {
  const message = `What the service starts from cannot be read: ${printable(why)}.`;
  return new SpareError('image-unreadable', message, {
    hint: 'Let the user that Spare runs as read it, or rename what is not UTF-8. What is no part of the service belongs elsewhere.',
  });
}

function ended(why: string): SpareError {
  const message = `What the service starts from cannot be compared any more: ${printable(why)}.`;
  return new SpareError('image-unreadable', message, {
    hint: 'No replica can be replaced until Spare is ended and started again.',
  });
}

/** It was there when the image was accepted. */
function gone({ message, hint }: SpareError): SpareError {
  return new SpareError('image-changed', message, { hint });
}

export class Images implements AsyncDisposable {
  readonly #dataFolder: string;
  readonly #log: (line: string) => void;
  readonly #thread: Worker;
  /** Checks that are wanted and have not begun, by image. */
  readonly #waiting = new Map<number, Promise<readonly string[]>>();
  readonly #forgotten = new Set<number>();
  #turn: Promise<unknown> = Promise.resolve();
  readonly #asked = new Map<number, { done: (done: Done) => void; failed: (error: Error) => void }>();
  /** The thread is gone. */
  #failure: SpareError | null = null;
  #nextId = 0;
  #nextImage = 0;
  #founded = '';
  #reported = '';
  /** The image that this was found of. */
  #changed: number | null = null;
  /** A change was found, or is over (null); called once for each. */
  onChange: (error: SpareError | null) => void = () => {};

  constructor(dataFolder: string, log: (line: string) => void) {
    this.#dataFolder = dataFolder;
    this.#log = log;
    this.#thread = startThread(new URL('./measuring-thread.ts', import.meta.url));
    this.#thread.unref();
    this.#thread.on('message', (answer: MeasuringAnswer) => this.#answered(answer));
    this.#thread.on('error', (error: Error) => this.#fail(error));
    this.#thread.on('exit', () => this.#fail(new Error('the measuring thread ended')));
  }

  #fail(error: Error): void {
    if (this.#failure !== null) return;
    this.#failure = ended(error.message);
    for (const { failed } of this.#asked.values()) failed(this.#failure);
    this.#asked.clear();
    this.#report(this.#failure, null);
  }

  #answered(answer: MeasuringAnswer): void {
    if (answer.type === 'progress') {
      const megabytes = (answer.bytes / 1024 ** 2).toFixed(0);
      return this.#log(`measuring  ${answer.files} files, ${megabytes} MiB read`);
    }
    const asked = this.#asked.get(answer.id);
    this.#asked.delete(answer.id);
    if (answer.type === 'done') asked?.done(answer);
    else if (answer.type === 'failed') asked?.failed(errorOf(answer));
    else asked?.failed(changed(describe(answer.named, answer.count)));
  }

  #ask(request: Asked): Promise<Done> {
    const id = this.#nextId++;
    return new Promise((done, failed) => {
      if (this.#failure !== null) return failed(this.#failure);
      this.#asked.set(id, { done, failed });
      this.#thread.ref();
      this.#thread.postMessage({ ...request, id });
    }).finally(() => {
      if (this.#asked.size === 0) this.#thread.unref();
    }) as Promise<Done>;
  }

  get #file(): string {
    return join(this.#dataFolder, FILE);
  }

  get #before(): string {
    return join(this.#dataFolder, BEFORE_FILE);
  }

  /** What was accepted in an earlier run; null when nothing was. Throws `data-folder-damaged`. */
  async load(): Promise<Image | null> {
    if (!existsSync(this.#file)) return null;
    const number = this.#nextImage++;
    const load = this.#ask({ type: 'load', image: number, file: this.#file }).catch((cause: unknown) => {
      const message = `${this.#file} is not what Spare wrote, or cannot be read: ${printable(messageOf(cause))}.`;
      const hint =
        'What is kept is not lost: back the data folder up with `spare backup`, and restore that into a new one.';
      throw new SpareError('data-folder-damaged', message, { hint, cause });
    });
    const { digest, about } = await load;
    const { founded, variants } = about as About;
    this.#founded = founded;
    return { number, variants, digest };
  }

  async #read(type: 'take' | 'check', { number, variants }: Omit<Image, 'digest'>): Promise<Done> {
    try {
      return await this.#ask({ type, image: number, variants, dataFolder: this.#dataFolder });
    } catch (error) {
      throw error instanceof SpareError ? error : unreadable(messageOf(error));
    }
  }

  /** What is on disk for these variants now. Throws `command-not-found`, `image-unreadable`. */
  async measure(variants: readonly ServiceImage[]): Promise<Image> {
    const number = this.#nextImage++;
    const { digest } = await this.#read('take', { number, variants });
    return { number, variants, digest };
  }

  /** From now on, also after a restart, the group starts from this. Throws `storage-failed`. */
  async accept({ number, variants }: Image): Promise<void> {
    const [first] = variants;
    if (this.#founded === '') this.#founded = first?.folder ?? '';
    const about: About = { founded: this.#founded, variants };
    await this.#inDataFolder(async () => {
      await this.#ask({ type: 'keep', image: number, file: this.#file, about });
    });
  }

  /** Accepts it in place of what is accepted, which can be taken back until `settle`. Throws `storage-failed`. */
  async replace(image: Image): Promise<void> {
    await this.#inDataFolder(async () => {
      await copyFile(this.#file, this.#before);
      await syncBeside(this.#before);
    });
    await this.accept(image);
  }

  /** What was replaced is accepted again. It needs no room: the disk may be full of the new version. Throws `storage-failed`. */
  async takeBack(): Promise<void> {
    await this.#inDataFolder(async () => {
      await rename(this.#before, this.#file);
      await syncBeside(this.#dataFolder);
    });
  }

  /** Nothing is taken back any more. */
  settle(): void {
    rmSync(this.#before, { force: true });
  }

  async #inDataFolder(action: () => Promise<void>): Promise<void> {
    await action().catch((error: unknown) => {
      throw storageFailed(this.#file, messageOf(error));
    });
  }

  async forget({ number }: Image): Promise<void> {
    this.#forgotten.add(number);
    await this.#ask({ type: 'forget', image: number });
    if (number === this.#changed) this.#reported = '';
  }

  /** The folder that the group's data is named after, if what was accepted lies in `folder`. */
  foundedAs(accepted: Image | null, folder: string): string {
    return accepted?.variants.some((variant) => variant.folder === folder) === true ? this.#founded : folder;
  }

  /**
   * Answers what lies there and is no part of the image, as absolute paths. Throws `image-changed`, `image-unreadable`. Whoever
   * asks before a check has begun shares it.
   */
  check(image: Image): Promise<readonly string[]> {
    const waiting = this.#waiting.get(image.number);
    if (waiting !== undefined) return waiting;
    const check = this.#turn.then(() => this.#check(image));
    this.#waiting.set(image.number, check);
    this.#turn = check.catch(() => {});
    return check;
  }

  async #check(image: Image): Promise<readonly string[]> {
    this.#waiting.delete(image.number);
    try {
      if (this.#forgotten.has(image.number)) throw changed('another version has taken its place');
      const { leftOut } = await this.#read('check', image);
      this.#report(null, image.number);
      return leftOut;
    } catch (thrown) {
      const found = thrown as SpareError;
      const error = found.code === 'command-not-found' ? gone(found) : found;
      this.#report(error, image.number);
      throw error;
    }
  }

  #report(error: SpareError | null, image: number | null): void {
    if (image !== null && this.#forgotten.has(image)) return;
    // During a deploy two are compared: that one of them is as it was ends no change of the other.
    if (error === null && image !== this.#changed) return;
    const text = error?.message ?? '';
    if (text === this.#reported) return;
    this.#reported = text;
    this.#changed = image;
    this.onChange(error);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.onChange = () => {};
    await this.#thread.terminate();
  }
}

/** What was left of what was to be accepted, or taken back, when all ended. */
export function removeUnsettled(dataFolder: string): void {
  for (const name of [`${FILE}.new`, BEFORE_FILE]) rmSync(join(dataFolder, name), { force: true });
}

/** Whether a file that is made in `folder`, a real path, changes what a group with this data starts from. */
export function isMeasured(dataFolder: string, folder: string): boolean {
  try {
    const { entries } = JSON.parse(readFileSync(join(dataFolder, FILE), 'utf8')) as Kept;
    return entries.some(([path]) => path === folder);
  } catch {
    // No group was started with it yet; or none will be, until what is damaged there is repaired.
    return false;
  }
}

/** Throws `image-changed` when the configuration says something else than what was accepted. */
export function sameVariants(accepted: Image, variants: readonly ServiceImage[]): void {
  const text = (all: readonly ServiceImage[]): string =>
    JSON.stringify(
      all.map(({ folder, command, env, state, oci, include }) => [folder, command, env, state, oci, include]),
    );
  if (text(accepted.variants) === text(variants)) return;
  throw changed('the configuration names another folder, command, environment or image, or other variants');
}
