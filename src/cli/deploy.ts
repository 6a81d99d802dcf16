/**
 * `spare deploy`: what is on disk, and what the configuration says now, is what the group runs from here on.
 *
 * Z1. Accepted before the first replica of it starts, and no longer accepted when it did not take over: a restart meanwhile
 *     runs what was asked for, however the group ended.
 * Z2. One at a time: what a second one takes back would be what the first one accepted.
 * Z3. Of what is asked for nothing is ignored: what it cannot change is refused, or named when a start can.
 */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { readAccess } from '../admin/access.ts';
import { STORE_FILE } from '../data-folder.ts';
import { findExecutable, locate } from '../domains/process/executable.ts';
import type { ServiceImage } from '../domains/domain.ts';
import { messageOf, SpareError } from '../errors.ts';
import { type Image, Images } from '../images/images.ts';
import { deployUnderWay } from '../manager/deployment.ts';
import type { Manager } from '../manager/manager.ts';
import type { Version } from '../manager/options.ts';
import { Store } from '../ordering/store.ts';
import type { Config } from './config.ts';
import { unlessAborted } from './interruption.ts';
import { serviceName } from './service-name.ts';
import type { Settings } from './settings.ts';

export interface Deployed {
  /** Digest of all that replicas start from now. */
  readonly image: string;
  /** False: it is what runs already. */
  readonly changed: boolean;
  readonly seconds: number;
  /** Keys of the configuration that have changed since the start, and take effect at the next one. */
  readonly atStart: readonly string[];
}

/** What each variant is started from. */
export function variantsOf({ folder, state, variants, oci, include }: Settings): ServiceImage[] {
  return variants.map(({ command, env }) => ({ folder, command, env, state, oci, include }));
}

/** Throws `command-not-found`. */
export function checkCommands({ variants, folder, oci, hook }: Settings): void {
  const [teller] = hook.command;
  if (teller !== undefined)
    locate(teller, hook.folder, process.env['PATH'] ?? '', 'to tell of incidents with (`onIncident`)');
  if (oci !== undefined) return;
  for (const { command } of variants) {
    findExecutable(command[0] ?? '', folder, process.env['PATH'] ?? '', []);
  }
}

export function versionOf(images: Images, image: Image): Version {
  return { variants: image.variants, digest: image.digest, check: () => images.check(image) };
}

/** What a group has for its life, or its replicas are made for. */
const FIXED = new Set(['faults', 'data', 'state', 'hypervisor']);

/** All that a deploy leaves as it is, by its key in the configuration. */
function left(settings: Settings): [key: string, value: string][] {
  const { faults, data, state, hypervisor, suspension, listen, admin, recovery, hook } = settings;
  const limits = Object.entries(settings.limits).map(([name, value]) => [`limits.${name}`, value] as const);
  const all = { faults, data, state, hypervisor, suspension, listen, admin, recovery };
  const others = { onIncident: hook, ...Object.fromEntries(limits) };
  return Object.entries({ ...all, ...others }).map(([key, value]) => [key, JSON.stringify(value)]);
}

/** Answers what takes effect at the next start. Throws `deploy-refused` for what cannot be changed at all. */
function changedKeys(before: Settings, now: Settings): string[] {
  const known = new Map(left(before));
  const changed = left(now).flatMap(([key, value]) => (known.get(key) === value ? [] : [key]));
  const refused = changed.filter((key) => FIXED.has(key));
  if (refused.length === 0) return changed;
  const names = refused.map((key) => `\`${key}\``).join(', ');
  const message = `The configuration has changed in what a deploy cannot change: ${names}.`;
  throw new SpareError('deploy-refused', message, { hint: 'Undo that, or end the group and start it anew.' });
}

function isSameFile(a: string, b: string): boolean {
  const [one, other] = [a, b].map((path) => statSync(path, { throwIfNoEntry: false }));
  return one?.ino === other?.ino && one?.dev === other?.dev;
}

/**
 * Throws `deploy-refused` when another configuration, if it is there, or flags are to count: the group that runs with `data`
 * reads what it was started with. `file`: null where none is meant.
 */
export function refuseOthers(data: string, file: string | null, flags: Config): void {
  const own = readAccess(data)?.config;
  if (file !== null && own !== undefined && existsSync(file) && !isSameFile(file, own)) {
    throw new SpareError('deploy-refused', `A deploy reads ${own}, as the group was started, not ${file}.`, {
      hint: 'Change what it says there, or end the group, deploy what is wanted, and start it anew with that.',
    });
  }
  const others = Object.keys(flags).filter((key) => key !== 'data');
  const names = others.map((key) => (key === 'command' ? 'the command behind --' : `--${key}`));
  if (names.length === 0) return;
  const message = `A deploy cannot change what the group was started with: ${names.join(', ')}.`;
  throw new SpareError('deploy-refused', message, {
    hint: 'Put it into the configuration that the group was started with, or end the group and start it anew.',
  });
}

function notAccepted(): SpareError {
  return new SpareError('admin-failed', 'The group ended before the new version was accepted.', {
    hint: 'What was accepted before still is. `spare deploy` also accepts a version for the next start, where no group runs.',
  });
}

export class Deploys {
  readonly #images: Images;
  readonly #settings: Settings;
  readonly #log: (line: string) => void;
  #current: Image;
  #underWay = false;

  /** `settings`: with which the group was started. */
  constructor(images: Images, image: Image, settings: Settings, log: (line: string) => void) {
    this.#images = images;
    this.#current = image;
    this.#settings = settings;
    this.#log = log;
  }

  /** `settings`: as they are read now. Throws a `SpareError`; then the group is as it was. */
  async deploy(manager: Manager, settings: Settings): Promise<Deployed> {
    const atStart = changedKeys(this.#settings, settings);
    checkCommands(settings);
    if (this.#underWay) throw deployUnderWay();
    this.#underWay = true;
    try {
      return { ...(await this.#takeOver(manager, settings)), atStart };
    } finally {
      this.#underWay = false;
    }
  }

  /** What is there now, and there is room for. Null: it is what runs. */
  async #measure(manager: Manager, settings: Settings): Promise<Image | null> {
    const next = await this.#images.measure(variantsOf(settings));
    await using undo = new AsyncDisposableStack();
    undo.defer(() => this.#images.forget(next));
    if (isSame(this.#current, next)) {
      // Replicas may have been refused for a change that was undone: they are not refused any more.
      await this.#images.check(this.#current);
      return null;
    }
    await manager.checkRoom();
    undo.move();
    return next;
  }

  async #takeOver(manager: Manager, settings: Settings): Promise<Omit<Deployed, 'atStart'>> {
    const measuring = unlessAborted(manager.ending, this.#measure(manager, settings));
    const next = await measuring.catch((error: unknown) => {
      throw manager.ended ? notAccepted() : error;
    });
    const before = this.#current;
    if (next === null) return { image: before.digest, changed: false, seconds: 0 };
    this.#log(`deploying  image ${next.digest.slice(0, 12)}`);
    await this.#images.replace(next);
    let seconds: number;
    try {
      seconds = await manager.deploy(versionOf(this.#images, next));
    } catch (error) {
      // What was asked for is what the next start is from.
      if (manager.ended) throw error;
      const [why = ''] = messageOf(error).split('\n', 1);
      this.#log(`refused    image ${next.digest.slice(0, 12)}: ${why}`);
      await this.#images.takeBack();
      await this.#images.forget(next);
      throw error;
    }
    this.#images.settle();
    this.#current = next;
    await this.#images.forget(before);
    this.#log(`deployed   image ${next.digest.slice(0, 12)}, after ${seconds.toFixed(1)} s`);
    return { image: next.digest, changed: true, seconds };
  }
}

function isSame(a: Image, b: Image): boolean {
  return a.digest === b.digest && JSON.stringify(a.variants) === JSON.stringify(b.variants);
}

/**
 * Accepts for the next start what is there now, where a group has run and none does; resolves with its digest. Throws
 * `data-folder-foreign` where that would not start with this data, and `data-folder-in-use` while a group starts.
 */
export async function acceptForNextStart(settings: Settings, log: (line: string) => void): Promise<string> {
  checkCommands(settings);
  await using images = new Images(settings.data, log);
  const before = await images.load();
  const next = await images.measure(variantsOf(settings));
  const founded = before === null ? settings.folder : images.foundedAs(next, settings.folder);
  await using stores = new AsyncDisposableStack();
  const { store } = await Store.open(join(settings.data, STORE_FILE), serviceName(settings, founded));
  stores.defer(() => store.close());
  if (before === null || !isSame(before, next)) await images.accept(next);
  return next.digest;
}
