/**
 * The agent that the conformance suite puts into a domain: runs the code it is sent over the channel (fd 3) and
 * answers with the result. One JSON value a line: `{id, code, argument}` in, `{id, value}` or `{id, error}` out.
 */
import { createRequire } from 'node:module';
import { openChannel } from '../replica/channel.ts';

type Run = (require: NodeJS.Require, argument: unknown) => Promise<unknown>;
type RunConstructor = new (...parameters: string[]) => Run;

const AsyncFunction = (async () => {}).constructor as unknown as RunConstructor;
const require = createRequire(import.meta.url);
const channel = openChannel();
let pending: Buffer[] = [];

async function answer(line: string): Promise<void> {
  const { id, code, argument } = JSON.parse(line) as { id: number; code: string; argument: unknown };
  let result: object;
  try {
    result = { value: await new AsyncFunction('require', 'argument', code)(require, argument) };
  } catch (error) {
    result = { error: String(error) };
  }
  channel.write(`${JSON.stringify({ id, ...result })}\n`);
}

channel.on('data', (chunk: Buffer) => {
  let rest = chunk;
  for (let end = rest.indexOf(10); end !== -1; end = rest.indexOf(10)) {
    pending.push(rest.subarray(0, end));
    const line = Buffer.concat(pending).toString();
    pending = [];
    rest = rest.subarray(end + 1);
    void answer(line);
  }
  if (rest.length > 0) pending.push(rest);
});
channel.on('error', () => {});
channel.on('close', () => process.exit(0));
