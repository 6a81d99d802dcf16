/** Is what the agent says of a service what happened, also where the agent waits for a processor? */
import assert from 'node:assert/strict';
import { mkdtempDisposableSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { freePort } from '../manager/port.ts';
import { Exchange } from './exchange.ts';
import { Service } from './service.ts';

/** Ends when it is told to. */
const ENDS = `
  require('node:http').createServer().listen(process.env.PORT);
  setInterval(() => require('node:fs').existsSync('end') && process.exit(3), 1);`;
/** Longer than a broken connection waits for the end of its service. */
const STALLED_MS = 1000;

void test('P5: a service that ends with a request has ended, though the agent stood still just then', async (context) => {
  using place = mkdtempDisposableSync(join(tmpdir(), 'spare-service-'));
  const service = await Service.start(
    {
      command: [process.execPath, '-e', ENDS],
      env: {},
      folder: place.path,
      port: await freePort(),
      timeoutMs: 60_000,
      replyBytesMax: 1024,
    },
    () => {},
  );
  context.after(() => service.stop());
  context.mock.method(Exchange.prototype, 'ask', async () => {
    setImmediate(() => {
      writeFileSync(join(place.path, 'end'), '');
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, STALLED_MS);
    });
    throw new Error('the connection broke');
  });
  const asked = service.ask({ method: 'GET', target: '/', headers: [], body: Buffer.alloc(0) });
  await assert.rejects(asked, /The service ended: exit status 3/);
});
