/** A small wrong edit of a text, as data. */
export interface Edit {
  /** Is found there exactly once. */
  readonly find: string;
  readonly replace: string;
}

/** `text` after the edit. An edit that no longer fits is an error, which begins with `what`. */
export function edited(what: string, text: string, { find, replace }: Edit): string {
  const found = text.split(find).length - 1;
  if (found === 1) return text.replace(find, () => replace);
  const count = found === 0 ? 'is not there any more' : `is there ${found} times`;
  throw new Error(`${what}: this ${count}:\n${find}`);
}
