/**
 * Does the libc layer keep O1 and O2 (preload-openssl.c)? With the system's OpenSSL, in Python: by its own function, and by one of
 * the library that draws for a key. The program turns the page back to the beginning of the entry, as a new one would.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { Sandbox, SKIP_LIBC } from './testing.ts';

const PROGRAM = `
import _ssl, ctypes, os, ssl
crypto = ctypes.CDLL(_ssl.__file__)
crypto.BN_new.restype = crypto.BN_bn2hex.restype = ctypes.c_void_p
def bytes(): return ssl.RAND_bytes(16).hex()
def key():
  number = ctypes.c_void_p(crypto.BN_new())
  crypto.BN_priv_rand(number, 256, -1, 0)
  return ctypes.string_at(crypto.BN_bn2hex(number)).decode()
with open(os.environ.get('SPARE_CLOCK', '/dev/null'), 'r+b', 0) as clock:
  page = clock.read()
  for draw in (bytes, key, bytes), (bytes, key, bytes), (key, key, bytes):
    clock.seek(0)
    clock.write(page)
    print(*[each() for each in draw])
`;

const HAS_PYTHON = spawnSync('python3', ['-c', 'import _ssl']).status === 0;
const SKIP = SKIP_LIBC || (HAS_PYTHON ? false : 'no python3 with OpenSSL');

const drawn = (output: string): string[][] =>
  output
    .trim()
    .split('\n')
    .map((line) => line.split(' '));

void test(
  'O1 O2: what OpenSSL gives out, and draws for keys, is a function of the page, whatever was drawn before',
  {
    skip: SKIP,
  },
  async () => {
    await using sandbox = new Sandbox();
    const draw = async (seed: number): Promise<string[][]> => {
      sandbox.set({ seed: Buffer.alloc(32, seed) });
      return drawn(await sandbox.run('libc', 'python3', ['-c', PROGRAM]));
    };
    const first = await draw(1);
    const [entry, again, other] = first;
    assert.deepEqual(again, entry);
    assert.equal(new Set(entry).size, 3);
    assert.equal(other?.[0], entry?.[1]);
    assert.equal(other?.[2], entry?.[0], 'keys take nothing from what others draw');
    assert.deepEqual(await draw(1), first);
    assert.equal(new Set([...(await draw(2)), ...first].flat()).size, 8);
  },
);

void test('without a clock page it is chance', { skip: SKIP }, async () => {
  await using sandbox = new Sandbox();
  const { SPARE_CLOCK: _, ...env } = sandbox.env('libc');
  const output = execFileSync('python3', ['-c', PROGRAM], { env, encoding: 'utf8' });
  assert.equal(new Set(drawn(output).flat()).size, 9);
});
