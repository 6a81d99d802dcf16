import type { ChildProcess } from 'node:child_process';

/**
 * A child that was just spawned, with its streams. Throws when there were no descriptors for them: Node then gives one without
 * any, and says why only later, to whoever listens by then. All other failures come with streams, or are thrown by Node.
 */
export function withStreams<Child extends ChildProcess>(child: Child): Child {
  // Node's types do not know of it.
  if ((child.stdio as unknown) !== undefined) return child;
  child.on('error', () => {});
  throw new Error('too many open files');
}
