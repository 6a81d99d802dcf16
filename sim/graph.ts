/**
 * Copies and compares a whole world of objects as it is at a moment: for `explore.ts`, which goes on from each in several ways.
 *
 * What the core keeps private can be neither copied nor read from outside: `openPrivates` has Node load it, here only, with
 * `_name` for each `#name`.
 */
import { registerHooks } from 'node:module';

/** Before the core is loaded. */
export function openPrivates(): void {
  registerHooks({
    load(url, context, next) {
      const loaded = next(url, context);
      if (!url.includes('/src/core/')) return loaded;
      const text = Buffer.from(loaded.source as Uint8Array).toString();
      return { ...loaded, source: text.replaceAll(/#(?=[a-z])/g, '_') };
    },
  });
}

function names(text: string): ReadonlySet<string> {
  return new Set(text.split(' '));
}

/** Fields with data that is never changed. */
const FIXED = names('entry stored vote command job decision ordered told options');
/** What came before (checkers and truth look at every step, and follow from it), what never changes, what nobody reads. */
const PASSED = names(
  '_core _world _checks options scope truth log trace _effects _eventsNow produced _freeAt',
);

/** References within it lead to the copy. Functions are shared: they must not know of what is copied. */
export function copy<T extends object>(root: T): T {
  const copies = new Map<object, object>();
  const remember = <C extends object>(value: object, made: C): C => {
    copies.set(value, made);
    return made;
  };
  const copied = (value: unknown, name: string): unknown => {
    if (typeof value !== 'object' || value === null || FIXED.has(name)) return value;
    const known = copies.get(value);
    if (known !== undefined) return known;
    if (value instanceof Set) return remember(value, new Set(value));
    if (value instanceof Map) {
      const into = remember(value, new Map<unknown, unknown>());
      for (const [key, one] of value) into.set(key, copied(one, ''));
      return into;
    }
    const fresh: unknown = Array.isArray(value) ? [] : Object.create(Object.getPrototypeOf(value));
    const into = remember(value, fresh as Record<string, unknown>);
    for (const [key, one] of Object.entries(value)) into[key] = copied(one, key);
    return into;
  };
  return copied(root, '') as T;
}

/** Equal for two moments from which all goes on alike. */
export function fingerprint(root: object): string {
  const seen = new Map<object, number>();
  let text = '';
  const write = (value: unknown, name: string): void => {
    if (typeof value !== 'object' || value === null) {
      text += `${String(value)},`;
    } else if (seen.has(value)) {
      text += `@${seen.get(value)},`;
    } else {
      seen.set(value, seen.size);
      text += '(';
      if (value instanceof Map) {
        // In which order votes came does not matter.
        const entries = name === 'votes' ? [...value].toSorted(([a], [b]) => (a < b ? -1 : 1)) : value;
        for (const [key, one] of entries) {
          text += `${String(key)}:`;
          write(one, '');
        }
      } else if (value instanceof Set || Array.isArray(value)) {
        for (const one of value) write(one, '');
      } else {
        for (const [key, one] of Object.entries(value)) if (!PASSED.has(key)) write(one, key);
      }
      text += ')';
    }
  };
  write(root, '');
  return text;
}
