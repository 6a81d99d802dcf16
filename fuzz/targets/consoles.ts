/** Output of a domain in any pieces: its end is kept, no more. */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import type { Readable } from 'node:stream';
import { Console, CONSOLE_BYTES } from '../../src/domains/process/console.ts';
import { printableLines } from '../../src/wire/channel.ts';
import type { Target } from '../target.ts';

class Output extends EventEmitter {
  pause(): void {}
  resume(): void {}
}

export const target: Target = {
  seeds: [Buffer.from('line\nline\n'), Buffer.from('\u001b[31mred\u0007')],
  words: ['\n', '\x1b[', '\xff', '\xe2\x82'],
  run: (input) => {
    const output = new Output();
    const kept = new Console();
    kept.attach(output as unknown as Readable);
    const step = 1 + ((input[0] ?? 0) % 97);
    for (let at = 0; at < input.length; at += step) output.emit('data', input.subarray(at, at + step));
    const text = kept.text();
    assert.ok(text === input.toString() && text.length <= CONSOLE_BYTES);
    assert.doesNotMatch(printableLines(text), /[^\P{C}\n\t]/u);
    return 'kept';
  },
};
