/**
 * `random()` and `randomblob()` of SQL in `node:sqlite`, `bun:sqlite` and better-sqlite3, which bring a SQLite of their own. It
 * has a generator that is seeded once in a process; so every connection gets functions of the same names when it is opened,
 * as any program may define them. (`preload-sqlite.c` does that for the system's SQLite.)
 *
 * Limits: a `node:sqlite` (before 22.13) or `bun:sqlite` without `function()` keeps SQLite's own, and so does what
 * `Database.deserialize` of Bun gives; with `PRAGMA trusted_schema = OFF` these functions are refused in defaults, views and
 * triggers, as all that a program defines here; drivers that bring another SQLite, libsql for one, keep theirs.
 */
import process from 'node:process';

const LARGEST = 2n ** 63n - 1n;
/** The longest that SQLite takes, unless a connection allows less, which it then says itself. */
const BYTES_MAX = 1_000_000_000;

/** A number of bytes, of what came with SQL: as SQLite takes it for an integer. */
function sizeOf(value) {
  if (typeof value === 'number') return Math.trunc(value);
  const text = ArrayBuffer.isView(value) ? Buffer.from(value).toString('latin1') : String(value);
  return Number(/^[ \t-\r]*([+-]?\d+)/.exec(text)?.[1] ?? 0);
}

/** By name, as in SQLite's `func.c`. Integers come and go as bigints. */
function functionsOf(stream) {
  return {
    random: () => {
      const drawn = stream.take(8).readBigInt64LE();
      return drawn < 0n ? -(drawn & LARGEST) : drawn; // so that abs() has a result for it
    },
    randomblob: (value) => {
      const size = Math.max(1, sizeOf(value));
      if (size > BYTES_MAX) throw new Error('string or blob too big');
      return stream.take(size);
    },
  };
}

/** The same class, but that `opened` is told of each new object and what it was made of. */
function watched(Class, opened) {
  const proxy = new Proxy(Class, {
    construct(target, parts, newTarget) {
      const made = Reflect.construct(target, parts, newTarget);
      opened(made, parts);
      return made;
    },
  });
  Class.prototype.constructor = proxy;
  return proxy;
}

/** `node:sqlite`, loaded without the warning that it is experimental; undefined where there is none. */
function nodeSqlite() {
  const { emitWarning } = process;
  process.emitWarning = () => {};
  try {
    return process.getBuiltinModule?.('node:sqlite');
  } finally {
    process.emitWarning = emitWarning;
  }
}

function watchNodeSqlite(sqlite, functions) {
  const { prototype } = sqlite.DatabaseSync;
  const { open: originalOpen, function: define } = prototype;
  function opened(db) {
    for (const [name, body] of Object.entries(functions)) {
      Reflect.apply(define, db, [name, { useBigIntArguments: true }, body]);
    }
  }
  prototype.open = function open() {
    Reflect.apply(originalOpen, this, []);
    opened(this);
  };
  sqlite.DatabaseSync = watched(sqlite.DatabaseSync, (db, [, options]) => {
    if (options?.open !== false) opened(db);
  });
}

/** In Bun whoever imports `bun:sqlite` gets what was put into this object. */
function watchBunSqlite(sqlite, functions) {
  const { function: define } = sqlite.Database.prototype;
  if (typeof define !== 'function') return;
  sqlite.Database = watched(sqlite.Database, (db) => {
    for (const [name, body] of Object.entries(functions)) {
      Reflect.apply(define, db, [name, { safeIntegers: true }, body]);
    }
  });
  sqlite.default = sqlite.Database;
}

/** The class of an addon on which better-sqlite3 builds, if this is that addon. */
function watchBetterSqlite(addon, functions) {
  const prototype = addon?.Database?.prototype;
  if (typeof prototype?.unsafeMode !== 'function') return;
  const { function: define } = prototype;
  addon.Database = watched(addon.Database, (db) => {
    for (const [name, body] of Object.entries(functions)) {
      const withBigInts = 1;
      Reflect.apply(define, db, [body, name, body.length, withBigInts, false, false]);
    }
  });
}

/**
 * From here on SQL draws from the given stream.
 *
 * @param {import('./random.mjs').Keystream} stream
 */
export function installSqlite(stream) {
  const functions = functionsOf(stream);
  const sqlite = nodeSqlite();
  if (sqlite?.DatabaseSync.prototype.function) watchNodeSqlite(sqlite, functions);
  const bunSqlite = process.getBuiltinModule?.('bun:sqlite');
  if (bunSqlite) watchBunSqlite(bunSqlite, functions);
  const { dlopen } = process;
  process.dlopen = function (module, ...parts) {
    const result = Reflect.apply(dlopen, this, [module, ...parts]);
    watchBetterSqlite(module.exports, functions);
    return result;
  };
}
