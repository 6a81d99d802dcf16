/** The program `spare`. */
import { readFileSync } from 'node:fs';
import { isDataFolder } from '../data-folder.ts';
import { messageOf, roomOrOther, SpareError } from '../errors.ts';
import { type Rotated, rotatedLine } from '../manager/rejuvenation.ts';
import { printable } from '../wire/channel.ts';
import { askAdmin } from './admin-client.ts';
import { type Call, HELP, parseCall, type ServiceFlags, type Where } from './arguments.ts';
import { backup, type Progress, restoreInto } from './backup.ts';
import { type ConfigFile, readConfig } from './config-file.ts';
import { dataFolder, settle, type Settings } from './settings.ts';
import { prepareDataFolder } from './data-folder.ts';
import { prepareImages } from './hypervisor.ts';
import { acceptForNextStart, type Deployed, refuseOthers } from './deploy.ts';
import { exportInto } from './export.ts';
import { listIncidents, showIncident } from './incidents.ts';
import { endBy, Interrupted, interruption, type Interruption, unlessAborted } from './interruption.ts';
import { addressUrl as url } from './listen.ts';
import { run, type Running } from './run.ts';

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** What happens while a group runs is told in lines; some of it quotes what others said. */
function log(line: string): void {
  print(printable(line));
}

function report(error: unknown): number {
  if (error instanceof SpareError) {
    process.stderr.write(`spare: ${error.message} [${error.code}]\n  ${error.hint}\n`);
    return error.exitStatus;
  }
  process.stderr.write(
    `spare: ${error instanceof Error ? (error.stack ?? error.message) : messageOf(error)}\n`,
  );
  return 1;
}

function describe(running: Running): void {
  const replicas = running.manager.view().replicas;
  const count = (state: string): number => replicas.filter((replica) => replica.state === state).length;
  print(`ready      ${count('running')} active, ${count('suspended')} suspended`);
  print(`service    ${url(running.listen)}`);
  print(`status     ${url(running.admin)}/status`);
  print(`incidents  ${url(running.admin)}/incidents`);
}

async function settingsOf({ configFile, flags }: ServiceFlags): Promise<Settings> {
  const { config, folder } = await readConfig(configFile);
  return settle({ ...config, ...flags }, folder);
}

async function buildImages(
  { configFile, flags }: Extract<Call, { type: 'deploy' | 'image' }>,
  signal: AbortSignal,
): Promise<void> {
  const asked = { configFile, flags: { ...flags, hypervisor: 'qemu' } as const };
  const settings = await unlessAborted(signal, settingsOf(asked));
  const data = prepareDataFolder(settings.data);
  try {
    // A group may run with it, and start replicas from the images that it has; its next start removes what it needs no more.
    const alone = !isDataFolder(settings.data);
    await prepareImages(settings, log, alone, signal);
  } catch (error) {
    // It takes minutes: a group may have begun there.
    if (!isDataFolder(settings.data)) data.discard();
    throw error;
  }
}

/** Until it is interrupted or cannot go on; throws in both cases. */
async function runUntilEnd(
  call: Extract<Call, { type: 'run' }>,
  { first: signal, second }: Interruption,
): Promise<never> {
  const whole = ({ config, folder }: ConfigFile): Settings => settle({ ...config, ...call.flags }, folder);
  const first = await unlessAborted(signal, readConfig(call.configFile));
  const read = async (): Promise<Settings> => whole(await readConfig(call.configFile, true));
  const settings = whole(first);
  const running = await run(settings, { file: first.file, read }, log, signal).catch((error: unknown) => {
    throw roomOrOther(settings.data, error);
  });
  try {
    print(`spare      f=${settings.faults}, isolation: ${running.isolation}; starting`);
    await unlessAborted(signal, running.ready);
    describe(running);
    throw await unlessAborted(signal, running.halted);
  } finally {
    if (signal.aborted) print('stopping');
    await running.close(second);
  }
}

/** A group runs until it is told to end; then it has done all that was asked for. */
function untilTold(error: unknown): number {
  if (error instanceof Interrupted) return 0;
  throw error;
}

async function dataFolderOf({ configFile, data }: Where): Promise<string> {
  if (data !== undefined) return data;
  const { config, folder } = await readConfig(configFile);
  return dataFolder(config, folder);
}

type OfReplica = Extract<Call, { type: 'recover' | 'console' }>;

function pathOf({ type, replica }: OfReplica): string {
  return `/replicas/${encodeURIComponent(replica)}/${type}`;
}

async function recover(call: OfReplica): Promise<void> {
  print(rotatedLine((await askAdmin(await dataFolderOf(call), pathOf(call))) as Rotated));
}

async function showConsole(call: OfReplica): Promise<void> {
  const answer = await askAdmin(await dataFolderOf(call), pathOf(call), 'GET');
  const { console: printed } = answer as { console: string };
  if (printed !== '') print(printed);
}

/** Has the running group do it; where none runs, the next start will find it accepted. */
async function deploy({ configFile, flags }: Extract<Call, { type: 'deploy' | 'image' }>): Promise<void> {
  const { config, folder, file } = await readConfig(configFile);
  const data = dataFolder({ ...config, ...flags }, folder);
  // Whoever names the data folder does not mean the configuration that happens to lie here.
  const meant = configFile === undefined && flags.data !== undefined ? null : file;
  try {
    await askAdmin(data, '/livez', 'GET');
    refuseOthers(data, meant, flags);
    const { image, changed, seconds, atStart } = (await askAdmin(data, '/deploy')) as Deployed;
    const what = `image ${image.slice(0, 12)}`;
    print(
      changed
        ? `deployed   ${what}, after ${seconds.toFixed(1)} s`
        : `deployed   ${what}: nothing has changed`,
    );
    if (atStart.length > 0)
      print(`note       ${atStart.join(', ')}: as the configuration says only from the next start on`);
  } catch (error) {
    if (!(error instanceof SpareError) || error.code !== 'not-running') throw error;
    const wanted = { ...config, ...flags };
    // Whoever names the data folder alone took the group for running.
    if (Object.keys(wanted).every((key) => key === 'data'))
      throw new SpareError(error.code, error.message, {
        hint: 'To accept what is there for the next start, call `spare deploy` with all that `spare run` is called with.',
      });
    const image = await acceptForNextStart(settle(wanted, folder), log);
    print(`accepted   image ${image.slice(0, 12)}; nothing runs, the next start is from it`);
  }
}

/** Over itself on a terminal, and gone in the end. */
function progressOf(label: string): Progress & { readonly end: () => void } {
  const { stderr } = process;
  const show = (text: string): void => void (stderr.isTTY && stderr.write(`\r\u001b[K${label}${text}`));
  return Object.assign(show, { end: () => void (stderr.isTTY && stderr.write('\r\u001b[K')) });
}

async function makeBackup(call: Extract<Call, { type: 'backup' }>, signal: AbortSignal): Promise<void> {
  const progress = progressOf('backup     ');
  const data = await unlessAborted(signal, dataFolderOf(call));
  const { decided, digest } = await backup(data, call.file, progress, signal).finally(progress.end);
  print(`backup     ${call.file}, up to entry ${decided}`);
  print(`digest     ${digest}`);
}

async function restoreBackup(call: Extract<Call, { type: 'restore' }>): Promise<void> {
  const settings = await settingsOf(call);
  const progress = progressOf('restoring  ');
  const { decided, made, digest } = restoreInto(settings, call.file, progress);
  progress.end();
  print(`restored   ${settings.data}, up to entry ${decided}, as it was at ${made}`);
  print(`digest     ${digest}`);
}

async function exportBackup(call: Extract<Call, { type: 'export' }>, signal: AbortSignal): Promise<void> {
  const settings = await unlessAborted(signal, settingsOf(call));
  const progress = progressOf('exporting  ');
  const exporting = exportInto(settings, call.file, call.folder, progress, signal);
  const { decided, made, digest, later } = await exporting.finally(progress.end);
  print(`exported   ${call.folder}, up to entry ${decided}, as it was at ${made}`);
  print(`digest     ${digest}`);
  if (later > 0)
    print(
      `note       requests that came later, which only copies can execute, are not in it: ${later}; back up a group that was ended`,
    );
}

async function main(): Promise<number> {
  const call = parseCall(process.argv.slice(2));
  switch (call.type) {
    case 'help':
      print(HELP);
      return 0;
    case 'version': {
      const manifest = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
      print((JSON.parse(manifest) as { version: string }).version);
      return 0;
    }
    case 'recover':
      await recover(call);
      return 0;
    case 'console':
      await showConsole(call);
      return 0;
    case 'deploy':
      await deploy(call);
      return 0;
    case 'backup':
      await makeBackup(call, interruption().first);
      return 0;
    case 'restore':
      await restoreBackup(call);
      return 0;
    case 'export':
      await exportBackup(call, interruption().first);
      return 0;
    case 'image':
      await buildImages(call, interruption().first);
      return 0;
    case 'incidents': {
      const folder = await dataFolderOf(call);
      print(call.id === null ? listIncidents(folder) : await showIncident(folder, call.id));
      return 0;
    }
    case 'run':
      return await runUntilEnd(call, interruption()).catch(untilTold);
  }
}

// Nobody reads any more: no reason to end.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

let status: number;
try {
  status = await main();
} catch (error) {
  if (error instanceof Interrupted) endBy(error.signal);
  status = report(error);
}
// A configuration may have left something open that would keep the process alive.
process.exit(status);
