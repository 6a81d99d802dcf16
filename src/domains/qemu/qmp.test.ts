/** What a hypervisor says on its control channel, and how much of that goes further. */
import assert from 'node:assert/strict';
import { duplexPair } from 'node:stream';
import { it } from 'node:test';

import { Qmp } from './qmp.ts';

void it('Q3: why a command is refused is told in a few printable words', async () => {
  const [ours, theirs] = duplexPair();
  const qmp = new Qmp(ours);
  const answered = qmp.open();
  const desc = `\u001b[2J${'x'.repeat(500_000)}`;
  theirs.write(`${JSON.stringify({ id: 1, error: { desc } })}\n`);
  await assert.rejects(answered, { message: `\u{fffd}[2J${'x'.repeat(196)}` });
});

void it('Q2: a line longer than anything said in earnest closes the channel: each byte more would cost as much as all before', async () => {
  const [ours, theirs] = duplexPair();
  const answered = new Qmp(ours).open();
  theirs.write('x'.repeat(100_000));
  await assert.rejects(answered, { message: 'it says too much' });
});
