/** Is a checkpoint in force only when it is whole, agreed and durable, and is an export bounded? */
import assert from 'node:assert/strict';
import fs, {
  appendFileSync,
  mkdtempSync,
  readdirSync,
  readlinkSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { digest } from '../core/index.ts';
import { SpareError } from '../errors.ts';
import { descriptors, onFullDisk, untilDone } from '../testing.ts';
import { decodeOrder } from '../wire/channel.ts';
import { FrameReader } from '../wire/frames.ts';
import { digestOf } from './ballots.ts';
import { Snapshots } from './snapshots.ts';

class Folder implements Disposable {
  readonly path: string = mkdtempSync(join(tmpdir(), 'spare-snapshots-'));

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}

const MIB = 1024 ** 2;
const state = Buffer.from('the whole state');
const NOTHING = { checkpoint: null, base: null };
const FIFTH = { index: 5, file: 'checkpoint-5' };

/** What an agent would import. */
async function imported(
  snapshots: Snapshots,
  lasts: boolean[] = [],
): Promise<{ bytes: Buffer; lasts: boolean[] }> {
  const reader = new FrameReader(2 ** 24);
  const chunks: Buffer[] = [];
  for await (const frames of snapshots.frames()) {
    for (const frame of reader.read(Buffer.concat(frames))) {
      const order = decodeOrder(frame);
      assert.ok(order.type === 'import');
      chunks.push(order.chunk);
      lasts.push(order.last);
    }
  }
  return { bytes: Buffer.concat(chunks), lasts };
}

test('P7: a large export reaches the disk piece by piece, and its replica waits for that', async () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 64 * MIB, NOTHING);
  const told: string[] = [];
  const { promise: caughtUp, resolve } = Promise.withResolvers<void>();
  snapshots.onBehind = (replica, behind) => {
    told.push(`${replica} ${behind ? 'waits' : 'goes on'}`);
    if (!behind) resolve();
  };
  const chunk = Buffer.alloc(MIB, 'x');
  snapshots.expect('r2', 9);
  snapshots.announce('r2', 10 * MIB);
  for (let i = 0; i < 7; i++) snapshots.take('r2', chunk, false);
  assert.deepEqual(told, []);
  snapshots.take('r2', chunk, false);
  assert.deepEqual(told, ['r2 waits']);
  await caughtUp;
  assert.deepEqual(told, ['r2 waits', 'r2 goes on']);
  snapshots.take('r2', chunk, false);
  const whole = snapshots.take('r2', chunk, true);
  assert.equal(whole, digestOf(Buffer.alloc(10 * MIB, 'x')));
  assert.equal(await snapshots.commit(9, digestOf(Buffer.alloc(10 * MIB, 'x'))), 'checkpoint-9');
  snapshots.expect('r3', 12);
  snapshots.announce('r3', 64 * MIB);
  for (let i = 0; i < 8; i++) snapshots.take('r3', chunk, false);
  snapshots.discard('r3');
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9'], 'also while it is on its way');
});

test('P7: a replica waits until the disk has all that it exported: the end of an export that was given up does not let the next one go on', async (context) => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 64 * MIB, NOTHING);
  const told: boolean[] = [];
  snapshots.onBehind = (_, behind) => told.push(behind);
  const syncing: (() => void)[] = [];
  context.mock.method(fs, 'fdatasync', (_fd: number, done: () => void) => syncing.push(done));
  untilDone(context);
  for (const index of [9, 12]) {
    snapshots.expect('r2', index);
    snapshots.announce('r2', 20 * MIB);
    snapshots.take('r2', Buffer.alloc(8 * MIB), false);
    await context.waitFor(() => assert.equal(syncing.length, index === 9 ? 1 : 2));
  }
  const [first, second] = syncing;
  first?.();
  await new Promise(setImmediate);
  assert.deepEqual(told, [true]);
  second?.();
  await context.waitFor(() => assert.deepEqual(told, [true, false]));
  snapshots.take('r2', Buffer.alloc(8 * MIB), false);
  assert.deepEqual(told, [true, false, true], 'again');
});

test('P4: an export takes effect only once it is committed under its own digest and in force', async () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  snapshots.expect('r2', 9);
  snapshots.announce('r2', state.length);
  assert.equal(snapshots.take('r2', state.subarray(0, 5), false), null);
  const digestOfAll = snapshots.take('r2', state.subarray(5), true);
  assert.equal(digestOfAll, digestOf(state));
  assert.deepEqual(await imported(snapshots), { bytes: Buffer.alloc(0), lasts: [true] });
  assert.equal(await snapshots.commit(9, digest('another')), null, 'a digest that nobody exported');
  snapshots.expect('r3', 9);
  snapshots.announce('r3', state.length);
  snapshots.take('r3', state, true);
  assert.equal(await snapshots.commit(9, digestOf(state)), 'checkpoint-9');
  assert.equal(snapshots.index, -1);
  snapshots.inForce(9);
  assert.equal(snapshots.index, 9);
  assert.deepEqual((await imported(snapshots)).bytes, state);
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9']);
  assert.equal(statSync(join(folder.path, 'checkpoint-9')).mode & 0o077, 0, 'for nobody else');
});

test('P2: while they are held, states that are not in force any more stay, for whoever reads them', async () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  const checkpoint = async (index: number): Promise<void> => {
    const bytes = Buffer.from(`state ${index}`);
    snapshots.expect('r2', index);
    snapshots.announce('r2', bytes.length);
    snapshots.take('r2', bytes, true);
    await snapshots.commit(index, digestOf(bytes));
    snapshots.inForce(index);
  };
  await checkpoint(1);
  {
    using _held = snapshots.hold();
    await checkpoint(2);
    assert.deepEqual(readdirSync(folder.path).sort(), ['checkpoint-1', 'checkpoint-2']);
  }
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-2']);
});

test('P2: a checkpoint that the store does not yet name stays, also when whoever read the one before lets go', async () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  snapshots.expect('r2', 9);
  snapshots.announce('r2', state.length);
  snapshots.take('r2', state, true);
  {
    using _held = snapshots.hold();
    await snapshots.commit(9, digestOf(state));
  }
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9']);
  snapshots.inForce(9);
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9']);
});

test('P2: what comes while a checkpoint is made durable leaves it alone: another export of its replica, another checkpoint', async () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  const exported = (index: number, bytes: Buffer): void => {
    snapshots.expect('r2', index);
    snapshots.announce('r2', bytes.length);
    snapshots.take('r2', bytes, true);
  };
  exported(9, state);
  const committed = snapshots.commit(9, digestOf(state));
  const later = Buffer.from('a later state');
  exported(12, later);
  assert.equal(await snapshots.commit(12, digestOf(later)), null);
  assert.equal(await committed, 'checkpoint-9');
  snapshots.inForce(9);
  assert.deepEqual((await imported(snapshots)).bytes, state);
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9']);
});

test('P2: an export of which the disk lost a piece is no checkpoint, whatever the disk says of the rest; the one before stays', async (context) => {
  using folder = new Folder();
  writeFileSync(join(folder.path, 'checkpoint-5'), state);
  const snapshots = new Snapshots(folder.path, 64 * MIB, { ...NOTHING, checkpoint: FIFTH });
  const failure = Object.assign(new Error('EIO: i/o error, fdatasync'), { syscall: 'fdatasync' });
  const failures: unknown[] = [];
  snapshots.onFailure = (error) => failures.push(error);
  // The kernel says once that what was written is lost.
  const lost = (_fd: number, done: (error: Error) => void): void => void setImmediate(done, failure);
  context.mock.method(fs, 'fdatasync', lost);
  untilDone(context);
  const large = Buffer.alloc(9 * MIB, 1);
  snapshots.expect('r2', 9);
  snapshots.announce('r2', large.length);
  snapshots.take('r2', large.subarray(0, 8 * MIB), false);
  snapshots.take('r2', large.subarray(8 * MIB), true);
  await assert.rejects(snapshots.commit(9, digestOf(large)), failure);
  assert.deepEqual(failures, [failure], 'whoever holds the group is told at once');
  assert.equal(snapshots.index, 5);
  snapshots.expect('r3', 12);
  snapshots.announce('r3', large.length);
  snapshots.take('r3', large.subarray(0, 8 * MIB), false);
  snapshots.discard('r3');
  await context.waitFor(() => assert.deepEqual(failures, [failure, failure]));
});

test('P2: an export of which the disk took only a part is none', () => {
  using folder = new Folder();
  const script = `
    import { Snapshots } from ${JSON.stringify(new URL('./snapshots.ts', import.meta.url).href)};
    const snapshots = new Snapshots(${JSON.stringify(folder.path)}, 1000, { checkpoint: null, base: null });
    snapshots.expect('r2', 9);
    snapshots.announce('r2', 100);
    try {
      process.stdout.write(String(snapshots.take('r2', Buffer.alloc(100), true)));
    } catch (error) {
      process.stdout.write(error.code);
    }`;
  assert.equal(onFullDisk(60, script), 'EFBIG');
});

test('P7: an export that nobody asked for, goes on after its end, or has another size than announced is refused', () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 20, NOTHING);
  assert.equal(snapshots.take('r2', state, true), 'refused');
  snapshots.announce('r2', state.length);
  snapshots.expect('r2', 1);
  assert.equal(snapshots.take('r2', state, true), 'refused', 'its size was not announced');
  snapshots.expect('r2', 1);
  snapshots.announce('r2', state.length);
  assert.equal(snapshots.take('r2', state, true), digestOf(state));
  assert.equal(snapshots.take('r2', state, true), 'refused');
  snapshots.expect('r3', 1);
  snapshots.announce('r3', 1_000_000);
  assert.equal(snapshots.take('r3', state, false), null);
  assert.equal(snapshots.take('r3', state, false), 'refused', 'more than a state may have');
  snapshots.expect('r4', 1);
  snapshots.announce('r4', state.length);
  assert.equal(snapshots.take('r4', state.subarray(1), true), 'refused', 'less than announced');
});

test('P2: what a crash left half done is removed, what is in force stays', async () => {
  using folder = new Folder();
  for (const name of ['checkpoint-5', 'checkpoint-7', 'export-r1', 'base'])
    writeFileSync(join(folder.path, name), name);
  const snapshots = new Snapshots(folder.path, 1000, { ...NOTHING, checkpoint: FIFTH });
  assert.deepEqual(readdirSync(folder.path).sort(), ['base', 'checkpoint-5']);
  assert.equal((await imported(snapshots)).bytes.toString(), 'checkpoint-5');
});

test('P7: of several equal exports one is taken, and none is left open', async (context) => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  const before = descriptors();
  for (const replica of ['r2', 'r3', 'r4']) {
    snapshots.expect(replica, 9);
    snapshots.announce(replica, state.length);
    snapshots.take(replica, state, true);
  }
  await snapshots.commit(9, digestOf(state));
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9']);
  await context.waitFor(() => assert.equal(descriptors(), before));
});

/** How many files below it are open and have no name any more: their room is not given back yet. */
function unnamed({ path }: Folder): number {
  const links = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      // The one that listed them.
      return '';
    }
  });
  return links.filter((link) => link.startsWith(`${path}/`) && link.endsWith(' (deleted)')).length;
}

test('P7: the room of states that are not needed any more is given back beside the loop', async (context) => {
  using folder = new Folder();
  writeFileSync(join(folder.path, 'checkpoint-5'), state);
  const snapshots = new Snapshots(folder.path, 1000, { ...NOTHING, checkpoint: FIFTH });
  const { close } = fs;
  const closing: (() => void)[] = [];
  context.mock.method(fs, 'close', (fd: number, done: () => void) => closing.push(() => close(fd, done)));
  untilDone(context);
  for (const replica of ['r2', 'r3']) {
    snapshots.expect(replica, 9);
    snapshots.announce(replica, state.length);
    snapshots.take(replica, state, true);
  }
  await snapshots.commit(9, digestOf(state));
  assert.equal(unnamed(folder), 1, 'the other export');
  snapshots.inForce(9);
  assert.equal(unnamed(folder), 2, 'the checkpoint before');
  assert.deepEqual(readdirSync(folder.path), ['checkpoint-9']);
  for (const give of closing) give();
  await context.waitFor(() => assert.equal(unnamed(folder), 0));
});

const LARGE = Buffer.alloc(2_500_000, 3);

/** What a replica would be given, and the error that it ends with. */
async function broken(snapshots: Snapshots): Promise<[lasts: boolean[], error: unknown]> {
  const lasts: boolean[] = [];
  const told: unknown[] = [];
  snapshots.onFailure = (error) => told.push(error);
  const reading = imported(snapshots, lasts);
  await assert.rejects(reading, (error) => told[0] === error, 'whoever holds the group is told as well');
  return [lasts, told[0]];
}

const CHANGES: Readonly<Record<string, (file: string) => void>> = {
  'a byte of it changed': (file) => writeFileSync(file, LARGE.with(1_700_000, 2)),
  'its last byte changed': (file) => writeFileSync(file, LARGE.with(LARGE.length - 1, 2)),
  'it was cut at a chunk': (file) => truncateSync(file, 2 * MIB),
  'it grew': (file) => appendFileSync(file, 'x'),
  'it is empty': (file) => truncateSync(file),
};

for (const [what, change] of Object.entries(CHANGES)) {
  for (const name of ['base', 'checkpoint-5']) {
    test(`P2 P5: no replica begins with a state of which, on disk, ${what}: ${name}`, async () => {
      using folder = new Folder();
      const file = join(folder.path, name);
      writeFileSync(file, LARGE);
      const digest = digestOf(LARGE);
      const recovery =
        name === 'base'
          ? { checkpoint: null, base: digest }
          : { checkpoint: { ...FIFTH, digest }, base: null };
      const snapshots = new Snapshots(folder.path, 1000, recovery);
      assert.ok((await imported(snapshots)).bytes.equals(LARGE));
      change(file);
      const [lasts, error] = await broken(snapshots);
      assert.ok(!lasts.includes(true), 'it never takes effect');
      assert.ok(error instanceof SpareError && error.code === 'data-folder-damaged', String(error));
      assert.ok(error.message.includes(file), error.message);
    });
  }
}

test('P2 P5: a checkpoint is looked at as it was agreed on, from when it is in force', async () => {
  using folder = new Folder();
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  snapshots.expect('r2', 9);
  snapshots.announce('r2', state.length);
  snapshots.take('r2', state, true);
  await snapshots.commit(9, digestOf(state));
  snapshots.inForce(9);
  writeFileSync(join(folder.path, 'checkpoint-9'), state.with(3, 0));
  const [lasts, error] = await broken(snapshots);
  assert.deepEqual(lasts, []);
  assert.ok(error instanceof SpareError && error.code === 'data-folder-damaged', String(error));
});

const GONE: Readonly<Record<string, ConstructorParameters<typeof Snapshots>[2]>> = {
  'checkpoint-5': { ...NOTHING, checkpoint: FIFTH },
  base: { ...NOTHING, base: digestOf(LARGE) },
};

for (const [name, recovery] of Object.entries(GONE)) {
  test(`P2 P5: a state that is gone is damage, said in plain words, and nobody begins with nothing: ${name}`, async () => {
    using folder = new Folder();
    const message = new RegExp(`${name} is missing`);
    assert.throws(() => new Snapshots(folder.path, 1000, recovery), { code: 'data-folder-damaged', message });
    writeFileSync(join(folder.path, name), LARGE);
    const snapshots = new Snapshots(folder.path, 1000, recovery);
    rmSync(join(folder.path, name));
    const [lasts, error] = await broken(snapshots);
    assert.deepEqual(lasts, []);
    assert.ok(error instanceof SpareError && message.test(error.message), String(error));
  });
}

test('a state larger than a chunk is read in several, the last one marked', async () => {
  using folder = new Folder();
  writeFileSync(join(folder.path, 'base'), LARGE);
  const { bytes, lasts } = await imported(new Snapshots(folder.path, 1000, NOTHING));
  assert.ok(bytes.equals(LARGE));
  assert.deepEqual(lasts, [false, false, true]);
});

test('P5: where a state cannot be linked for evidence, as on file systems without links, it is not to be had', () => {
  using folder = new Folder();
  writeFileSync(join(folder.path, 'base'), state);
  const snapshots = new Snapshots(folder.path, 1000, NOTHING);
  assert.equal(snapshots.linkBefore(3, 1000, join(folder.path, 'linked')), null);
  assert.match(snapshots.linkBefore(3, 1000, join(folder.path, 'nowhere', 'linked')) ?? '', /ENOENT/);
});

test('P6: what an entry is compared with, as evidence, is a state from before it', () => {
  using folder = new Folder();
  writeFileSync(join(folder.path, 'checkpoint-5'), state);
  const snapshots = new Snapshots(folder.path, 1000, { ...NOTHING, checkpoint: FIFTH });
  const another = join(folder.path, 'another');
  assert.equal(snapshots.linkBefore(6, 1000, join(folder.path, 'linked')), null);
  assert.equal(snapshots.linkBefore(5, 1000, another), 'the checkpoint is a later one');
  assert.match(
    snapshots.linkBefore(6, state.length - 1, another) ?? '',
    /^it takes \d+ bytes, and there is room for \d+$/,
  );
  using empty = new Folder();
  const begun = new Snapshots(empty.path, 1000, NOTHING);
  assert.equal(
    begun.linkBefore(1, 1000, join(empty.path, 'linked')),
    null,
    'nothing, where it began with that',
  );
});
