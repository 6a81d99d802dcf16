/** Attacks on what there is of time, memory, processes, processors and output. */
import { spawn } from 'node:child_process';
import { setTimeout as delay } from 'node:timers/promises';
import { resultFrames } from '../../src/wire/channel.ts';
import type { Attack } from './attack.ts';
import type { Captured } from './captured.ts';

/** The deadline's floor is a second. */
const JUST_BELOW_MS = 900;
/** With what else runs in a domain, less than it may have. */
const BUSY = 40;
const BLOCK_BYTES = 16 * 1024 ** 2;

/** Each answer comes this late after the one before; they stay in order. */
function slowly(captured: Captured, ms: number): void {
  let turn = Promise.resolve();
  captured.onAnswer = (_answer, pass) => {
    turn = turn.then(() => delay(ms)).then(pass);
  };
}

function printForever(): void {
  const line = `${'\u001b[31mnoise\u0007'.repeat(1000)}\n`;
  const program = `for (;;) require('node:fs').writeSync(1, ${JSON.stringify(line)})`;
  for (let i = 0; i < 4; i++)
    spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'inherit', 'inherit'] });
}

export const FLOOD_ATTACKS: readonly Attack[] = [
  {
    name: 'silence',
    by: 'active',
    kind: 'late',
    stopped: 'the deadline (U1, U2)',
    run: (captured) => {
      captured.onAnswer = () => {};
    },
  },
  {
    name: 'answers just below the deadline, one after the other',
    by: 'active',
    kind: 'late',
    stopped: 'the time that a replica keeps others waiting is counted together (U6)',
    run: (captured) => slowly(captured, JUST_BELOW_MS),
  },
  {
    name: 'orders that are not read',
    by: 'active',
    kind: 'late',
    stopped: 'the deadline; `Link` (K3): what waits to be sent is bounded',
    run: (captured) => void captured.manager.pause(),
  },
  {
    name: 'all the memory there is',
    by: 'active',
    kind: 'crash',
    stopped: "the domain's memory limit",
    run: async () => {
      const kept: Buffer[] = [];
      for (;;) {
        kept.push(Buffer.alloc(BLOCK_BYTES, kept.length + 1));
        await delay(1);
      }
    },
  },
  {
    name: 'processes without end',
    by: 'active',
    kind: 'crash',
    stopped: "the domain's process limit",
    run: async () => {
      for (;;) {
        spawn('/bin/sh', ['-c', 'sleep 60 & sleep 60 & wait'], { stdio: 'ignore' }).on('error', () => {});
        await delay(1);
      }
    },
  },
  {
    name: 'all the processors there are, by as many sessions as processes',
    by: 'active',
    kind: 'late',
    sandboxed: true,
    stopped: '`DOMAIN_FILTER`: a domain is one session, and has the share of one; the deadline',
    run: () => {
      const options = { detached: true, stdio: 'ignore' } as const;
      for (let i = 0; i < BUSY; i++) spawn('/bin/sh', ['-c', 'while :; do :; done'], options);
    },
  },
  {
    name: 'output without end, and a lie after two seconds',
    by: 'active',
    kind: 'reply',
    stopped: '`Console` keeps the last 64 KiB and reads on at its own pace',
    run: async (captured) => {
      printForever();
      await delay(2000);
      captured.results('request', 'all', ({ index, update }) =>
        captured.send(resultFrames(index, Buffer.from('x'), update)),
      );
    },
  },
];
