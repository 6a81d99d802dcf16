// A counter with three bad routes: /differs answers otherwise in every copy, /dies ends the process, /hangs never
// answers. Each of them first adds 100 to the counter. One field of /made differs in every copy, one of /who in the
// copy that has LIE in its environment, and all of /name and what /sign writes there. State: quirks.db.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('quirks.db');
database.exec('create table if not exists counter (value integer)');
if (database.prepare('select count(*) as n from counter').get().n === 0)
  database.exec('insert into counter values (0)');
database.exec('create table if not exists signed (at integer, name text)');
const sign = database.prepare('insert into signed values (?, ?)');
const add = database.prepare('update counter set value = value + ? returning value');

createServer((request, response) => {
  const chance = () => readFileSync('/proc/self/stat', 'utf8') + readFileSync('/proc/uptime', 'utf8');
  const json = (value) => response.setHeader('content-type', 'application/json').end(JSON.stringify(value));
  if (request.url === '/differs') {
    add.get(100);
    return response.end(chance());
  }
  if (request.url === '/made') return json({ thing: { name: 'x', made: [{ by: chance() }] } });
  if (request.url === '/sign') return json(sign.run(1, process.env.LIE ?? 'bob'));
  if (request.url === '/who') return json({ users: [{ name: 'ann' }, { name: process.env.LIE ?? 'bob' }] });
  if (request.url === '/name') return response.end(process.env.LIE ?? 'bob');
  if (request.url === '/dies') {
    add.get(100);
    process.exit(3);
  }
  if (request.url === '/hangs') return add.get(100);
  response.end(String(add.get(request.method === 'POST' ? 1 : 0).value));
}).listen(process.env.PORT);
