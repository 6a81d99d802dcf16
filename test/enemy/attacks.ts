/** All that an enemy does. */
import type { Attack } from './attack.ts';
import { ESCAPE_ATTACKS } from './escapes.ts';
import { FLOOD_ATTACKS } from './floods.ts';
import { FRAME_ATTACKS } from './frames.ts';
import { REPLY_ATTACKS } from './replies.ts';
import { STATE_ATTACKS } from './states.ts';
import { VOTE_ATTACKS } from './votes.ts';

export const ATTACKS: readonly Attack[] = [
  ...FRAME_ATTACKS,
  ...VOTE_ATTACKS,
  ...REPLY_ATTACKS,
  ...STATE_ATTACKS,
  ...FLOOD_ATTACKS,
  ...ESCAPE_ATTACKS,
];
