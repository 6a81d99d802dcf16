/**
 * Tells the Node processes and threads of one domain apart without a pid or thread id, which are not the same in every
 * replica: each is named by its parent's name, the entry in which it was started, and its number among those started in
 * that entry. A child process learns its name from its environment, a thread from its environment data.
 *
 * Two children started by `spawnSync` one after the other in one entry do share a name, and so their random numbers.
 */
import { ChildProcess } from 'node:child_process';
import process from 'node:process';
import workers from 'node:worker_threads';

const VARIABLE = 'SPARE_LINEAGE';

/**
 * The name of this process or thread. Also makes sure that children and threads get theirs.
 *
 * @param {import('./page.mjs').Page} page
 */
export function lineage(page) {
  const given = workers.getEnvironmentData(VARIABLE);
  workers.setEnvironmentData(VARIABLE, undefined);
  const own = given?.name ?? process.env[VARIABLE] ?? 'service';
  if (!given?.sharesEnv) process.env[VARIABLE] = `${own}/sync`;
  let entry = 0;
  let started = 0;
  function next() {
    const { entry: current, index } = page.current();
    started = current === entry ? started + 1 : 1;
    entry = current;
    return `${own}/${index}.${started}`;
  }
  const { spawn } = ChildProcess.prototype;
  ChildProcess.prototype.spawn = function (options) {
    const name = next();
    const others = (options?.envPairs ?? []).filter((pair) => !pair.startsWith(`${VARIABLE}=`));
    if (options?.envPairs) options.envPairs = [...others, `${VARIABLE}=${name}`];
    return Reflect.apply(spawn, this, [options]);
  };
  const { Worker } = workers;
  workers.Worker = new Proxy(Worker, {
    construct(target, parts, newTarget) {
      const sharesEnv = parts[1]?.env === workers.SHARE_ENV;
      workers.setEnvironmentData(VARIABLE, { name: next(), sharesEnv });
      try {
        return Reflect.construct(target, parts, newTarget);
      } finally {
        workers.setEnvironmentData(VARIABLE, undefined);
      }
    },
  });
  Worker.prototype.constructor = workers.Worker;
  return own;
}
