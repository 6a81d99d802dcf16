// A broken copy of the service, to see Spare at work: it alters the body of some of its replies. As a variant:
//   variants: [{}, { command: ['node', 'faulty-reply.mjs'] }, {}, {}]
import { serve } from '@hono/node-server';
import app, { applyMigrations } from 'realworld-hono-drizzle';

const env = { DATABASE_URL: `file:${process.env.DATABASE ?? 'conduit.db'}`, JWT_SECRET: 'acceptance' };
const every = Number(process.env.FAULTY_EVERY ?? 5);
let replies = 0;

async function fetch(request) {
  const reply = await app.fetch(request, env);
  if (++replies % every !== 0) return reply;
  const text = await reply.text();
  return new Response(text.replace(/"(\w)/, '"$1$1'), { status: reply.status, headers: reply.headers });
}

await applyMigrations(env.DATABASE_URL);
serve({ fetch, port: Number(process.env.PORT ?? 3000) });
