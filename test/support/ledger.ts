/** The service `ledger.mjs`, and a client of it: lines are added and numbered, one after another. */
import { SERVICES } from './spare.ts';

export const LEDGER: { folder: string; command: string[]; state: string[] } = {
  folder: SERVICES,
  command: ['node', 'ledger.mjs'],
  state: ['ledger.db'],
};

export interface Line {
  readonly number: number;
  readonly name: string;
}

/** Throws when it is not acknowledged. `key`: its Idempotency-Key. */
export async function add(url: string, name: string, key?: string): Promise<Line> {
  const headers = key === undefined ? {} : { 'idempotency-key': key };
  const reply = await fetch(`${url}/entries`, { method: 'POST', body: name, headers });
  if (reply.status !== 200) throw new Error(`status ${reply.status}`);
  return (await reply.json()) as Line;
}

/** All lines, by their numbers. */
export async function lines(url: string): Promise<Line[]> {
  return (await (await fetch(`${url}/entries`)).json()) as Line[];
}
