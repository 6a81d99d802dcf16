// A broken copy of the service, to see Spare at work: its replies are right, but after some requests it writes a
// wrong value into its database. As a variant: { command: ['node', 'faulty-state.mjs'] }
import { serve } from '@hono/node-server';
import { createClient } from '@libsql/client';
import app, { applyMigrations } from 'realworld-hono-drizzle';

const env = { DATABASE_URL: `file:${process.env.DATABASE ?? 'conduit.db'}`, JWT_SECRET: 'acceptance' };
const every = Number(process.env.FAULTY_EVERY ?? 5);
let requests = 0;

async function fetch(request) {
  const reply = await app.fetch(request, env);
  if (++requests % every !== 0) return reply;
  const body = await reply.arrayBuffer();
  await database.execute(`create table if not exists planted (value text)`);
  await database.execute(`insert into planted values ('not what the others wrote')`);
  return new Response(reply.status === 204 ? null : body, { status: reply.status, headers: reply.headers });
}

await applyMigrations(env.DATABASE_URL);
const database = createClient({ url: env.DATABASE_URL });
serve({ fetch, port: Number(process.env.PORT ?? 3000) });
