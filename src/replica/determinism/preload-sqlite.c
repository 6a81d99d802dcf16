/*
 * `random()` and `randomblob()` of SQL, answered from the entry's seed. SQLite has a generator of its own for them, seeded
 * once in a process and also used for what SQLite needs at moments that are not agreed (the salts of its log). So every
 * connection gets functions of the same names when it is opened, as any program may define them.
 *
 * S1. Which values a call gets depends on the seed and on the calls before it in the same entry, never on earlier ones.
 * S2. SQLite's generator is seeded with the kernel's bytes, whenever that is: it draws nothing from the entry.
 *
 * No header and no library of SQLite is needed: it is found when a program opens a database through it. Not covered:
 * SQLite within a program or library that hides its symbols, functions of it that were looked up by dlsym, and a second
 * SQLite in one process.
 */
#include "preload.h"

#include <dlfcn.h>

#define SQLITE_OK 0
#define SQLITE_ERROR 1
#define SQLITE_LIMIT_LENGTH 0
#define SQLITE_UTF8 1
#define SQLITE_INNOCUOUS 0x200000

typedef struct sqlite3 sqlite3;
typedef struct sqlite3_context sqlite3_context;
typedef struct sqlite3_value sqlite3_value;
typedef void function(sqlite3_context *, int, sqlite3_value **);

int sqlite3_open(const char *, sqlite3 **);
int sqlite3_open16(const void *, sqlite3 **);
int sqlite3_open_v2(const char *, sqlite3 **, int, const char *);
int sqlite3_create_function_v2(sqlite3 *, const char *, int, int, void *, function *, function *,
                               void (*)(sqlite3_context *), void (*)(void *));
int sqlite3_limit(sqlite3 *, int, int);
void sqlite3_randomness(int, void *);
void *sqlite3_malloc(int);
void sqlite3_free(void *);
sqlite3 *sqlite3_context_db_handle(sqlite3_context *);
int64_t sqlite3_value_int64(sqlite3_value *);
void sqlite3_result_int64(sqlite3_context *, int64_t);
void sqlite3_result_blob(sqlite3_context *, const void *, int, void (*)(void *));
void sqlite3_result_error_toobig(sqlite3_context *);
void sqlite3_result_error_nomem(sqlite3_context *);

_Thread_local bool is_seeding_sqlite;

/* Where the functions of the first SQLite that opened a database here are found. */
static _Atomic(void *) library;

static void *in_library(_Atomic(void *) *slot, const char *name) {
  void *found = atomic_load_explicit(slot, memory_order_relaxed);
  if (found == NULL) atomic_store_explicit(slot, found = dlsym(library, name), memory_order_relaxed);
  return found;
}
#define SQLITE(name) ({ static _Atomic(void *) slot; (__typeof__(&name))in_library(&slot, #name); })

/* ---- The functions, as in SQLite's func.c ---- */

static void random_number(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count, (void)values;
  int64_t number;
  fill_sql(page(), &number, sizeof number);
  if (number < 0) number = -(number & INT64_MAX); /* so that abs() has a result for it */
  SQLITE(sqlite3_result_int64)(context, number);
}

static void random_blob(sqlite3_context *context, int count, sqlite3_value **values) {
  (void)count;
  int64_t size = SQLITE(sqlite3_value_int64)(values[0]);
  if (size < 1) size = 1;
  int size_max = SQLITE(sqlite3_limit)(SQLITE(sqlite3_context_db_handle)(context), SQLITE_LIMIT_LENGTH, -1);
  if (size > size_max) return SQLITE(sqlite3_result_error_toobig)(context);
  void *blob = SQLITE(sqlite3_malloc)((int)size);
  if (blob == NULL) return SQLITE(sqlite3_result_error_nomem)(context);
  fill_sql(page(), blob, (size_t)size);
  SQLITE(sqlite3_result_blob)(context, blob, (int)size, SQLITE(sqlite3_free));
}

/* ---- Opening ---- */

/* The SQLite that `caller` was linked with. It may be out of reach of RTLD_NEXT: extensions of interpreters keep to
 * themselves what they load. No handle is closed, so that what was found stays. */
static void *library_of(void *caller, const char *name) {
  Dl_info info;
  void *handle = dladdr(caller, &info) != 0 ? dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD) : NULL;
  if (handle != NULL && dlsym(handle, name) != NULL) return handle;
  if (dlsym(RTLD_NEXT, name) != NULL) return RTLD_NEXT;
  return dlopen("libsqlite3.so.0", RTLD_LAZY | RTLD_NOLOAD);
}

static bool is_first(void *handle) {
  static const char name[] = "sqlite3_create_function_v2";
  void *none = NULL;
  atomic_compare_exchange_strong(&library, &none, handle);
  return dlsym(library, name) == dlsym(handle, name);
}

static int define(sqlite3 *db, const char *name, int count, function *f) {
  return SQLITE(sqlite3_create_function_v2)(db, name, count, SQLITE_UTF8 | SQLITE_INNOCUOUS, NULL, f, NULL, NULL, NULL);
}

static int opened(void *handle, sqlite3 *db) {
  if (page() == NULL || !is_first(handle)) return SQLITE_OK;
  char byte;
  is_seeding_sqlite = true;
  SQLITE(sqlite3_randomness)(sizeof byte, &byte);
  is_seeding_sqlite = false;
  int result = define(db, "random", 0, random_number);
  return result == SQLITE_OK ? define(db, "randomblob", 1, random_blob) : result;
}

#define OPEN(name, db, ...)                                                               \
  void *handle = library_of(__builtin_return_address(0), #name);                          \
  __typeof__(&name) next = handle == NULL ? NULL : (__typeof__(&name))dlsym(handle, #name); \
  if (next == NULL) return SQLITE_ERROR;                                                  \
  int result = next(__VA_ARGS__);                                                         \
  return result == SQLITE_OK ? opened(handle, *db) : result

int sqlite3_open(const char *path, sqlite3 **db) { OPEN(sqlite3_open, db, path, db); }
int sqlite3_open16(const void *path, sqlite3 **db) { OPEN(sqlite3_open16, db, path, db); }
int sqlite3_open_v2(const char *path, sqlite3 **db, int flags, const char *vfs) {
  OPEN(sqlite3_open_v2, db, path, db, flags, vfs);
}
