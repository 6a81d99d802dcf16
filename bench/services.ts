/** The services under test: the same files in every mode. */
import { fileURLToPath } from 'node:url';

export interface Service {
  readonly name: 'conduit' | 'json';
  readonly folder: string;
  readonly command: readonly [string, ...string[]];
  /** Its database, relative to `folder`; where else it shall lie is told by $DATABASE. */
  readonly state: string;
}

function example(name: Service['name'], state: string): Service {
  const folder = fileURLToPath(new URL(`../examples/${name}`, import.meta.url));
  return { name, folder, command: ['node', 'server.mjs'], state };
}

export const CONDUIT: Service = example('conduit', 'conduit.db');
export const JSON_SERVICE: Service = example('json', 'count.db');
