// Accounts: POST /accounts/:name adds the amount in the body, GET shows it; both answer number and sum of amounts. PUT
// /blob keeps one large body. State: accounts.db.
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('accounts.db');
database.exec('create table if not exists accounts (name text primary key, count integer, sum integer)');
database.exec('create table if not exists blob (id integer primary key, body blob)');
const add = database.prepare(
  `insert into accounts values (?, 1, ?)
   on conflict do update set count = count + 1, sum = sum + excluded.sum returning count, sum`,
);
const show = database.prepare('select count, sum from accounts where name = ?');
const keep = database.prepare('insert or replace into blob values (1, ?)');

createServer((request, response) => {
  const chunks = [];
  request.on('data', (chunk) => chunks.push(chunk));
  request.on('end', () => {
    const body = Buffer.concat(chunks);
    if (request.method === 'PUT') {
      keep.run(body);
      return response.end(String(body.length));
    }
    const name = request.url.slice('/accounts/'.length);
    const account = request.method === 'POST' ? add.get(name, Number(body)) : show.get(name);
    const { count = 0, sum = 0 } = account ?? {};
    response.writeHead(200, { 'content-type': 'application/json', 'x-count': String(count) });
    response.end(JSON.stringify({ name, count, sum }));
  });
}).listen(process.env.PORT);
