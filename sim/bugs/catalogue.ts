/** All planted bugs, by the part of the protocol that they damage. */
import type { Bug } from './bug.ts';
import { DECIDING } from './deciding.ts';
import { GROUP } from './group.ts';
import { PEERS } from './peers.ts';
import { REPLICAS } from './replicas.ts';
import { RESTART } from './restart.ts';
import { ROTATING } from './rotating.ts';

export const BUGS: readonly Bug[] = [...DECIDING, ...GROUP, ...PEERS, ...REPLICAS, ...RESTART, ...ROTATING];
