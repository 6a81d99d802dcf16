/**
 * `spare run` as it is, but for the program in the domains: each has `agent.ts` in the agent's place. Its parent says
 * which replica attacks, and how.
 */
import type { Domain, DomainSpec, Driver } from '../../src/domains/domain.ts';
import { createProcessDriver } from '../../src/domains/process/driver.ts';
import { readConfig } from '../../src/cli/config-file.ts';
import { settle } from '../../src/cli/settings.ts';
import { run } from '../../src/cli/run.ts';
import { fileURLToPath } from 'node:url';
import { frameHead } from '../../src/wire/frames.ts';
import { COMMAND, type Command } from './command.ts';

export interface Order extends Command {
  readonly replica: string;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}

const domains = new Map<string, Domain>();

function remembering(driver: Driver): Driver {
  const start = async (spec: DomainSpec): Promise<Domain> => {
    const domain = await driver.start(spec);
    domains.set(spec.id, domain);
    void domain.exited.then(() => domains.delete(spec.id));
    return domain;
  };
  const { isolation, privateNetwork } = driver;
  return { isolation, privateNetwork, start };
}

const [, , configFile] = process.argv;
const interrupted = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, () => interrupted.abort());
process.on('message', ({ replica, ...command }: Order) => {
  const json = Buffer.from(JSON.stringify(command satisfies Command));
  domains.get(replica)?.channel.write(Buffer.concat([frameHead(COMMAND, json.length), json]));
});

const { config, folder, file } = await readConfig(configFile);
const agent = fileURLToPath(new URL('agent.ts', import.meta.url));
const driver = remembering(await createProcessDriver({ agent }));
const settings = settle(config, folder);
const running = await run(settings, { file, read: async () => settings }, print, interrupted.signal, driver);
interrupted.signal.addEventListener(
  'abort',
  () => void running.close(AbortSignal.abort()).then(() => process.exit(0)),
);
await running.ready;
print(`service    http://${running.listen.host}:${running.listen.port}`);
print(`status     http://${running.admin.host}:${running.admin.port}/status`);
print(`incidents  http://${running.admin.host}:${running.admin.port}/incidents`);
const error = await running.halted;
print(`halted     ${error.message}`);
process.exit(1);
