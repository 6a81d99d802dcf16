/**
 * Writes up incidents: the list at once, then, beside the manager's loop, the folder with what proves it, the comparison
 * of the votes, and the call of who is to be told.
 *
 * V1. Nothing here holds up the loop, or grows without a limit: what cannot be done in time is left out, and said so.
 * V2. Votes are compared, and who is to be told is told, also of what happens just before the end: within seconds of it, or else in
 *     the next life, as after a kill, if the folder is there then. So somebody may be told twice, but not never without a word.
 */
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { messageOf } from '../errors.ts';
import { compareVotes } from './compare/tool.ts';
import { CASE_FILE, type Exhibit, exhibitsOf, type Finds, PART_FILE } from './exhibits.ts';
import { EVIDENCE_FOLDER, Folders } from './folders.ts';
import { callWebhook, type HookOptions, runCommand } from './hook.ts';
import { type Incident, Incidents, INCIDENTS_FILE } from './incidents.ts';
import { type CaseView, readCase } from './read.ts';
import { noScratch, type Scratch, Scratches } from './scratch.ts';
import { Serial } from './serial.ts';

const LIMITS = { folders: 200, bytes: 512 * 1024 ** 2 };
const SCRATCH_FOLDER = 'comparing';
const WAITING_MAX = 100;
/** The folder may not have been kept, or be one of a first start that failed, of which nothing stays. */
const LATER = 'the next start does it if the folder of the incident is there';
/** Right after a fault all processors are wanted for masking and repairing it. */
const COMPARE_AFTER_MS = 2000;
/** Once all ends: for comparing, and then for telling. */
const LAST_MS = 2000;
/** Of one incident: kept however little room there is. As many as have a folder take less than the group leaves for evidence. */
const LITTLE_BYTES = 256 * 1024;
/** What may wait to be written. */
const UNWRITTEN_BYTES_MAX = 256 * 1024 ** 2;

export class Evidence {
  readonly incidents: Incidents;
  readonly #folders: Folders;
  readonly #hook: HookOptions;
  readonly #log: (line: string) => void;
  readonly #room: () => number;
  readonly #scratches: Scratches;
  readonly #keeping: Serial;
  readonly #comparing: Serial;
  readonly #telling: Serial;
  readonly #ending = new AbortController();
  #unwritten = 0;

  /** `log`: one line for the operator. `room`: how many bytes the group can spare on its disk. */
  constructor(dataFolder: string, hook: HookOptions, log: (line: string) => void, room: () => number) {
    this.#folders = new Folders(join(dataFolder, EVIDENCE_FOLDER), LIMITS);
    this.incidents = new Incidents(join(dataFolder, INCIDENTS_FILE), this.#folders.latest());
    this.#hook = hook;
    this.#log = log;
    this.#room = room;
    const serial = (): Serial => new Serial(WAITING_MAX, (message) => log(`evidence   ${message}`));
    this.#keeping = serial();
    this.#comparing = serial();
    this.#telling = serial();
    const beside = (): number => room() - this.#unwritten;
    this.#scratches = new Scratches(join(dataFolder, SCRATCH_FOLDER), this.#comparing.cut, beside);
    for (const id of this.#folders.pending())
      this.#follow(id, this.#folders.differs(id), noScratch('all ended before it was compared'));
  }

  add(found: Omit<Incident, 'id'>, finds: Finds): Incident {
    const incident = this.incidents.add(found);
    const exhibits = this.#exhibits(incident, finds);
    const bytes = size(exhibits);
    const scratch = has(exhibits, /^update-/) ? this.#scratches.take(finds.stateBefore) : noScratch('');
    this.#unwritten += bytes;
    const kept = this.#add(this.#keeping, incident.id, async () => {
      let isKept = false;
      try {
        await this.#folders.keep(incident.id, exhibits);
        isKept = true;
      } finally {
        this.#unwritten -= bytes;
        this.#follow(incident.id, isKept && has(exhibits, PART_FILE), scratch);
      }
    });
    if (kept) return incident;
    this.#unwritten -= bytes;
    this.#log(`evidence   incident ${incident.id}: too many at once, nothing but its line is kept`);
    this.#follow(incident.id, false, scratch);
    return incident;
  }

  /** What fails is told with the incident. */
  #add(serial: Serial, id: number, work: () => Promise<void>): boolean {
    const failed = (error: unknown): never => {
      throw new Error(`incident ${id}: ${messageOf(error)}`, { cause: error });
    };
    return serial.add(() => work().catch(failed));
  }

  /** As far as there is room for them. */
  #exhibits(incident: Incident, finds: Finds): readonly Exhibit[] {
    const exhibits = exhibitsOf(incident, finds);
    const bytes = size(exhibits);
    const unwritten = this.#unwritten + bytes;
    if (unwritten <= UNWRITTEN_BYTES_MAX && (bytes <= LITTLE_BYTES || unwritten <= this.#room()))
      return exhibits;
    this.#log(`evidence   incident ${incident.id}: no room for what differs, only who voted what is kept`);
    return exhibitsOf(incident, { ...finds, bytes: () => null }).filter(({ file }) => file === CASE_FILE);
  }

  /** Who is told gets to know where votes differ. */
  #follow(id: number, differs: boolean, scratch: Scratch): void {
    const fromMs = performance.now() + COMPARE_AFTER_MS;
    const added = differs && this.#add(this.#comparing, id, () => this.#compare(id, scratch, fromMs));
    if (added) return;
    void this.#scratches.give(scratch);
    this.#tell(id, !differs);
  }

  async #compare(id: number, scratch: Scratch, fromMs: number): Promise<void> {
    const { signal } = this.#ending;
    const { cut } = this.#comparing;
    try {
      // Ended by the end of all: then nothing is repaired any more.
      await delay(Math.max(0, fromMs - performance.now()), undefined, { signal }).catch(() => {});
      await compareVotes(this.#folders.path(id), await scratch.filled, cut);
    } finally {
      await this.#scratches.give(scratch);
      this.#tell(id, !cut.aborted);
    }
  }

  /** `isCompared`: as far as it could be. */
  #tell(id: number, isCompared: boolean): void {
    const { command, webhook } = this.#hook;
    const about = (message: string): void => this.#log(`hook       incident ${id}: ${message}`);
    const { cut } = this.#telling;
    const added = this.#add(this.#telling, id, async () => {
      const found = await this.read(id);
      if (found === null) {
        await this.#folders.settle(id);
        throw new Error('nobody is told, for all of it was lost with the power');
      }
      const json = JSON.stringify(found);
      const calls = [
        ...(command.length > 0
          ? [runCommand(this.#hook, { id, evidence: this.#folders.path(id), json }, cut)]
          : []),
        ...(webhook !== null ? [callWebhook(webhook, json, cut)] : []),
      ];
      const failed = (await Promise.allSettled(calls)).filter((result) => result.status === 'rejected');
      if (failed.length > 0 && cut.aborted) return about(`not told, because all ends; ${LATER}`);
      for (const { reason } of failed) about((reason as Error).message);
      if (isCompared) await this.#folders.settle(id);
    });
    if (!added && (command.length > 0 || webhook !== null)) about(`not told, too many at once; ${LATER}`);
  }

  /** Null when there is no such incident (any more). */
  read(id: number): Promise<CaseView | null> {
    return readCase(this.#folders.path(id), this.incidents.latest(), id);
  }

  /** What is known is kept. Comparing and telling take some seconds, or none if `atOnce` is aborted. */
  async close(atOnce: AbortSignal): Promise<void> {
    this.#ending.abort();
    await this.#keeping.end(new AbortController().signal);
    for (const serial of [this.#comparing, this.#telling])
      await serial.end(AbortSignal.any([atOnce, AbortSignal.timeout(LAST_MS)]));
  }
}

function has(exhibits: readonly Exhibit[], name: RegExp): boolean {
  return exhibits.some(({ file }) => name.test(file));
}

function size(exhibits: readonly Exhibit[]): number {
  return exhibits.reduce((sum, { bytes }) => sum + bytes.length, 0);
}
