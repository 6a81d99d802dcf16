/**
 * All ordered state but the entries themselves: the view of managers, the group of replicas, and who decides. Every
 * manager has the same at the same index.
 *
 * V3. A manager out of the view comes back only if it had seen all that could keep it from that (W2, W3 in `presence.ts`)
 *     when it asked for its boot.
 */
import { Agreement, type AgreementState } from './agreement.ts';
import type { Command } from './entry.ts';
import { type Change, Group, type GroupState } from './group.ts';
import { index as toIndex, type Index } from './ids.ts';
import { Managers, type ManagersState } from './managers.ts';

export interface OrderedState {
  readonly group: GroupState;
  readonly managers: ManagersState;
  readonly agreement: AgreementState;
  readonly milestone: Index;
}

/** After these, something may be decided otherwise than a manager out of the view had decided it. */
const DECIDING: ReadonlySet<Command['type']> = new Set(['report', 'decide', 'skip', 'settle']);
const NOTHING: Change = { woken: [], joined: [], left: [] };

export class Membership {
  readonly group: Group;
  readonly managers: Managers = new Managers();
  readonly agreement: Agreement = new Agreement();
  /** The only manager there is decides by itself, always. */
  readonly #alone: boolean;
  /** The last entry that could matter to whoever wants to come back. */
  #milestone = toIndex(-1);

  constructor(faults: number, alone: boolean) {
    this.group = new Group(faults);
    this.#alone = alone;
  }

  apply(at: Index, command: Command): Change {
    if (!this.#fits(command)) return NOTHING;
    const before = this.group.suspicion;
    const change = this.group.apply(at, command);
    const view = this.#changeView(at, command);
    if (this.#alone) return change;
    const { suspicion } = this.group;
    if (suspicion === null) this.agreement.settle();
    else if (before === null || view) this.agreement.begin(at);
    if (command.type === 'report') {
      this.agreement.report(command.manager, command.round, command.decided, this.managers.ids());
    }
    if (DECIDING.has(command.type)) this.#milestone = at;
    return change;
  }

  /** The order may be let go of up to here. */
  marked(at: Index): void {
    this.#milestone = at;
  }

  /** Whether it is about the present: not in the name of a manager that is gone, or against one that is new. */
  #fits(command: Command): boolean {
    const { managers } = this;
    // oxlint-disable-next-line typescript/switch-exhaustiveness-check -- only some can come too late
    switch (command.type) {
      case 'boot':
        return this.#alone || managers.has(command.manager) || command.seen >= this.#milestone;
      case 'dismiss':
        return (
          managers.lives(command.by, command.byBoot) && managers.bootOf(command.manager) === command.boot
        );
      case 'join':
        return this.#alone || managers.has(command.member.manager);
      case 'report':
        return managers.has(command.manager);
      case 'succeed':
        return this.#alone;
      case 'settle':
        return this.#alone || this.agreement.mode === 'ordered';
      default:
        return true;
    }
  }

  #changeView(at: Index, command: Command): boolean {
    if (command.type === 'boot') this.managers.boot(at, command.manager);
    else if (command.type === 'dismiss') this.managers.dismiss(command.manager);
    else return false;
    return true;
  }

  state(): OrderedState {
    const { group, managers, agreement } = this;
    return {
      group: group.state(),
      managers: managers.state(),
      agreement: agreement.state(),
      milestone: this.#milestone,
    };
  }

  restore({ group, managers, agreement, milestone }: OrderedState): void {
    this.group.restore(group);
    this.managers.restore(managers);
    this.agreement.restore(agreement);
    this.#milestone = milestone;
  }
}
