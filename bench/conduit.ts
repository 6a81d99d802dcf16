/**
 * What is asked of Conduit: a small data set, a mix of reads over it, and a mix that is mostly writes.
 *
 * Each turn of the write mix deletes the article that it created, so that every mode works on the same amount of
 * data, however many turns it gets done.
 */
import { request, type Step } from './job.ts';

const USERS = 4;
const ARTICLES = 50;
const PARAGRAPH = 'A replica that lies is outvoted; a replica that sleeps costs nothing but its memory. ';

interface Reply {
  readonly status: number;
  readonly text: string;
}

async function call(
  port: number,
  method: string,
  path: string,
  body: unknown,
  token?: string,
): Promise<Reply> {
  const headers: Record<string, string> = { 'content-type': 'application/json' };
  if (token !== undefined) headers['authorization'] = `Token ${token}`;
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers,
    body: JSON.stringify(body),
  });
  const reply = { status: response.status, text: await response.text() };
  if (reply.status !== 200) throw new Error(`${method} ${path} answered ${reply.status}: ${reply.text}`);
  return reply;
}

/** Registers the users and writes the articles; resolves with the users' tokens. */
export async function seed(port: number): Promise<string[]> {
  const tokens: string[] = [];
  for (let i = 0; i < USERS; i++) {
    const user = { username: `user${i}`, email: `user${i}@example.com`, password: 'password' };
    const { text } = await call(port, 'POST', '/api/users', { user });
    tokens.push((JSON.parse(text) as { user: { token: string } }).user.token);
  }
  for (let i = 0; i < ARTICLES; i++) {
    const article = {
      title: `Seeded ${i}`,
      description: PARAGRAPH,
      body: PARAGRAPH.repeat(12),
      tagList: [`tag${i}`],
    };
    await call(port, 'POST', '/api/articles', { article }, tokens[i % USERS]);
    await call(port, 'POST', `/api/articles/seeded-${i}/favorite`, {}, tokens[(i + 1) % USERS]);
  }
  return tokens;
}

/** One script a connection; they start at different requests. */
export function readScripts(connections: number): Step[][] {
  return Array.from({ length: connections }, (_, connection) => {
    const paths = ['/api/articles?limit=20', '/api/tags', `/api/articles/seeded-${connection % ARTICLES}`];
    return paths.map((_path, i) => ({
      bytes: request('GET', paths[(i + connection) % paths.length] ?? '/'),
      status: 200,
    }));
  });
}

/** Create, comment, favourite, update, read, delete; `connections` different articles. */
export function writeScripts(connections: number, tokens: readonly string[]): Step[][] {
  return Array.from({ length: connections }, (_, connection) => {
    const author = tokens[connection % tokens.length] ?? '';
    const reader = tokens[(connection + 1) % tokens.length] ?? '';
    const path = `/api/articles/written-${connection}`;
    const article = { title: `Written ${connection}`, description: PARAGRAPH, body: PARAGRAPH.repeat(12) };
    const update = { article: { body: PARAGRAPH.repeat(14) } };
    const comment = { comment: { body: PARAGRAPH } };
    return [
      { bytes: request('POST', '/api/articles', { token: author, body: { article } }), status: 200 },
      { bytes: request('POST', `${path}/comments`, { token: reader, body: comment }), status: 200 },
      { bytes: request('POST', `${path}/favorite`, { token: reader }), status: 200 },
      { bytes: request('PUT', path, { token: author, body: update }), status: 200 },
      { bytes: request('GET', path), status: 200 },
      { bytes: request('DELETE', path, { token: author }), status: 204 },
    ];
  });
}
