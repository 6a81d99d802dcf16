/** An agent beside a service of a few lines, without a domain. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { freePort } from '../manager/port.ts';
import { type Answer, decodeAnswer, importFrames, prepareFrames, startFrames } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';

const SERVICE = `
  const { createServer } = require('node:http');
  const isFixed = Date.now() === 12345 && Date.now() === 12345;
  if (isFixed) createServer(() => {}).listen(process.env.PORT);
`;

export interface StartedAgent extends AsyncDisposable {
  readonly pid: number;
  /** What it said to the order to start the service. */
  readonly answer: Answer;
}

/** The service listens only where its clock is the agreed one. Both end with the disposal. */
export async function startAgent(agent: string, folder: string): Promise<StartedAgent> {
  const env = { ...process.env, SPARE_RUN: join(folder, 'run'), SPARE_WORK: folder };
  const child = spawn(process.execPath, [agent], {
    env,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
    detached: true,
  });
  const pid = child.pid ?? 0;
  const channel = child.stdio[3] as Socket;
  const command = [process.execPath, '-e', SERVICE];
  const limits = { timeoutMs: 60_000, replyBytesMax: 1 };
  const seed = Buffer.alloc(32).toString('base64');
  const order = {
    timeMs: 12345,
    seed,
    command,
    env: {},
    port: await freePort(),
    founds: true,
    ...limits,
  };
  const first = [...prepareFrames([]), ...importFrames(Buffer.alloc(0), true), ...startFrames(order)];
  for (const part of first) channel.write(part);
  const reader = new FrameReader(1024 ** 2);
  for await (const bytes of channel.iterator({ destroyOnReturn: false })) {
    const [frame] = reader.read(bytes as Buffer);
    if (frame === undefined) continue;
    return {
      pid,
      answer: decodeAnswer(frame),
      [Symbol.asyncDispose]: async () => {
        // With its service.
        process.kill(-pid, 'SIGKILL');
        await once(child, 'exit');
      },
    };
  }
  throw new Error('it said nothing');
}
