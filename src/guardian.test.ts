import assert from 'node:assert/strict';
import childProcess, { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { it } from 'node:test';

import { eventually } from './domains/conformance-peer.ts';
import { isAlive } from './domains/process/tree.ts';
import { Guardian } from './guardian.ts';
import { untilDone } from './testing.ts';

void it('D5: the guardian ends what it watches when the manager is killed, although nothing else does', async () => {
  const code = `import { spawn } from 'node:child_process';
    import { Guardian } from ${JSON.stringify(join(import.meta.dirname, 'guardian.ts'))};
    const guardian = new Guardian('SPARE_RUN=/nowhere/' + process.pid);
    const options = { detached: true, stdio: 'ignore' };
    const watched = spawn('sleep', ['60'], options);
    const marked = spawn('sleep', ['60'], { ...options, env: { SPARE_RUN: '/nowhere/' + process.pid } });
    const stranger = spawn('sleep', ['60'], options);
    guardian.watch(watched.pid);
    console.log([watched.pid, marked.pid, stranger.pid].join());
    setInterval(() => {}, 1000);`;
  const manager = spawn(process.execPath, ['--input-type=module', '-e', code], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(manager.stdout, 'data')) as [Buffer];
  const [watched = 0, marked = 0, stranger = 0] = line.toString().split(',').map(Number);
  assert.ok(stranger > 0);
  manager.kill('SIGKILL');
  const ended = await eventually(() => !isAlive(watched) && !isAlive(marked));
  const spared = isAlive(stranger);
  process.kill(stranger, 'SIGKILL');
  assert.equal(ended, true);
  assert.equal(spared, true);
});

void it('D5: where no process can be started there is no guardian, and so no domain without one', (context) => {
  const { spawn } = childProcess;
  context.mock.method(childProcess, 'spawn', (_: string, ...rest: [string[], object]) =>
    spawn('/nowhere', ...rest),
  );
  untilDone(context);
  assert.throws(() => new Guardian(''), /no process can be started/);
});
