/** `seal` beside the manager's loop. */
import { doJob } from '../thread.ts';
import { seal } from './seal.ts';

await doJob(seal);
