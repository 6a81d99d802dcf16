// A small service without dependencies: fixed JSON on `GET /`, a counter in SQLite behind `POST /count` and
// `GET /count`. Listens on $PORT, keeps its database in $DATABASE (default count.db).
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync(process.env.DATABASE ?? 'count.db');
database.exec('create table if not exists counter (value integer not null)');
database.exec('insert into counter select 0 where not exists (select 1 from counter)');
const read = database.prepare('select value from counter');
const increment = database.prepare('update counter set value = value + 1 returning value');

const HELLO = JSON.stringify({ message: 'Hello from behind the vote', ok: true, items: [1, 2, 3] });

function answer(response, status, text) {
  response.writeHead(status, {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(text),
  });
  response.end(text);
}

const server = createServer((request, response) => {
  switch (`${request.method} ${request.url}`) {
    case 'GET /':
      return answer(response, 200, HELLO);
    case 'GET /count':
      return answer(response, 200, JSON.stringify({ count: read.get().value }));
    case 'POST /count':
      return answer(response, 200, JSON.stringify({ count: increment.get().value }));
    default:
      return answer(response, 404, JSON.stringify({ error: 'not found' }));
  }
});
server.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
