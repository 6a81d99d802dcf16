/** What is fuzzed: one function of the product that takes bytes of a domain or a client, with what must hold afterwards. */

export interface Target {
  /** What lets an input begin well; every target has the empty input besides. */
  readonly seeds: readonly Uint8Array[];
  /** Tokens that are inserted. */
  readonly words: readonly string[];
  /**
   * Throws when the product is wrong: anything but a refusal as documented, or a result that breaks its own rules. What is
   * returned tells kinds of ends apart, few in number; an input with a new one is kept like one with new coverage.
   */
  readonly run: (input: Buffer) => string;
}

/** Runs `parse`; its result, or null where it refused with an error of this kind. Other errors are findings. */
export function refusing<T>(parse: () => T, refusal: new (message: string) => Error): T | null {
  try {
    return parse();
  } catch (error) {
    if (error instanceof refusal) return null;
    throw error;
  }
}
