/*
 * What the parts of the libc layer share: the clock page and the way to libc's own functions. See preload.c.
 */
#pragma once
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#pragma GCC visibility push(hidden)

/* The layout that clock.ts writes. */
struct page {
  _Atomic uint64_t index, time_ns, drawn, tick_from_ns;
  uint8_t seed[32];
  _Atomic uint64_t turn, drawn_sql, drawn_seeds;
};

/* The page, or NULL when everything passes through. */
struct page *page(void);

/* An absolute deadline of a wall clock as real time, in `room`; any other deadline as it is. */
const struct timespec *real(clockid_t clock, const struct timespec *deadline, struct timespec *room);

/* Random bytes of the entry; the kernel's without a page. */
__attribute__((visibility("default"))) void arc4random_buf(void *buffer, size_t size);

/* Random bytes of the entry for `random()` and `randomblob()` of SQL: a stream of its own. */
void fill_sql(struct page *p, void *buffer, size_t size);

/* Those that OpenSSL draws for keys, and seeds its generators with: a stream of its own. */
void fill_seeds(struct page *p, void *buffer, size_t size);

/* A file is about to be read from that place on: of a database, while the service starts, that is noted. */
void note_read(struct page *p, int fd, off_t at, size_t size);

/* Whether this thread lets SQLite seed its own generator, for which it is to read the kernel's random bytes. */
extern _Thread_local bool is_seeding_sqlite __attribute__((tls_model("initial-exec")));

/* The next definition of a symbol, libc's as a rule; looked up once per place of use. */
void *lookup(_Atomic(void *) *slot, const char *name);
#define NEXT(name) ({ static _Atomic(void *) slot; (__typeof__(&name))lookup(&slot, #name); })

#pragma GCC visibility pop
