/** Does a captured replica get through by what it sends, in whatever form or order? */
import { FRAME_ATTACKS } from './enemy/frames.ts';
import { besiege } from './enemy/siege.ts';
import { VOTE_ATTACKS } from './enemy/votes.ts';

besiege([...FRAME_ATTACKS, ...VOTE_ATTACKS]);
