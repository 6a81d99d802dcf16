// Writes all of its state anew when it starts. A POST adds 8 MiB to it; any request answers how many pieces there are. State: rewriter.db.
import { createServer } from 'node:http';
import { DatabaseSync } from 'node:sqlite';

const database = new DatabaseSync('rewriter.db');
database.exec('create table if not exists pieces (bytes blob)');
database.exec('update pieces set bytes = zeroblob(3900)');
const add = database.prepare(`with n(i) as (select 1 union all select i + 1 from n where i < 2048)
  insert into pieces select randomblob(3900) from n`);
const count = database.prepare('select count(*) as n from pieces where bytes != zeroblob(3900)');

createServer((request, response) => {
  if (request.method === 'POST') add.run();
  response.end(String(count.get().n));
}).listen(process.env.PORT);
