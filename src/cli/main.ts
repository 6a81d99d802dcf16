/** The program `spare`. */
import { readFileSync } from 'node:fs';
import { messageOf, SpareError } from '../errors.ts';
import { type Call, HELP, parseCall } from './arguments.ts';
import { type Address, readConfig, settle } from './config.ts';
import { run, type Running } from './run.ts';

function print(line: string): void {
  process.stdout.write(`${line}\n`);
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

function url({ host, port }: Address): string {
  return `http://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** Resolves with the signal that ends the program. */
function interrupted(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(signal));
  });
}

function describe(running: Running): void {
  const replicas = running.manager.view().replicas;
  const count = (state: string): number => replicas.filter((replica) => replica.state === state).length;
  print(`ready      ${count('running')} active, ${count('suspended')} suspended`);
  print(`service    ${url(running.listen)}`);
  print(`status     ${url(running.admin)}/status`);
  print(`incidents  ${url(running.admin)}/incidents`);
}

async function runUntilEnd(call: Extract<Call, { type: 'run' }>): Promise<number> {
  const ended = interrupted();
  const { config, folder } = await readConfig(call.configFile);
  const settings = settle({ ...config, ...call.flags }, folder);
  const running = await run(settings, print);
  print(`spare      f=${settings.faults}, isolation: ${running.isolation}; starting`);
  const failed = running.halted.then((error) => error);
  try {
    const first = await Promise.race([running.ready, ended, failed]);
    if (first instanceof SpareError) throw first;
    if (first === undefined) {
      describe(running);
      const last = await Promise.race([ended, failed]);
      if (last instanceof SpareError) throw last;
    }
    print('stopping');
    return 0;
  } finally {
    await running.close();
  }
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
    case 'run':
      return await runUntilEnd(call);
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  process.exitCode = report(error);
}
