/** What becomes of a machine that is parked when its end comes in between; the machines of these tests are pretended. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';

import { type ChannelEnds, openChannel, ParkedBody } from './body.ts';
import type { Machine } from './machine.ts';

const STATE = Buffer.from('state');

type Save = () => Promise<Buffer>;

class PretendedMachine {
  readonly exited: Promise<string>;
  readonly kill: () => void;
  readonly save: Save;

  constructor(save: Save) {
    this.save = save;
    const ended = Promise.withResolvers<string>();
    this.exited = ended.promise;
    // As a process: it has its signal at once, and is gone later.
    this.kill = () => void setImmediate(() => ended.resolve('killed by SIGKILL'));
  }

  async stop(): Promise<void> {}
}

function parked(ends: ChannelEnds, save: Save): ParkedBody {
  const start = (): Machine => new PretendedMachine(save) as unknown as Machine;
  return new ParkedBody(start(), { ends, start });
}

void it('D4: a machine that is killed when its state has just been saved has ended', async () => {
  const ends = await openChannel();
  const body = parked(ends, async () => {
    body.kill();
    return STATE;
  });
  await body.suspend();
  assert.equal(await body.exited, 'killed by SIGKILL');
  ends.manager.destroy();
});

void it('B2: a machine that goes because it is parked is not the end, but to be killed then is', async () => {
  const ends = await openChannel();
  const body = parked(ends, async () => STATE);
  await body.suspend();
  assert.equal(body.machine, null);
  assert.equal(await Promise.race([body.exited, turn('not yet')]), 'not yet');
  body.kill();
  assert.equal(await body.exited, 'killed while it was parked');
  ends.manager.destroy();
});
