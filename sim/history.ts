/**
 * What clients were told, and when: compared in the end with what was decided, and with the order of their own times.
 */
import type { Call } from './clients.ts';
import type { Decisions } from './decisions.ts';
import { promise } from './violation.ts';

export class History {
  readonly #told: Call[] = [];
  /** Of these: what may have been decided otherwise without all that knew it. */
  readonly #inDoubt = new Set<Call>();
  /** What was decided from here on was decided anew. */
  #reopened = Infinity;

  /** `takesPart`: the manager that said it, as far as all know; `isKnown`: to one that takes part, or it does itself. */
  told(call: Call, takesPart: boolean, isKnown: boolean): void {
    if (call.outcome === 'unknown') return;
    // Enough managers knew it, more than f of them were taken for dead since, and this one has not seen that yet.
    if (!takesPart && (answeredOf(call) ?? -1) >= this.#reopened) return;
    this.#told.push(call);
    if (!isKnown) this.#inDoubt.add(call);
  }

  /** What was told of entries from here on, all that knew it are gone with. */
  forget(from: number): void {
    this.#reopened = Math.min(this.#reopened, from);
    const kept = this.#told.filter((call) => (call.to ?? -1) < from && (answeredOf(call) ?? -1) < from);
    this.#told.splice(0, this.#told.length, ...kept);
  }

  /** Somebody was told of this entry, or of a later one. */
  answered(index: number): boolean {
    return this.#told.some(({ to }) => to !== null && to >= index);
  }

  /** Once all is quiet. */
  check(decisions: Decisions): void {
    const counted = this.#told.filter((call) => !this.#isExcused(decisions, call));
    for (const call of counted) this.#checkAnswer(decisions, call);
    this.#checkRealTime(counted);
  }

  /** More than f managers were taken for dead before this one saw that, and chance decided otherwise without them. */
  #isExcused(decisions: Decisions, call: Call): boolean {
    if (decisions.certain || !this.#inDoubt.has(call)) return false;
    const of = answeredOf(call);
    const decided = of === null ? undefined : decisions.of(of)?.vote?.reply;
    return decided !== call.outcome?.split(' ')[3];
  }

  /** What a client was told is what was decided, then and for ever. */
  #checkAnswer(decisions: Decisions, call: Call): void {
    const { to, outcome } = call;
    const of = answeredOf(call);
    const decision = of === null ? undefined : decisions.of(of);
    promise(decision !== undefined, 'P2', () => `entry ${of} was answered ${outcome}, and is not decided`);
    const used = to === null ? null : decisions.used(to);
    promise(
      used === null || outcome === toldOf(decisions, used),
      'P2',
      () => `entry ${to} carries a used key, and is answered ${outcome}`,
    );
    const said = outcome?.split(' ')[3] ?? '';
    if (outcome?.startsWith('skipped') === true) {
      promise(decision.vote === null, 'P2', () => `entry ${of} was answered ${outcome}, and has an effect`);
    } else if (said !== '') {
      promise(
        decision.vote?.reply === said,
        'P2',
        () => `entry ${of} was answered ${said}, and is decided otherwise`,
      );
    }
  }

  /** Linearizability: the order is that of the replies; so no call may come before one that ended before it began. */
  #checkRealTime(counted: readonly Call[]): void {
    const calls = counted.flatMap((call) => (call.to === null ? [] : [call]));
    calls.sort((a, b) => (b.to ?? 0) - (a.to ?? 0));
    let earliest = Infinity;
    for (const { to, from, at } of calls) {
      promise(
        earliest >= from,
        'P3',
        () => `entry ${to} comes before one that was answered before it was asked`,
      );
      earliest = Math.min(earliest, at ?? Infinity);
    }
  }
}

/** What who used a key again must be told. */
function toldOf({ keys }: Decisions, used: number | 'reused'): string {
  if (used === 'reused') return 'key-reused';
  const reason = keys.reason(used);
  return reason === null ? `reply of ${used} ` : `skipped ${reason}`;
}

/** The entry whose result a client was told: where its key was used before, that of the first one. */
export function answeredOf({ to, outcome }: Call): number | null {
  return outcome?.startsWith('reply of ') === true ? Number(outcome.split(' ')[2]) : to;
}
