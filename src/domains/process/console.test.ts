import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { it } from 'node:test';

import { Console, CONSOLE_BYTES } from './console.ts';

function fed(...chunks: string[]): string {
  const output = new Console();
  const stream = new PassThrough();
  output.attach(stream);
  for (const chunk of chunks) stream.emit('data', Buffer.from(chunk));
  return output.text();
}

void it('keeps short output as it is', () => {
  assert.equal(fed('one ', 'two'), 'one two');
});

void it('keeps exactly the last bytes, however they arrive', () => {
  const all = Array.from({ length: 30_000 }, (_, i) => `line ${i}\n`).join('');
  const tail = all.slice(-CONSOLE_BYTES);
  assert.equal(fed(all), tail);
  assert.equal(fed(...(all.match(/[^]{1,1000}/g) ?? [])), tail);
  assert.equal(fed(all.slice(0, 70_001), all.slice(70_001)), tail);
  assert.equal(fed('x'.repeat(CONSOLE_BYTES)), 'x'.repeat(CONSOLE_BYTES));
});

void it('P7: reads on at its own pace once much has come', () => {
  const stream = new PassThrough();
  new Console().attach(stream);
  stream.emit('data', Buffer.alloc(512 * 1024));
  assert.equal(stream.isPaused(), false);
  stream.emit('data', Buffer.alloc(512 * 1024));
  assert.equal(stream.isPaused(), true);
});
