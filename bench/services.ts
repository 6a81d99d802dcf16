/** The services under test: the same files in every mode. */
import { fileURLToPath } from 'node:url';

export interface Service {
  readonly name: 'conduit' | 'json';
  readonly folder: string;
  readonly command: readonly [string, ...string[]];
  /** Its database, relative to `folder`; where else it shall lie is told by $DATABASE. */
  readonly state: string;
}

function example(name: Service['name'], state: string, flags: readonly string[]): Service {
  const folder = fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
  return { name, folder, command: ['node', ...flags, 'server.mjs'], state };
}

/**
 * Conduit opens its database anew for each request and leaves it to the garbage collector to close it, which knows
 * nothing of three descriptors and some 100 KiB outside of its heap: after a few thousand requests in a row the
 * service fails, with or without Spare. So the collector is called after so many requests, the same in every mode.
 */
const COLLECT_EVERY = 400;
const COLLECTOR = `
import { channel } from 'node:diagnostics_channel';
let requests = 0;
channel('http.server.request.start').subscribe(() => {
  requests += 1;
  if (requests % ${COLLECT_EVERY} === 0) globalThis.gc();
});`;

export const CONDUIT: Service = example('conduit', 'conduit.db', [
  '--expose-gc',
  `--import=data:text/javascript;base64,${Buffer.from(COLLECTOR).toString('base64')}`,
]);
export const JSON_SERVICE: Service = example('json', 'count.db', []);
