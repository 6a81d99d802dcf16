/** Does a captured replica get through by what it takes, or get out? */
import assert from 'node:assert/strict';
import { ESCAPE_ATTACKS } from './enemy/escapes.ts';
import { FLOOD_ATTACKS } from './enemy/floods.ts';
import { besiege } from './enemy/siege.ts';

besiege([...FLOOD_ATTACKS, ...ESCAPE_ATTACKS], ({ console }) => assert.doesNotMatch(console, /ESCAPED/));
