// Large changes: POST /N adds N MiB at once; any request answers how many MiB there are. State: bulk.db.
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const PIECE = Buffer.alloc(1024 ** 2, 'x');
const database = new DatabaseSync('bulk.db');
database.exec('create table if not exists pieces (bytes blob)');
const add = database.prepare('insert into pieces values (?)');
const count = database.prepare('select count(*) as n from pieces');

createServer((request, response) => {
  const pieces = request.method === 'POST' ? Number(request.url.slice(1)) : 0;
  database.exec('begin');
  for (let i = 0; i < pieces; i++) add.run(PIECE);
  database.exec('commit');
  response.end(String(count.get().n));
}).listen(process.env.PORT);
