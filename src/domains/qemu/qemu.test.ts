/**
 * The qemu driver passes the conformance suite, whichever way its machines are suspended. What a machine can reach does not depend
 * on that, and is tested once.
 */
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

import { isRequired } from '../../testing.ts';
import { conformance } from '../conformance.ts';
import { withPrograms } from '../conformance-peer.ts';
import { createQemuDriver } from './driver.ts';

const required = isRequired('qemu');
const TOOLS = 'sh sleep yes mount umount unshare setpriv hostname nsenter true'.split(' ');
/** The manager that gets killed could not remove one of its own. */
const FOLDER = 'SPARE_QEMU_FOLDER';
const given = process.env[FOLDER];
const folder = given ?? mkdtempSync(join(tmpdir(), 'spare-qemu-'));
process.env[FOLDER] = folder;
if (given === undefined) after(() => rm(folder, { recursive: true, force: true }));

for (const suspension of ['paused', 'parked'] as const) {
  conformance(
    suspension === 'paused' ? 'qemu' : 'qemu, parked',
    async (agent) =>
      withPrograms(await createQemuDriver({ agent, folder, suspension, progress: () => {} }), TOOLS),
    { isolated: suspension === 'paused', required, sharesKernel: false, testMs: 300_000 },
  );
}
