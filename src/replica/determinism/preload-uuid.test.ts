/**
 * Does the libc layer keep U1 and U2 (preload-uuid.c)? With the libuuid of this system, in Python: in its own `uuid1`, and called
 * by name as a program in C does.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { Sandbox, SKIP_LIBC, START_MS } from './testing.ts';

const FUNCTIONS = ['uuid_generate', 'uuid_generate_random', 'uuid_generate_time', 'uuid_generate_time_safe'];

const PROGRAM = `
import ctypes, uuid
ctypes.CDLL('libuuid.so.1', ctypes.RTLD_GLOBAL)
program, made = ctypes.CDLL(None), ctypes.create_string_buffer(16)
def call(name):
  getattr(program, name)(made)
  return uuid.UUID(bytes=made.raw)
for one in [call(name) for name in '${FUNCTIONS.join(' ')}'.split() for _ in range(2)] + [uuid.uuid1()]:
  print(one, one.version, (one.time - 0x01b21dd213814000) // 10000 if one.version == 1 else '')
`;

const hasLibuuid = spawnSync('python3', ['-c', PROGRAM]).status === 0;
const SKIP = SKIP_LIBC !== false ? SKIP_LIBC : hasLibuuid ? false : 'no Python with libuuid';

interface Made {
  readonly uuid: string;
  readonly version: number;
  readonly timeMs: number;
}

function read(output: string): Made[] {
  return output
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .map(([uuid = '', version, timeMs]) => ({ uuid, version: Number(version), timeMs: Number(timeMs) }));
}

void describe('UUIDs of libuuid', { skip: SKIP }, () => {
  let shared: Sandbox;
  before(() => void (shared = new Sandbox()));
  after(() => shared[Symbol.asyncDispose]());

  async function made(entry: Parameters<Sandbox['set']>[0]): Promise<Made[]> {
    shared.set(entry);
    return read(await shared.run('libc', 'python3', ['-c', PROGRAM]));
  }

  void test('they are a function of the page, also in another process, and no two are the same', async () => {
    const first = await made({});
    assert.deepEqual(await made({}), first);
    const other = await made({ seed: Buffer.alloc(32, 2) });
    assert.equal(new Set([...first, ...other].map(({ uuid }) => uuid)).size, 18);
  });

  void test('they are of the version that was asked for, and of the agreed time', async () => {
    const all = await made({});
    assert.deepEqual(
      all.map(({ version }) => version),
      [4, 4, 4, 4, 1, 1, 1, 1, 1],
    );
    for (const { version, timeMs } of all) if (version === 1) assert.equal(timeMs, START_MS);
  });

  void test('without a clock page they are of the kernel, and of the real time', () => {
    const { SPARE_CLOCK: _, ...env } = shared.env('libc');
    const runs = [1, 2].flatMap(() =>
      read(execFileSync('python3', ['-c', PROGRAM], { env, encoding: 'utf8' })),
    );
    assert.equal(new Set(runs.map(({ uuid }) => uuid)).size, 18);
    for (const { version, timeMs } of runs)
      if (version === 1) assert.ok(Math.abs(timeMs - Date.now()) < 60_000);
  });
});
