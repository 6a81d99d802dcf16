/** Does a captured replica get through by what its answers say? */
import { REPLY_ATTACKS } from './enemy/replies.ts';
import { besiege } from './enemy/siege.ts';
import { STATE_ATTACKS } from './enemy/states.ts';

besiege([...REPLY_ATTACKS, ...STATE_ATTACKS]);
