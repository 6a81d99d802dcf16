/**
 * Boots a machine to save it: its guest, the agent in that with the service, and a while of practice, so that what goes on from
 * there is quick.
 */
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';

import { messageOf, SpareError } from '../../errors.ts';
import type { DomainLimits, Opening } from '../domain.ts';
import { goBehind } from '../process/priority.ts';
import { type Hypervisor, takeMachineOwner } from './accelerator.ts';
import { type BootFiles, Machine, type MachineOrigin, type MachineStart } from './machine.ts';

export interface BootOptions {
  readonly hypervisor: Hypervisor;
  readonly limits: DomainLimits;
  /** What it is sent, and has answered, before it is saved: so clones come with their service already started. */
  readonly opening: Opening | undefined;
  /** Lets those that serve go first. */
  readonly behind: boolean;
  /** Ends the machine that is being booted. */
  readonly signal: AbortSignal;
}

export interface Saved {
  /** Of the machine's devices. */
  readonly state: Buffer;
  readonly answer: Buffer | undefined;
}

const BOOT_MS_MAX = 120_000;
/** Until then the agent's engine compiles what an order runs through, which takes longer than the order. */
const REHEARSALS = 1000;
/** Where the state is large, or all is slow, fewer must do. */
const REHEARSAL_MS_MAX = 10_000;
/** How long a guest that is ready may go on before it is taken as it is. */
const SETTLE_MS_MAX = 5000;
const CONSOLE_LINES = 3;
const HINT = 'If the message does not say why, try the command by itself.';

export function start(
  { hypervisor, limits }: BootOptions,
  what: MachineOrigin & Pick<MachineStart, 'owner' | 'ends' | 'console'>,
): Machine {
  const { program, box, accelerator } = hypervisor;
  return new Machine({ program, box, accelerator, limits, ...what });
}

/** Boots a machine and saves it; it has ended then. */
export async function boot(options: BootOptions, files: BootFiles): Promise<Saved> {
  using held = new DisposableStack();
  const owner = held.adopt(takeMachineOwner(), (taken) => taken?.release());
  const machine = start(options, { start: 'boot', files, owner });
  const kill = (): void => machine.kill();
  if (options.signal.aborted) kill();
  options.signal.addEventListener('abort', kill);
  try {
    await machine.open();
    if (options.behind) goBehind(machine.pid);
    await machine.run();
    await machine.wake('ready', BOOT_MS_MAX);
    const answer = options.opening === undefined ? undefined : await openOrFail(machine, options.opening);
    await Promise.race([machine.control.heard('idle'), machine.exited, delay(SETTLE_MS_MAX)]);
    await machine.stop();
    return { state: await machine.save(), answer };
  } catch (error) {
    throw await startFailure(machine, error);
  } finally {
    options.signal.removeEventListener('abort', kill);
    machine.kill();
    await machine.exited;
  }
}

/** As a process does that says nothing, or ends: what it was sent may be why, such as a state for which it takes too much memory. */
async function openOrFail(machine: Machine, opening: Opening): Promise<Buffer> {
  try {
    return await openWith(machine, opening);
  } catch (error) {
    throw await startFailure(machine, error, 'service-start-failed');
  }
}

/** Opens it and lets it practise. Answers what the agent said to the opening. Throws when it says that it cannot, takes too long, or ends. */
async function openWith(machine: Machine, opening: Opening): Promise<Buffer> {
  const { channel } = machine;
  const answered = answerOf(machine, opening);
  const sent = opening.send(async (parts) => {
    channel.cork();
    for (const part of parts) channel.write(part);
    channel.uncork();
    if (channel.writableNeedDrain) await Promise.race([once(channel, 'drain'), machine.exited]);
  });
  const { timeoutMs } = opening;
  const [answer] = await machine.within(timeoutMs, Promise.all([answered, sent]), 'it was not opened');
  await machine.within(REHEARSAL_MS_MAX + timeoutMs, rehearse(machine, opening), 'it has not practised');
  return answer;
}

async function rehearse(machine: Machine, opening: Opening): Promise<void> {
  const endMs = performance.now() + REHEARSAL_MS_MAX;
  for (let i = 0; i < REHEARSALS && performance.now() < endMs; i++) {
    const answered = answerOf(machine, opening);
    for (const part of opening.rehearsal) machine.channel.write(part);
    await answered;
  }
}

/** What the agent says from now on, until that is the answer. Throws when it says that it cannot. */
function answerOf({ channel }: Machine, opening: Opening): Promise<Buffer> {
  const said: Buffer[] = [];
  const understand = opening.listen();
  return new Promise((resolve, reject) => {
    const take = (bytes: Buffer): void => {
      said.push(bytes);
      const found = understand(bytes);
      if (found === 'more') return;
      channel.off('data', take);
      if (found === 'answered') resolve(Buffer.concat(said));
      else reject(new SpareError('service-start-failed', found.failed, { hint: HINT }));
    };
    channel.on('data', take);
  });
}

/** Ends the machine. `code`: of what is no `SpareError` yet. */
export async function startFailure(
  machine: Machine,
  error: unknown,
  code: 'domain-start-failed' | 'service-start-failed' = 'domain-start-failed',
): Promise<SpareError> {
  machine.kill();
  const ended = await machine.exited;
  if (error instanceof SpareError) return error;
  const last = lastLines(machine.console.text()).join(' | ');
  const why = ended.startsWith('killed') ? messageOf(error) : ended;
  const message = `The machine did not start: ${why}. ${last}`.trim();
  return new SpareError(code, message, { hint: HINT, cause: error });
}

/** What it printed last; of a kernel that panics what that begins with, for its end is where in the kernel it was. */
function lastLines(printed: string): string[] {
  const lines = printed.trim().split('\n');
  const panic = lines.findIndex((line) => line.includes('Kernel panic'));
  return panic < 0 ? lines.slice(-CONSOLE_LINES) : lines.slice(panic, panic + CONSOLE_LINES);
}
