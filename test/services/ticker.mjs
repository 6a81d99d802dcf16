// Writes a line every second by itself, with a random number and the time; GET / lists them all, with what the
// service thinks the time and a random number are. State: ticker.db.
import { randomBytes, randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('ticker.db');
database.exec('create table if not exists ticks (at integer, text text)');
const add = database.prepare('insert into ticks values (?, ?)');
const list = database.prepare('select * from ticks order by at');
const born = randomUUID();

setInterval(() => add.run(Date.now(), randomUUID()), 1000);

createServer((request, response) => {
  const now = {
    time: Date.now(),
    uptime: performance.now(),
    random: Math.random(),
    bytes: randomBytes(8).toString('hex'),
  };
  setTimeout(() => response.end(JSON.stringify({ born, now, ticks: list.all() })), 5);
}).listen(process.env.PORT);
