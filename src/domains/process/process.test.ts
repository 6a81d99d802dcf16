/** Every level of isolation that this host offers passes the conformance suite. */
import { isRequired } from '../../testing.ts';
import { conformance } from '../conformance.ts';
import { createProcessDriver } from './driver.ts';

const required = isRequired('bubblewrap');

conformance('bubblewrap', (agent) => createProcessDriver({ level: 'bubblewrap', agent }), {
  isolated: true,
  required,
  sharesKernel: true,
});

conformance('unshare', (agent) => createProcessDriver({ level: 'unshare', agent }), {
  isolated: false,
  sharesKernel: true,
});

conformance('plain processes', (agent) => createProcessDriver({ level: 'plain', agent }), {
  isolated: false,
  sharesKernel: true,
});
