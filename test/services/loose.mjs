// Adds a line when the reply is over already, in several ways; /parallel adds them in the order in which work ends that was
// begun at once, each with a number of chance. State: loose.db.
import { randomUUID, scrypt } from 'node:crypto';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';

const database = new DatabaseSync('loose.db');
database.exec('create table if not exists lines (id integer primary key, text)');
const add = database.prepare('insert into lines (text) values (?)');
const line = () => add.run(randomUUID());

async function parallel() {
  const ended = [];
  const work = async (name) => {
    await promisify(scrypt)(name, 'salt', 16, { N: 256 });
    line();
    ended.push(name);
  };
  await Promise.all(['a', 'b', 'c', 'd', 'e', 'f'].map(work));
  return ended.join('');
}

const routes = {
  '/turn': (response) => {
    response.end('turn');
    line();
  },
  '/finish': (response) => response.once('finish', line).end('finish'),
  '/close': (response) => response.once('close', () => queueMicrotask(line)).end('close'),
  '/immediate': (response) => setImmediate(line, response.end('immediate')),
  '/deferred': (response) => setTimeout(line, 0, response.end('deferred')),
  '/parallel': async (response) => response.end(await parallel()),
};

createServer((request, response) => void routes[request.url](response)).listen(process.env.PORT);
