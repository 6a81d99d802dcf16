/**
 * Tells the Node processes and threads of one domain apart without a pid or thread id, which are not the same in every
 * replica: each is named by its parent's name, the entry in which it was started, and its number among those started in
 * that entry. A child process learns its name from its environment, a thread from its environment data; and with it when
 * it was started, for it may get to look at the page only in a later entry.
 *
 * Two children started by `spawnSync` one after the other in one entry do share a name, and so their random numbers.
 */
import { ChildProcess } from 'node:child_process';
import process from 'node:process';
import vm from 'node:vm';
import workers from 'node:worker_threads';

const VARIABLE = 'SPARE_LINEAGE';
const LAYER = new URL('node.mjs', import.meta.url).href;

/**
 * The code of a thread, `eval: true`, as code that has what `--import` names first. For a module Node sees to that, for a
 * script it does not.
 */
function afterLayer(code) {
  try {
    void new vm.Script(code);
  } catch {
    return code;
  }
  const script = JSON.stringify(`${code}\n//# sourceURL=[worker eval]`);
  return `import(${JSON.stringify(LAYER)}).then(() => void (0, eval)(${script}));`;
}

/**
 * The name of this process or thread, and the agreed time of its start. Also makes sure that children and threads get theirs.
 *
 * @param {import('./page.mjs').Page} page
 */
export function lineage(page) {
  const given = workers.getEnvironmentData(VARIABLE);
  workers.setEnvironmentData(VARIABLE, undefined);
  const [own, startedMs = page.timeMs] = (given?.name ?? process.env[VARIABLE] ?? 'service').split('@');
  if (!given?.sharesEnv) process.env[VARIABLE] = `${own}/sync`;
  let entry = 0;
  let started = 0;
  function next() {
    const { entry: current, index, timeMs } = page.current();
    started = current === entry ? started + 1 : 1;
    entry = current;
    return `${own}/${index}.${started}@${timeMs}`;
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
      const [code, options] = parts;
      const sharesEnv = options?.env === workers.SHARE_ENV;
      if (options?.eval && typeof code === 'string') parts[0] = afterLayer(code);
      workers.setEnvironmentData(VARIABLE, { name: next(), sharesEnv });
      try {
        return Reflect.construct(target, parts, newTarget);
      } finally {
        workers.setEnvironmentData(VARIABLE, undefined);
      }
    },
  });
  Worker.prototype.constructor = workers.Worker;
  return { owner: own, startedMs: Number(startedMs) };
}
