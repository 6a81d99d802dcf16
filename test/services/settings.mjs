// Keeps what it read of its settings when it started, and writes down each start. /set changes a setting, in the database and in
// memory; where it is "unfit", the service does not start, where it is "endless", it never ends to. A start takes $START_MS, and two
// seconds where it is "slow". /note adds to what it never reads. State: settings.db.
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('settings.db');
database.exec('create table if not exists settings (name text primary key, value text)');
database.exec('create table if not exists starts (number integer primary key)');
database.exec('create table if not exists notes (at integer)');
database.exec('insert into starts default values');
const starts = database.prepare('select count(*) as n from starts');
const store = database.prepare("insert or replace into settings values ('greeting', ?)");
const note = database.prepare('insert into notes values (1)');
const stored = database.prepare("select value from settings where name = 'greeting'");

let greeting = stored.get()?.value ?? 'hello';
if (greeting === 'unfit') throw new Error('the greeting is not fit to be read');
const take = (ms) => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
take({ endless: Infinity, slow: 2000 }[greeting] ?? Number(process.env.START_MS ?? 0));

createServer((request, response) => {
  const { pathname, searchParams } = new URL(request.url, 'http://service');
  if (pathname === '/set') {
    greeting = searchParams.get('to');
    store.run(greeting);
  }
  if (pathname === '/note') note.run();
  response.end(`${greeting}, ${stored.get()?.value ?? 'nothing'} stored, ${starts.get().n} start`);
}).listen(process.env.PORT);
