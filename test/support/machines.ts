/** For tests with virtual machines: they run wherever there can be any, and where `SPARE_REQUIRE` says that there must be. */
import { createQemuDriver } from '../../src/domains/qemu/driver.ts';
import { isRequired } from '../../src/testing.ts';

/** An emulated Node needs most of a minute of CPU time to load a large service. */
export const MACHINES_START_MS = 480_000;

const required = isRequired('qemu');
/** Why there can be no machines here, or nothing. */
const missing = await createQemuDriver({
  folder: '',
  progress: () => {},
  suspension: 'paused',
}).then(() => '', String);

/** Options of a test. */
export const MACHINES: { readonly timeout: number; readonly skip: string | false } = {
  timeout: 900_000,
  skip: missing !== '' && !required && missing,
};
