/*
 * What the parts of the libc layer share: the clock page and the way to libc's own functions. See preload.c.
 */
#pragma once
#undef _FORTIFY_SOURCE
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdint.h>
#include <time.h>

#pragma GCC visibility push(hidden)

/* The layout that clock.ts writes. */
struct page {
  _Atomic uint64_t index, time_ns, drawn, tick_from_ns;
  uint8_t seed[32];
};

/* The page, or NULL when everything passes through. */
struct page *page(void);

/* An absolute deadline of a wall clock as real time, in `room`; any other deadline as it is. */
const struct timespec *real(clockid_t clock, const struct timespec *deadline, struct timespec *room);

/* The next definition of a symbol, libc's as a rule; looked up once per place of use. */
void *lookup(_Atomic(void *) *slot, const char *name);
#define NEXT(name) ({ static _Atomic(void *) slot; (__typeof__(&name))lookup(&slot, #name); })

#pragma GCC visibility pop
