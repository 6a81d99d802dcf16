// A ledger: POST /entries adds a line and answers its number, GET /entries lists all lines, GET /size tells how many
// there are and how long they are together. State: ledger.db.
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('ledger.db');
database.exec(
  'create table if not exists entries (number integer primary key autoincrement, name text, at integer)',
);
const add = database.prepare('insert into entries (name, at) values (?, ?)');
const size = database.prepare('select count(*) as lines, sum(length(name)) as bytes from entries');
const list = database.prepare('select number, name from entries order by number');

createServer((request, response) => {
  if (request.url === '/size') return response.end(JSON.stringify(size.get()));
  if (request.method === 'GET') return response.end(JSON.stringify(list.all()));
  let name = '';
  request.on('data', (chunk) => (name += chunk));
  request.on('end', () => {
    const { lastInsertRowid } = add.run(name, Date.now());
    response.end(JSON.stringify({ number: Number(lastInsertRowid), name }));
  });
}).listen(process.env.PORT);
