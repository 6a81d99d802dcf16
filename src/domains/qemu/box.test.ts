/** What becomes of a program for which the box is too narrow. */
import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  ftruncateSync,
  mkdtempDisposableSync,
  openSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { it } from 'node:test';

import { withDescriptors } from '../../testing.ts';
import { findTool } from '../process/paths.ts';
import { takeMachineOwner } from './accelerator.ts';
import { findBox } from './box.ts';
import { FD, machineBytes } from './command.ts';
import { dropping, Machine } from './machine.ts';

const PYTHON = '/usr/bin/python3';
const LIMITS = { memoryBytes: 2 ** 27, processes: 8 };
/** In QEMU's place: tries what would let it write to the image, in all ways that there are, and to get at the manager's keys. */
const TAKEN_OVER = `#!${PYTHON}
import ctypes, errno, mmap, os, sys
if sys.argv[1] == '-L': print('/usr/bin')
if sys.argv[1] in ('-L', '--version'): sys.exit()
image = b'/proc/self/fd/${FD.root}'
value = (b'user.taken', b'x', 1, 0)
calls = {
  'chmod': (90, image, 0o666),
  'fchmod': (91, ${FD.root}, 0o666),
  'fchmodat': (268, -100, image, 0o666),
  'fchmodat2': (452, -100, image, 0o666, 0),
  'setxattr': (188, image, *value),
  'lsetxattr': (189, image, *value),
  'fsetxattr': (190, ${FD.root}, *value),
  'setxattrat': (463, -100, image, 0, b'user.taken', bytes(16), 16),
  'io_uring_setup': (425, 1, ctypes.create_string_buffer(120)),
  'add_key': (248, b'user', b'taken', b'x', 1, -3),
  'request_key': (249, b'user', b'taken', 0, 0),
  'keyctl': (250, 0, -3, 1),
}
call = ctypes.CDLL(None, use_errno=True).syscall
for name, (number, *rest) in calls.items():
  for kind in (0, 1 << 30):
    if call(ctypes.c_long(number | kind), *rest) >= 0: print(name, kind, 'done')
    elif ctypes.get_errno() != errno.ENOSYS: print(name, kind, errno.errorcode[ctypes.get_errno()])
try: os.open(image, os.O_RDWR)
except OSError as error: print('opened:', errno.errorcode[error.errno], flush=True)
# fchmod of i386. Where the kernel knows nothing of that, it ends this.
code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
code.write(bytes.fromhex('53b85e000000bb${Buffer.of(FD.root).toString('hex')}000000b9b6010000cd805bc3'))
ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
`;

void it('M1: a trial of the box that takes too long says nothing about it: no machine is started without one', async (context) => {
  if (findTool('bwrap') === undefined) return context.skip('bwrap not found');
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-box-'));
  const program = join(place.path, 'qemu');
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  const never = ['/bin/sh', '-c', 'exec sleep 60'];
  await assert.rejects(findBox(program, never), { code: 'domain-start-failed', message: /within 10 s/ });
  return undefined;
});

void it('M1: nor does one for which there are no descriptors', async (context) => {
  if (findTool('bwrap') === undefined) return context.skip('bwrap not found');
  await assert.rejects(
    withDescriptors(2, () => findBox('/bin/true', [])),
    { code: 'domain-start-failed', message: /too many open files/ },
  );
  return undefined;
});

void it('a program that does not start in a box has none, and operators are told why', async (context) => {
  if (findTool('bwrap') === undefined) return context.skip('bwrap not found');
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-box-'));
  const program = join(place.path, 'qemu');
  // There is no shell in the box.
  writeFileSync(program, '#!/bin/sh\n', { mode: 0o755 });
  const found = await findBox(program, []);
  assert.match(typeof found === 'string' ? found : 'a box', /^bwrap: /);
  return undefined;
});

void it('X2, D1: a hypervisor that owns the image cannot make it writable, nor reach the keyrings', async (context) => {
  if (findTool('bwrap') === undefined) return context.skip('bwrap not found');
  if (!existsSync(PYTHON)) return context.skip('no python3');
  if (process.arch !== 'x64') return context.skip(process.arch);
  using held = new DisposableStack();
  const place = held.use(mkdtempDisposableSync(join(tmpdir(), 'spare-box-')));
  chmodSync(place.path, 0o755);
  const program = join(place.path, 'qemu');
  writeFileSync(program, TAKEN_OVER, { mode: 0o755 });
  const owner = held.adopt(takeMachineOwner(), (taken) => taken?.release());
  const image = join(place.path, 'image');
  writeFileSync(image, 'sound', { mode: 0o444 });
  if (owner !== undefined) chownSync(image, owner.uid, owner.gid);
  const root = held.adopt(openSync(image, 'r'), closeSync);
  const memory = held.adopt(openSync(join(place.path, 'memory'), 'wx+'), closeSync);
  ftruncateSync(memory, machineBytes(LIMITS.memoryBytes));
  const box = await findBox(program, dropping(owner));
  if (typeof box === 'string') return context.skip(box);
  const files = { root, memory };
  const machine = new Machine({
    accelerator: 'tcg',
    limits: LIMITS,
    program,
    box,
    owner,
    files,
    start: 'again',
  });
  await machine.exited;
  assert.equal(machine.console.text().trim(), 'opened: EACCES');
  return assert.equal(statSync(image).mode & 0o777, 0o444);
});
