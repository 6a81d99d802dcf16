/**
 * The Node layer of determinism, loaded into every Node process and worker thread of a service by
 * `NODE_OPTIONS=--import=…/node.mjs`, before the service. Runs in the service's own Node (18 or later), hence plain
 * JavaScript without dependencies. Bun gets it by `BUN_OPTIONS`, Deno only if its command says `--preload`.
 *
 * What a service sees of time and randomness becomes a function of the current entry of the order (`page.mjs`), and
 * timers run only inside entries (`queue.mjs`). Without SPARE_CLOCK in the environment this module does nothing.
 *
 * Limits, besides those named in the parts: HTTP/2 requests and WebSocket messages are not requests here; a
 * child or thread that is given an environment without SPARE_CLOCK or NODE_OPTIONS escapes, and a thread whose code is a
 * script in TypeScript handed over as text; which process of a `cluster` answers is left to chance, and each draws other
 * random numbers; `Math.random` of another `vm` context, `process.pid`, thread ids, memory figures, names by `mkdtemp` and load
 * addresses are real.
 */
import { syncBuiltinESMExports } from 'node:module';
import process from 'node:process';
import { installClocks } from './clocks.mjs';
import { lineage } from './lineage.mjs';
import { installLoad } from './load.mjs';
import { Page } from './page.mjs';
import { TimerQueue } from './queue.mjs';
import { installRandom, Keystream } from './random.mjs';
import { Requests } from './requests.mjs';
import { installSqlite } from './sqlite.mjs';
import { connectTicks } from './ticks.mjs';
import { Start } from './start.mjs';
import { installTimers } from './timers.mjs';

const path = process.env['SPARE_CLOCK'];
if (path) {
  const requests = new Requests();
  const page = new Page(path, () => requests.inFlight);
  const start = new Start(page);
  const queue = new TimerQueue(page, requests, start);
  start.watch(() => queue.park());
  requests.watch(
    () => page.read(),
    () => queue.park(),
    (isBusy) => page.setBusy(isBusy),
    () => queue.deferrals,
  );
  const { owner, startedMs } = lineage(page);
  installRandom(page, owner);
  installSqlite(new Keystream(page, `sql/${owner}`));
  installClocks(page, startedMs);
  installLoad();
  installTimers(queue);
  syncBuiltinESMExports();
  await connectTicks(process.env['SPARE_TICK'], queue);
}
