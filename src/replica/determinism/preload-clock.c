/*
 * The wall clock of the libc layer, and waiting until a time of it. See preload.c, C1 and C3.
 */
#include "preload.h"

#include <dlfcn.h>
#include <mqueue.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>
#include <sys/time.h>
#include <threads.h>

#define NS_PER_S 1000000000L
#define READS_PER_MS 1000

static bool is_wall(clockid_t clock) {
  return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE || clock == CLOCK_TAI;
}

static struct timespec agreed(struct page *p) {
  uint64_t ns = atomic_load_explicit(&p->time_ns, memory_order_relaxed);
  return (struct timespec){.tv_sec = (time_t)(ns / NS_PER_S), .tv_nsec = (long)(ns % NS_PER_S)};
}

int clock_gettime(clockid_t clock, struct timespec *now) {
  struct page *p = is_wall(clock) ? page() : NULL;
  if (p == NULL) return NEXT(clock_gettime)(clock, now);
  *now = agreed(p);
  return 0;
}

/* Asked in each entry until it is: a server loads its PHP after it has asked for the time, as Apache does. */
static bool is_php(uint64_t turn) {
  static _Atomic uint64_t looked; /* 1 more than the turn in which it was not found; 0 before the first */
  static _Atomic bool is;
  if (atomic_load_explicit(&is, memory_order_relaxed)) return true;
  if (atomic_load_explicit(&looked, memory_order_relaxed) == turn + 1) return false;
  bool found = dlsym(RTLD_DEFAULT, "php_execute_script") != NULL;
  if (found) atomic_store_explicit(&is, true, memory_order_relaxed);
  else atomic_store_explicit(&looked, turn + 1, memory_order_relaxed);
  return found;
}

/*
 * PHP's `uniqid` asks this clock until it shows another microsecond than that of its last id, which may be of the entry before. So
 * for PHP entries of one millisecond have microseconds of their own here, and the clock goes on by a millisecond with each thousandth
 * time that a thread asks in an entry: another replica's does the same. For others, as for Node's `Date`, it stands still: how often
 * they have asked before may depend on what they keep in memory.
 */
static uint64_t microseconds_of_php(struct page *p, uint64_t turn) {
  static _Thread_local struct { uint64_t turn, reads; } asked __attribute__((tls_model("initial-exec")));
  if (asked.turn != turn) asked.turn = turn, asked.reads = 0;
  return atomic_load_explicit(&p->index, memory_order_relaxed) % 1000 + asked.reads++ / READS_PER_MS * 1000;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
  struct page *p = page();
  if (p == NULL) return NEXT(gettimeofday)(now, zone);
  uint64_t us = atomic_load_explicit(&p->time_ns, memory_order_relaxed) / 1000;
  uint64_t turn = atomic_load_explicit(&p->turn, memory_order_relaxed);
  if (is_php(turn)) us += microseconds_of_php(p, turn);
  *now = (struct timeval){.tv_sec = (time_t)(us / 1000000), .tv_usec = (suseconds_t)(us % 1000000)};
  if (zone != NULL) memset(zone, 0, sizeof(struct timezone));
  return 0;
}

time_t time(time_t *out) {
  struct page *p = page();
  if (p == NULL) return NEXT(time)(out);
  time_t seconds = agreed(p).tv_sec;
  if (out != NULL) *out = seconds;
  return seconds;
}

int timespec_get(struct timespec *now, int base) {
  struct page *p = base == TIME_UTC ? page() : NULL;
  if (p == NULL) return NEXT(timespec_get)(now, base);
  *now = agreed(p);
  return base;
}

/* ---- Deadlines ---- */

/* An absolute wall clock deadline as real time: now plus what is left by the agreed clock. Saturates, because
 * "for ever" is often written as the largest number; what libc would reject is left for it to reject. */
const struct timespec *real(clockid_t clock, const struct timespec *deadline, struct timespec *room) {
  struct page *p = page();
  if (p == NULL || deadline == NULL || !is_wall(clock)) return deadline;
  if (deadline->tv_nsec < 0 || deadline->tv_nsec >= NS_PER_S) return deadline;
  struct timespec from = agreed(p), now;
  NEXT(clock_gettime)(CLOCK_REALTIME, &now);
  int64_t ns = deadline->tv_nsec - from.tv_nsec + now.tv_nsec; /* in (-1 s, 2 s) */
  int64_t carry = ns < 0 ? -1 : ns / NS_PER_S;
  int64_t shift = (int64_t)now.tv_sec - from.tv_sec + carry, seconds;
  if (__builtin_add_overflow((int64_t)deadline->tv_sec, shift, &seconds)) return deadline;
  *room = (struct timespec){.tv_sec = (time_t)seconds, .tv_nsec = (long)(ns - carry * NS_PER_S)};
  if (seconds < 0) *room = (struct timespec){0};
  return room;
}

/* The clock that the condition variable was made for; both libcs keep it in the variable itself. */
static clockid_t clock_of(const pthread_cond_t *condition) {
#ifdef __GLIBC__
  return condition->__data.__wrefs & 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME;
#else
  return condition->__u.__i[4]; /* musl: _c_clock */
#endif
}

int pthread_cond_timedwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict deadline) {
  struct timespec room;
  return NEXT(pthread_cond_timedwait)(condition, mutex, real(clock_of(condition), deadline, &room));
}

#define TIMED(name, type)                                                                 \
  int name(type *restrict object, const struct timespec *restrict deadline) {             \
    struct timespec room;                                                                 \
    return NEXT(name)(object, real(CLOCK_REALTIME, deadline, &room));                     \
  }
TIMED(pthread_mutex_timedlock, pthread_mutex_t)
TIMED(pthread_rwlock_timedrdlock, pthread_rwlock_t)
TIMED(pthread_rwlock_timedwrlock, pthread_rwlock_t)
TIMED(sem_timedwait, sem_t)
TIMED(mtx_timedlock, mtx_t)

int cnd_timedwait(cnd_t *restrict condition, mtx_t *restrict mutex, const struct timespec *restrict deadline) {
  struct timespec room;
  return NEXT(cnd_timedwait)(condition, mutex, real(CLOCK_REALTIME, deadline, &room));
}

int pthread_timedjoin_np(pthread_t thread, void **result, const struct timespec *deadline) {
  struct timespec room;
  return NEXT(pthread_timedjoin_np)(thread, result, real(CLOCK_REALTIME, deadline, &room));
}

ssize_t mq_timedreceive(mqd_t queue, char *restrict message, size_t size, unsigned *restrict priority,
                        const struct timespec *restrict deadline) {
  struct timespec room;
  return NEXT(mq_timedreceive)(queue, message, size, priority, real(CLOCK_REALTIME, deadline, &room));
}

int mq_timedsend(mqd_t queue, const char *message, size_t size, unsigned priority,
                 const struct timespec *deadline) {
  struct timespec room;
  return NEXT(mq_timedsend)(queue, message, size, priority, real(CLOCK_REALTIME, deadline, &room));
}

#ifdef __GLIBC__
int pthread_cond_clockwait(pthread_cond_t *restrict condition, pthread_mutex_t *restrict mutex, clockid_t clock,
                           const struct timespec *restrict deadline) {
  struct timespec room;
  return NEXT(pthread_cond_clockwait)(condition, mutex, clock, real(clock, deadline, &room));
}

int pthread_clockjoin_np(pthread_t thread, void **result, clockid_t clock, const struct timespec *deadline) {
  struct timespec room;
  return NEXT(pthread_clockjoin_np)(thread, result, clock, real(clock, deadline, &room));
}

#define CLOCKED(name, type)                                                               \
  int name(type *restrict object, clockid_t clock, const struct timespec *restrict deadline) { \
    struct timespec room;                                                                 \
    return NEXT(name)(object, clock, real(clock, deadline, &room));                       \
  }
CLOCKED(pthread_mutex_clocklock, pthread_mutex_t)
CLOCKED(pthread_rwlock_clockrdlock, pthread_rwlock_t)
CLOCKED(pthread_rwlock_clockwrlock, pthread_rwlock_t)
CLOCKED(sem_clockwait, sem_t)
#endif

int clock_nanosleep(clockid_t clock, int flags, const struct timespec *time, struct timespec *left) {
  struct timespec room;
  if (flags & TIMER_ABSTIME) time = real(clock, time, &room);
  return NEXT(clock_nanosleep)(clock, flags, time, left);
}
