// Adds a line when the reply is over already, in several ways. State: loose.db.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('loose.db');
database.exec('create table if not exists lines (id integer primary key, text)');
const add = database.prepare('insert into lines (text) values (?)');
const line = () => add.run(randomUUID());

const routes = {
  '/turn': (response) => {
    response.end('turn');
    line();
  },
  '/finish': (response) => response.once('finish', line).end('finish'),
  '/close': (response) => response.once('close', () => queueMicrotask(line)).end('close'),
  '/immediate': (response) => setImmediate(line, response.end('immediate')),
  '/deferred': (response) => setTimeout(line, 0, response.end('deferred')),
};

createServer((request, response) => void routes[request.url](response)).listen(process.env.PORT);
