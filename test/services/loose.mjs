// Adds a line when the reply is over already, in several ways; /parallel adds them in the order in which work ends that was
// begun at once, each with a number of chance; /elsewhere has a thread asked over HTTP, too, and /waited
// for a child that waits before it answers. State: loose.db.
import { execFile } from 'node:child_process';
import { randomUUID, scrypt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { Worker } from 'node:worker_threads';

const database = new DatabaseSync('loose.db');
database.exec('create table if not exists lines (id integer primary key, text)');
const add = database.prepare('insert into lines (text) values (?)');
const line = () => add.run(randomUUID());

const WAITS = "setTimeout(() => process.stdout.write('waited'), 5)";

async function waited() {
  const { stdout } = await promisify(execFile)(process.execPath, ['-e', WAITS]);
  line();
  return stdout;
}

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

const [elsewhere] = await once(
  new Worker(
    `import { createServer } from 'node:http';
    import { parentPort } from 'node:worker_threads';
    const server = createServer((request, response) => void response.end('elsewhere'));
    server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
    { eval: true },
  ),
  'message',
);

async function askElsewhere(response) {
  const reply = await (await fetch(`http://127.0.0.1:${elsewhere}`)).text();
  await delay(5);
  response.end(reply);
  setImmediate(() => void Array.from({ length: 30 }, line));
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
  '/elsewhere': askElsewhere,
  '/waited': async (response) => response.end(await waited()),
  '/parallel': async (response) => response.end(await parallel()),
};

createServer((request, response) => void routes[request.url](response)).listen(process.env.PORT);
