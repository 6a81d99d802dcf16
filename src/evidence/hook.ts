/**
 * Tells somebody of each incident: a command that gets it on stdin, or a URL that it is posted to; as the JSON that
 * `GET /incidents/ID` gives.
 *
 * H1. Whatever they do, it takes bounded time and memory, and nobody waits for it but the next call.
 */
import type { ChildProcessByStdio } from 'node:child_process';
import type { Readable, Writable } from 'node:stream';
import { messageOf } from '../errors.ts';
import { type Guarded, guarded } from '../guardian.ts';
import { type PipedOptions, spawnPiped } from '../spawn.ts';
import { printable } from '../wire/channel.ts';

export interface HookOptions {
  /** Empty: none. Started in `folder`. */
  readonly command: readonly string[];
  readonly folder: string;
  readonly webhook: string | null;
}

type Child = ChildProcessByStdio<Writable, Readable, Readable>;

const TIMEOUT_MS = 30_000;
/** What is killed ends at once, if it may be killed. */
const KILLED_MS = 1000;
const CANNOT_BE_ENDED = 'cannot be ended';
const OUTPUT_BYTES = 4096;

export interface Told {
  readonly id: number;
  /** The incident's folder. */
  readonly evidence: string;
  readonly json: string;
}

/** Rejects with a sentence when it failed. */
export async function runCommand(options: HookOptions, told: Told, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const [program = ''] = options.command;
  const { started: child, guardian } = spawnCommand(options, told);
  let output = Buffer.alloc(0);
  for (const stream of [child.stdout, child.stderr]) {
    stream.on('data', (chunk: Buffer) => (output = Buffer.concat([output, chunk]).subarray(-OUTPUT_BYTES)));
  }
  // One that does not read what it is told is not at fault.
  child.stdin.on('error', () => {});
  child.stdin.end(told.json);
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const stop = AbortSignal.any([signal, limit]);
  const { promise: ended, resolve: end } = Promise.withResolvers<string | null>();
  child.once('error', (error) => end(`cannot be started: ${error.message}`));
  child.once('exit', (code, signal) => end(code === 0 ? null : `ended with ${signal ?? `status ${code}`}`));
  const kill = (): void => {
    if (child.pid === undefined || child.exitCode !== null) return;
    try {
      process.kill(-child.pid, 'SIGKILL');
    } catch {
      // It has ended just now, or has become another user, whom Spare may not end.
    }
    // Also where only others of its group were ended.
    setTimeout(end, KILLED_MS, CANNOT_BE_ENDED).unref();
  };
  stop.addEventListener('abort', kill, { once: true });
  const failure = await ended;
  stop.removeEventListener('abort', kill);
  guardian.release();
  for (const stream of child.stdio) stream?.destroy();
  if (failure === null) return;
  if (failure === CANNOT_BE_ENDED) child.unref();
  const said = printable(output.toString().trim().split('\n').at(-1) ?? '');
  const late = `did not end within ${TIMEOUT_MS / 1000} s`;
  const lasting = failure === CANNOT_BE_ENDED ? `${late}, and ${failure}` : late;
  const why = limit.aborted ? lasting : failure;
  throw new Error(`the command ${program} ${why}${said === '' ? '' : `: ${said}`}`);
}

/** The guardian ends it when Spare is killed: else one that hangs would do so for ever, and the next life starts another one. */
function spawnCommand({ command, folder }: HookOptions, { id, evidence }: Told): Guarded<Child> {
  const [program = '', ...args] = command;
  const options: PipedOptions = {
    cwd: folder,
    env: { ...process.env, SPARE_INCIDENT: String(id), SPARE_EVIDENCE: evidence },
    stdio: ['pipe', 'pipe', 'pipe'],
    // Of its own group, so that what it started is ended with it. What it leaves behind when it ends by itself stays: the operator
    // may want that.
    detached: true,
  };
  try {
    const spawned = guarded('', () => spawnPiped(program, args, options) as Child);
    const { pid } = spawned.started;
    if (pid !== undefined) spawned.guardian.watch(-pid);
    return spawned;
  } catch (error) {
    throw new Error(`the command ${program} cannot be started: ${messageOf(error)}`, { cause: error });
  }
}

/** Rejects with a sentence when it failed. What is in the URL besides its origin may be a secret. */
export async function callWebhook(webhook: string, json: string, signal: AbortSignal): Promise<void> {
  const { origin } = new URL(webhook);
  const reply = await fetch(webhook, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: json,
    redirect: 'error',
    signal: AbortSignal.any([signal, AbortSignal.timeout(TIMEOUT_MS)]),
  }).catch((error: unknown) => {
    const { cause = error } = error as Error;
    throw new Error(`cannot post to ${origin}: ${messageOf(cause)}`, { cause: error });
  });
  await reply.body?.cancel();
  if (!reply.ok) throw new Error(`${origin} answered ${reply.status}`);
}
