/**
 * Tells the Node processes of one domain apart without a pid, which is not the same in every replica: a process is
 * named by its parent's name, the entry in which it was started, and its number among those started in that entry.
 *
 * Two children started by `spawnSync` one after the other in one entry do share a name, and so their random numbers.
 */
import { ChildProcess } from 'node:child_process';
import process from 'node:process';

const VARIABLE = 'SPARE_LINEAGE';

/**
 * The name of this process. Also makes sure that children get theirs.
 *
 * @param {import('./page.mjs').Page} page
 */
export function lineage(page) {
  const own = process.env[VARIABLE] ?? 'service';
  process.env[VARIABLE] = `${own}/sync`;
  const { spawn } = ChildProcess.prototype;
  let entry = 0;
  let started = 0;
  ChildProcess.prototype.spawn = function (options) {
    const { entry: current, index } = page.current();
    started = current === entry ? started + 1 : 1;
    entry = current;
    const others = (options?.envPairs ?? []).filter((pair) => !pair.startsWith(`${VARIABLE}=`));
    if (options?.envPairs) options.envPairs = [...others, `${VARIABLE}=${own}/${index}.${started}`];
    return Reflect.apply(spawn, this, [options]);
  };
  return own;
}
