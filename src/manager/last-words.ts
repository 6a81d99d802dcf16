/** Many languages print the cause first, and a hundred lines of where it was after that. */
const CHARACTERS = 16 * 1024;

/** `what` happened to a replica, and what its processes printed last, if anything, in lines of its own. */
export function withLastWords(what: string, printed: string): string {
  const words = printed.slice(-CHARACTERS);
  return words === '' ? what : `${what}\nIts last output:\n${words.replace(/^/gm, '  ')}`;
}
