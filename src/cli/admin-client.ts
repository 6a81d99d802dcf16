/** What `spare` asks of the group that runs with a data folder, through its admin API. */
import { readAccess, RUN_HEADER, runOf } from '../admin/access.ts';
import { ERROR_CODES, type ErrorCode, messageOf, SpareError } from '../errors.ts';
import { request } from '../node-http.ts';
import { checkDataFolder } from './data-folder.ts';

/**
 * For what is read. What is done takes as long as the state is large: it is waited for without a limit, by who has heard before that
 * the group is there. When that ends, so does the connection.
 */
const PATIENCE_MS = 60_000;
const NO_LIMIT = 0;

function notRunning(dataFolder: string, cause?: unknown): SpareError {
  return new SpareError('not-running', `Nothing runs with the data folder ${dataFolder}.`, {
    hint: 'Name the folder with --data or --config, as in the call of `spare run`.',
    cause,
  });
}

function isCode(code: unknown): code is ErrorCode {
  return typeof code === 'string' && Object.hasOwn(ERROR_CODES, code);
}

function refused(status: number, body: unknown): SpareError {
  const { error, code, hint } = body as { error?: string; code?: unknown; hint?: string };
  return new SpareError(isCode(code) ? code : 'admin-failed', error ?? `It answered ${status}.`, {
    hint: hint ?? 'See what the running `spare` says.',
  });
}

/** `fetch` gives up after five minutes without a head. */
function exchange(
  url: string,
  method: 'GET' | 'POST',
  token: string,
  timeout: number,
): Promise<{ status: number; run: unknown; text: string }> {
  return new Promise((resolve, reject) => {
    const headers = { authorization: `Bearer ${token}` };
    const call = request(url, { method, headers, timeout }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => (text += chunk));
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, run: response.headers[RUN_HEADER], text }),
      );
      response.on('error', reject);
    });
    call.on('timeout', () => call.destroy(new Error('it does not answer')));
    call.on('error', reject);
    call.end();
  });
}

/** Resolves with the answer. Throws `data-folder-missing`, `not-running`, `admin-failed`, and what the group refuses with. */
export async function askAdmin(
  dataFolder: string,
  path: string,
  method: 'GET' | 'POST' = 'POST',
  patienceMs: number = PATIENCE_MS,
): Promise<unknown> {
  checkDataFolder(dataFolder);
  const access = readAccess(dataFolder);
  if (access === null) throw notRunning(dataFolder);
  try {
    const ask = async (what: string, how: typeof method, timeout: number): ReturnType<typeof exchange> => {
      const answer = await exchange(`${access.url}${what}`, how, access.token, timeout);
      if (answer.run !== runOf(access.token)) throw notRunning(dataFolder);
      return answer;
    };
    if (method === 'POST') await ask('/livez', 'GET', patienceMs);
    const { status, text } = await ask(path, method, method === 'POST' ? NO_LIMIT : patienceMs);
    const body = JSON.parse(text) as unknown;
    if (status === 200) return body;
    throw refused(status, body);
  } catch (error) {
    if (error instanceof SpareError) throw error;
    if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') throw notRunning(dataFolder, error);
    const hint = 'What was asked for may have been done all the same; see /status.';
    throw new SpareError('admin-failed', `No answer from ${access.url}: ${messageOf(error)}.`, { hint });
  }
}
