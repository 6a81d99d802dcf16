#!/usr/bin/env node
// Starts Spare on the Node that it needs: this one when it is new enough, else the one that was installed with it.
import { spawn } from 'node:child_process';
import module from 'node:module';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const NEEDED = 26;

async function main() {
  if (Number(process.versions.node.split('.')[0]) >= NEEDED) {
    // Beside the sources, and so as safe as they are; where that cannot be written to, it starts a little slower.
    module.enableCompileCache(fileURLToPath(new URL('../.cache', import.meta.url)));
    await import(new URL('../src/cli/main.ts', import.meta.url).href);
    return;
  }
  const name = `node-${process.platform}-${process.arch}`;
  let node;
  try {
    node = module.createRequire(import.meta.url).resolve(`${name}/bin/node`);
  } catch {
    console.error(
      `spare: Node ${NEEDED} or newer is needed, this is ${process.version}, and ${name} is not installed.`,
    );
    process.exit(1);
  }
  const child = spawn(node, process.argv.slice(1), { stdio: 'inherit' });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('exit', (code, signal) => {
    if (signal === null) process.exit(code ?? 1);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
  });
}

await main();
