/**
 * Which places of the product's code ran, as V8 itself counts them. It counts blocks, and tells blocks next to each other that ran
 * equally often as one; so that the same run is always the same coverage, what counts here is each character of the source.
 */
import { Session } from 'node:inspector/promises';

const PRODUCT = new URL('../src/', import.meta.url).href;

/** For each file, 1 for each character that ran. */
type Places = Map<string, Uint8Array>;

export class Coverage {
  readonly #session = new Session();
  readonly #seen: Places = new Map();

  static async start(): Promise<Coverage> {
    const coverage = new Coverage();
    coverage.#session.connect();
    await coverage.#session.post('Profiler.enable');
    await coverage.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    return coverage;
  }

  /** Characters of the source that were kept. */
  get reached(): number {
    let sum = 0;
    for (const places of this.#seen.values()) for (const place of places) sum += place;
    return sum;
  }

  async #ran(): Promise<Places> {
    const { result } = await this.#session.post('Profiler.takePreciseCoverage');
    const ran: Places = new Map();
    for (const { url, functions } of result) {
      if (!url.startsWith(PRODUCT)) continue;
      const places = new Uint8Array(Math.max(0, ...functions.map(({ ranges }) => ranges[0]?.endOffset ?? 0)));
      // Outer ones come first, and what is inside says otherwise where it differs.
      for (const { ranges } of functions) {
        for (const { startOffset, endOffset, count } of ranges)
          places.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      }
      ran.set(url, places);
    }
    return ran;
  }

  #known(url: string, length: number): Uint8Array {
    const known = this.#seen.get(url) ?? new Uint8Array(0);
    if (known.length >= length) return known;
    // Functions that are gone are not told of any more.
    const longer = new Uint8Array(length);
    longer.set(known);
    this.#seen.set(url, longer);
    return longer;
  }

  /** Whether anything ran since the last call that never ran before a call with `keep`. */
  async news(keep: boolean): Promise<boolean> {
    let news = false;
    for (const [url, places] of await this.#ran()) {
      const seen = this.#known(url, places.length);
      for (const [at, place] of places.entries()) {
        if (place === 0 || seen[at] === 1) continue;
        news = true;
        if (!keep) break;
        seen[at] = 1;
      }
    }
    return news;
  }
}
