/** What is left of a machine whose process cannot be started, or does what no QEMU does. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  closeSync,
  mkdtempDisposableSync,
  mkdtempSync,
  openSync,
  readdirSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { descriptors, withDescriptors } from '../../testing.ts';
import type { Opening } from '../domain.ts';
import { eventually, MIB } from '../conformance-peer.ts';
import type { TakenOwner } from '../process/owners.ts';
import { childrenOf } from '../process/tree.ts';
import { takeMachineOwner } from './accelerator.ts';
import { openChannel, ParkedBody, PausedBody, type Suspension } from './body.ts';
import { FD, machineBytes } from './command.ts';
import type { Image } from './image/manifest.ts';
import { Machine } from './machine.ts';
import { QemuDomain } from './qemu-domain.ts';
import { COMMAND_MS_MAX } from './qmp.ts';
import { StatePort } from './state-port.ts';
import { Template, type TemplateOptions } from './template.ts';

/** Too few for a machine: for nothing, for its guardian, for a part of its ports. */
const FEW = [0, 4, 8, 12];
/** Of which a machine has 256 MiB. */
const LIMITS = { memoryBytes: 2 ** 27, processes: 8 };
const OPTIONS = {
  accelerator: 'tcg',
  box: undefined,
  limits: LIMITS,
  owner: undefined,
} as const;

/** A program that says yes to every command, and then does as the code says with `execute` and `uri`. */
function yes(code: string): string {
  return `#!${process.execPath}
    const fs = require('node:fs');
    const { Socket, connect } = require('node:net');
    const { dirname } = require('node:path');
    const control = new Socket({ fd: ${FD.qmp} });
    const say = (what) => control.write(JSON.stringify(what) + '\\n');
    const done = () => say({ event: 'MIGRATION', data: { status: 'completed' } });
    control.on('data', (lines) => {
      for (const line of lines.toString().trim().split('\\n')) {
        const { id, execute, arguments: { uri } } = JSON.parse(line);
        say({ return: {}, id });
        const reach = () => connect(uri.slice('unix:'.length)).on('error', () => {});
        ${code}
      }
    });`;
}

const ENDLESS = yes(`
  if (execute !== 'migrate') continue;
  const [state, part] = [reach(), Buffer.alloc(1024 ** 2)];
  const more = () => { while (state.write(part)); };
  state.on('drain', more);
  more();`);

/** Its state is what comes of writing beside the socket that it is given. */
const CURIOUS = yes(`
  if (execute !== 'migrate') continue;
  let found = 'written';
  try {
    fs.writeFileSync(dirname(fs.readlinkSync(uri.slice('unix:'.length))) + '/other', '');
  } catch ({ code }) {
    found = code;
  }
  reach().end(found, done);`);

/** Its state is what comes in the end of connecting again and again, beside the one connection that it tells it through. */
const PRESSING = yes(`
  if (execute !== 'migrate') continue;
  const socket = reach();
  let tries = 0;
  const press = () => {
    const again = connect(uri.slice('unix:'.length));
    const refused = ({ code }) => {
      // It was cut off, as below, before it heard that it is connected.
      if (code === 'ECONNRESET' && tries++ < 50) setTimeout(press, 100);
      else socket.end(code, done);
    };
    again.once('error', refused).once('connect', () => {
      // The first one was not taken yet: this one is cut off when it is.
      again.off('error', refused).on('error', () => {});
      if (tries++ < 50) setTimeout(press, 100);
      else socket.end('connected', done);
    });
  };
  socket.once('connect', press);`);

/** Its state is what comes of writing and of growing its memory file. */
const GROWING = yes(`
  if (execute !== 'migrate') continue;
  const what = (action) => { try { action(); return 'done'; } catch ({ code }) { return code; } };
  const write = (at) => what(() => fs.writeSync(${FD.memory}, 'x', at));
  const grow = (bytes) => what(() => fs.ftruncateSync(${FD.memory}, bytes));
  const bytes = ${machineBytes(LIMITS.memoryBytes)};
  reach().end([write(bytes - 1), write(bytes), grow(bytes), grow(bytes + 1)].join(), done);`);

/** Of a file with this program in it, that every user may execute. */
function programOf(folder: string, source: string): string {
  chmodSync(folder, 0o755);
  const program = join(folder, 'qemu');
  writeFileSync(program, source, { mode: 0o755 });
  return program;
}

void it('without descriptors a machine is not started, and nothing stays', async () => {
  const fd = openSync('/dev/null', 'r');
  const files = { root: fd, memory: fd };
  const start = async (): Promise<Machine> =>
    new Machine({ ...OPTIONS, program: '/bin/true', start: 'clone', files });
  const before = descriptors();
  for (const free of FEW) {
    await assert.rejects(withDescriptors(free, start), /too many open files/);
    assert.equal(
      await eventually(() => descriptors() <= before && childrenOf(process.pid).length === 0),
      true,
    );
  }
});

void it('S1: without descriptors there is no state port, and nothing of one stays', async (context) => {
  using folder = mkdtempDisposableSync(join(tmpdir(), 'spare-ports-'));
  const usual = process.env['TMPDIR'];
  process.env['TMPDIR'] = folder.path;
  context.after(() => {
    if (usual === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = usual;
  });
  const make = async (): Promise<void> => {
    using port = new StatePort();
    port.handedOver();
  };
  const before = descriptors();
  for (const free of [0, 1, 2, 3, 4]) {
    await withDescriptors(free, make).catch(() => {});
    assert.equal(await eventually(() => descriptors() <= before), true, `with ${free}`);
    assert.deepEqual(readdirSync(folder.path), [], `with ${free}`);
  }
});

function templateOptions(program: string): TemplateOptions {
  return {
    hypervisor: { program, box: undefined, accelerator: 'tcg', description: '' },
    image: { verify: async () => {}, path: () => '/dev/null' } as unknown as Image,
    limits: LIMITS,
    folder: tmpdir(),
    opening: undefined,
    behind: false,
    signal: new AbortController().signal,
    suspension: 'parked',
  };
}

void it('without descriptors a template is not made, and its files and its user are free again', async () => {
  const options = templateOptions('/bin/true');
  const nextOwner = (): number | undefined => {
    const owner = takeMachineOwner();
    owner?.release();
    return owner?.uid;
  };
  const before = descriptors();
  const owner = nextOwner();
  for (const free of FEW) {
    await assert.rejects(
      withDescriptors(free, () => Template.make(options)),
      /EMFILE|too many open files/,
    );
    assert.equal(await eventually(() => descriptors() <= before), true);
    assert.equal(nextOwner(), owner);
  }
});

/** A domain whose hypervisor is this program; it ends with the test. */
async function pretended(context: TestContext, source: string, suspension: Suspension): Promise<QemuDomain> {
  const folder = mkdtempSync(join(tmpdir(), 'spare-pretended-'));
  const program = programOf(folder, source);
  const fd = openSync('/dev/null', 'r');
  const files = { root: fd, memory: fd };
  const ends = await openChannel();
  const start = (): Machine => new Machine({ ...OPTIONS, program, start: 'again', files, ends });
  const machine = start();
  const body = suspension === 'paused' ? new PausedBody(machine) : new ParkedBody(machine, { ends, start });
  const release = (): void => {
    closeSync(fd);
    ends.machine.destroy();
  };
  const domain = new QemuDomain({ body, console: machine.console, answer: undefined, release }, folder);
  context.after(() => domain.destroy());
  domain.prioritize();
  return domain;
}

void it(
  'V3, P7: a machine that tells its state without end is ended, and little of it is kept',
  { timeout: 120_000 },
  async (context) => {
    const domain = await pretended(context, ENDLESS, 'parked');
    const before = process.memoryUsage().rss;
    await domain.suspend();
    assert.equal(await domain.exited, 'its hypervisor failed: the state of its devices is too large');
    assert.ok(process.memoryUsage().rss - before < 512 * MIB);
  },
);

/** What becomes of one that goes on otherwise than any QEMU when it is to save its state, or to load it. */
const UNFINISHED = {
  saved: [
    '',
    `if (execute === 'migrate') reach().end('state');`,
    `if (execute === 'migrate') reach().write('state', done);`,
  ],
  loaded: [`if (execute === 'migrate') reach().end('state', done);`],
};

void describe('machines that never come to an end', { concurrency: true }, () => {
  for (const [what, programs] of Object.entries(UNFINISHED)) {
    for (const [i, code] of programs.entries()) {
      void it(`V3: one whose state is never ${what} is ended, and says so (${i})`, async (context) => {
        const domain = await pretended(context, yes(code), 'parked');
        await domain.suspend();
        await domain.resume();
        const why = `its hypervisor failed: its state was not ${what} within ${COMMAND_MS_MAX} ms`;
        assert.equal(await domain.exited, why);
      });
    }
  }
});

/** The watchdog sees a suspended domain more than twice. */
const LOOKS_MS = 3500;
const RESTLESS = yes(`
  if (execute === 'stop' && globalThis.stopped) setTimeout(() => { for (;;); }, 100);
  globalThis.stopped = true;`);
/** Holds more than it may once its machine stands still; to get that is little work, for one that works is ended for that. */
const GREEDY = yes(`
  const held = () => 1024 * /RssAnon:\\s+(\\d+)/.exec(fs.readFileSync('/proc/self/status', 'latin1'))[1];
  globalThis.kept ??= [Buffer.alloc(632 * 1024 ** 2 - held(), 1)];
  if (execute === 'stop') setTimeout(() => kept.push(Buffer.alloc(16 * 1024 ** 2, 1)), 5);`);

void it('V4, D2: a hypervisor that works while its machine stands still is ended, one that rests is not', async (context) => {
  const domain = await pretended(context, RESTLESS, 'paused');
  await domain.suspend();
  assert.equal(await Promise.race([domain.exited, delay(LOOKS_MS, 'suspended')]), 'suspended');
  await domain.resume();
  await domain.suspend();
  assert.equal(await domain.exited, 'it went on while it was suspended');
});

void it('V4, D6: a hypervisor that grows while its machine stands still is ended', async (context) => {
  const domain = await pretended(context, GREEDY, 'paused');
  await domain.suspend();
  assert.equal(await domain.exited, 'its hypervisor holds more than 640 MiB');
});

/** Says what nobody asked for, without end, on a port. */
function talkative(fd: number): string {
  return yes(`
    const port = ${fd} === ${FD.qmp} ? control : new Socket({ fd: ${fd} });
    const words = '{"event":"X"}\\n'.repeat(5000);
    const more = () => { while (port.write(words)); };
    port.on('drain', more);
    more();`);
}

for (const port of ['qmp', 'control'] as const) {
  void it(`P7: a machine that talks without end costs little of the manager's time (${port})`, async (context) => {
    const domain = await pretended(context, talkative(FD[port]), 'paused');
    await domain.resume();
    await delay(200);
    const [from, start] = [performance.now(), process.cpuUsage()];
    await delay(1000);
    const { user, system } = process.cpuUsage(start);
    const share = (user + system) / 1000 / (performance.now() - from);
    assert.ok(share < 0.15, `${(100 * share).toFixed(0)} %`);
  });
}

/** Ends, but for a process that holds its ports. */
const SURVIVED = yes(`
  const stdio = ['ignore', 'ignore', 'ignore', 'ignore', ${FD.control}];
  require('node:child_process').spawn('sleep', ['60'], { stdio, detached: true }).unref();
  process.exit(0);`);

void it(
  'D4: the end of a hypervisor is told though somebody else holds its ports',
  { timeout: 40_000 },
  async (context) => {
    const domain = await pretended(context, SURVIVED, 'paused');
    await domain.suspend();
    assert.match(await domain.exited, /its hypervisor failed: it ended|its machine switched off/);
  },
);

/** Boots and is saved; a clone of it says something to the manager, and ends. */
const STILLBORN = yes(`
  if (execute === 'cont') {
    const guest = new Socket({ fd: ${FD.control} });
    guest.once('data', () => guest.write('ready\\n', () => setTimeout(() => guest.write('idle\\n'), 50)));
  }
  if (execute === 'migrate') reach().end('state', done);
  if (execute === 'migrate-incoming') fs.writeSync(${FD.channel}, 'words'), process.exit(1);`);

void it('D3: a clone that ends while it is made leaves nothing open', async () => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-stillborn-'));
  using template = await Template.make(templateOptions(programOf(place.path, STILLBORN)));
  const before = descriptors();
  for (let i = 0; i < 3; i++) await assert.rejects(template.clone(), { code: 'domain-start-failed' });
  assert.equal(await eventually(() => descriptors() <= before), true, `${descriptors() - before} are open`);
});

/** Answers as often as this on its channel, and then no more. */
function silentAfter(answers: number): string {
  return yes(`
  if (execute === 'cont') {
    let left = ${answers};
    const guest = new Socket({ fd: ${FD.control} });
    const agent = new Socket({ fd: ${FD.channel} });
    guest.once('data', () => guest.write('ready\\n'));
    agent.on('data', () => left-- > 0 && agent.write('yes'));
  }`);
}

for (const [answers, failure] of [
  [0, 'it was not opened within 3000 ms'],
  [1, 'it has not practised within 13000 ms'],
] as const) {
  void it(
    `V3: a template that falls silent after ${answers} answers is given up`,
    { timeout: 120_000 },
    async () => {
      using place = mkdtempDisposableSync(join(tmpdir(), 'spare-silent-'));
      const opening: Opening = {
        key: '',
        timeoutMs: 3000,
        send: (write) => write([Buffer.from('open')]),
        listen: () => () => 'answered',
        rehearsal: [Buffer.from('practise')],
      };
      const options = { ...templateOptions(programOf(place.path, silentAfter(answers))), opening };
      await assert.rejects(Template.make(options), (error: Error) => error.message.includes(failure));
      assert.equal(await eventually(() => childrenOf(process.pid).length === 0), true);
    },
  );
}

/** What a machine with this program tells as its state. */
async function stateOf(source: string, owner: TakenOwner | undefined): Promise<string> {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-telling-'));
  const program = programOf(place.path, source);
  const fd = openSync('/dev/null', 'r');
  const memory = openSync(join(place.path, 'memory'), 'w+');
  const files = { root: fd, memory };
  const machine = new Machine({ ...OPTIONS, program, start: 'again', files, owner });
  try {
    return String(await machine.save());
  } finally {
    machine.kill();
    await machine.exited;
    for (const open of [fd, memory]) closeSync(open);
  }
}

void it('M1: a machine that is saved finds no folder that the manager writes to', async () => {
  using held = new DisposableStack();
  const owner = held.adopt(takeMachineOwner(), (taken) => taken?.release());
  assert.equal(await stateOf(CURIOUS, owner), 'ENOENT');
});

void it('M1, P7: a machine tells its state through one connection, and gets no other', async () => {
  assert.equal(await stateOf(PRESSING, undefined), 'ECONNREFUSED');
});

void it('M3, P7: a machine cannot make a file larger than its memory', async () => {
  assert.equal(await stateOf(GROWING, undefined), 'done,EFBIG,done,EFBIG');
});
