/** The smallest service with state, and its configuration. */
export const SERVICE: string = `
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
const db = new DatabaseSync('app.db');
db.exec('create table if not exists hits (n)');
createServer((request, response) => response.end('hello')).listen(process.env.PORT);`;

export const GOOD: { readonly command: readonly string[]; readonly state: readonly string[] } = {
  command: [process.execPath, 'service.mjs'],
  state: ['app.db'],
};
