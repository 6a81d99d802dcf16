/** One thing that a captured replica can do, as data: the catalogue is run, and is the table in `docs/ATTACKS.md`. */
import type { FaultKind } from '../../src/core/index.ts';
import type { Captured } from './captured.ts';

export interface Attack {
  readonly name: string;
  /** What stops it, where; for the table. */
  readonly stopped: string;
  /** Who does it; `refreshed`, `exporting`: a passive one that is awake for that. */
  readonly by: 'active' | 'refreshed' | 'exporting';
  /** What the incident must call it. */
  readonly kind: FaultKind;
  /** It takes so much to send that it may also be called late. */
  readonly mayBeLate?: true;
  /** Not tried where domains are plain processes: it would succeed. */
  readonly sandboxed?: true;
  /** Runs inside the domain. */
  readonly run: (captured: Captured) => void | Promise<void>;
}
