/**
 * Tells the Node processes and threads of one domain apart without a pid or thread id, which are not the same in every
 * replica: each is named by its parent's name, the entry in which it was started, and its number among those started in
 * that entry. A child process learns its name from its environment, a thread from its environment data; and with it when
 * it was started, for it may get to look at the page only in a later entry.
 *
 * Children that are waited for (`spawnSync`) are given no number. They are told apart by what libc draws for each, where its layer is
 * there: that is the same in every replica only for what begins one after the other. Those that another program starts do share
 * a name, and so their random numbers: several of a shell that is itself a child, or of a service in another language.
 */
import { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readSync } from 'node:fs';
import process from 'node:process';
import vm from 'node:vm';
import workers from 'node:worker_threads';
import { hasPreload } from './clocks.mjs';

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

/** For a name: no two processes of one entry are given the same by libc. */
function drawn() {
  const bytes = Buffer.alloc(16);
  const fd = openSync('/dev/urandom');
  readSync(fd, bytes);
  closeSync(fd);
  return bytes.toString('hex');
}

/** What this process was called when it was started. */
function inherited() {
  const name = process.env[VARIABLE] ?? 'service';
  return name.endsWith('/sync') && hasPreload() ? `${name}/${drawn()}` : name;
}

/**
 * The name of this process or thread, and the agreed time of its start. Also makes sure that children and threads get theirs.
 *
 * @param {import('./page.mjs').Page} page
 */
export function lineage(page) {
  const given = workers.getEnvironmentData(VARIABLE);
  workers.setEnvironmentData(VARIABLE, undefined);
  const [own, startedMs = page.timeMs] = (given?.name ?? inherited()).split('@');
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
