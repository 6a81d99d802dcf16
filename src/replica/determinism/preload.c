/*
 * The libc layer of determinism: preloaded into every process of a service, it answers the wall clock and random
 * bytes from the clock page (see clock.ts) instead of the kernel. Without SPARE_CLOCK in the environment every
 * function passes through to libc.
 *
 * C1. Wall clock and random bytes are a function of the page: {time, seed, blocks drawn so far}, and for one clock of
 *     PHP also {index, reads by the thread} (preload-clock.c, gettimeofday).
 * C2. No two draws in one entry give the same bytes, in whichever process or thread of the domain: every block is
 *     claimed with an atomic increment in the shared page. (Which of two *concurrent* callers gets which block is
 *     up to the scheduler; that is a difference of the service's own making.)
 * C3. Monotonic and CPU clocks stay real, and absolute wall clock deadlines are translated to real time before
 *     libc waits for them: otherwise programs would hang or spin.
 * C4. No locks, no malloc and no stdio on hot paths; the mapping is shared across fork.
 *
 * Flushing to disk does nothing here. A domain's files are thrown away with the domain: durability is the
 * manager's job, it logs requests and verified updates before a client gets an answer.
 *
 * Not covered, because it does not go through libc symbols: statically linked programs and Go's own system calls,
 * the RDRAND instruction, file times set by the kernel, io_uring, absolute timerfd and POSIX timers, stdio on a
 * descriptor of /dev/urandom that fopen did not open, what is first read of it at another place than 0, load addresses (ASLR); what is
 * loaded with RTLD_DEEPBIND, but by PHP (preload-php.c).
 */
#include "preload.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

static _Atomic(struct page *) mapped;
static struct page none; /* stands for "not under Spare" in `mapped` */

/* A service that was meant to be deterministic must not run otherwise: its replica would be expelled for it. */
static struct page *give_up(void) {
  static const char message[] = "spare: the file named by SPARE_CLOCK cannot be mapped\n";
  if (write(STDERR_FILENO, message, sizeof message - 1) < 0) _exit(70);
  _exit(70);
}

static struct page *attach(void) {
  const char *path = getenv("SPARE_CLOCK");
  struct page *found = &none;
  int saved_errno = errno;
  if (path != NULL && *path != '\0') {
    int fd = open(path, O_RDWR | O_CLOEXEC);
    if (fd < 0) return give_up();
    found = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    if (found == MAP_FAILED) return give_up();
  }
  struct page *first = NULL;
  if (!atomic_compare_exchange_strong(&mapped, &first, found)) {
    if (found != &none) munmap(found, 4096);
    found = first;
  }
  errno = saved_errno;
  return found;
}

struct page *page(void) {
  struct page *p = atomic_load_explicit(&mapped, memory_order_acquire);
  if (p == NULL) p = attach();
  return p == &none ? NULL : p;
}

void *lookup(_Atomic(void *) *slot, const char *name) {
  void *function = atomic_load_explicit(slot, memory_order_relaxed);
  if (function == NULL) {
#ifdef __GLIBC__
    /* The one function here with an older incompatible version on x86_64, which a plain dlsym may return. */
    if (strcmp(name, "pthread_cond_timedwait") == 0) function = dlvsym(RTLD_NEXT, name, "GLIBC_2.3.2");
#endif
    if (function == NULL) function = dlsym(RTLD_NEXT, name);
    atomic_store_explicit(slot, function, memory_order_relaxed);
  }
  return function;
}

/* ---- The same by number ---- */

/* futex(2): these operations take an absolute deadline; FUTEX_WAIT takes a relative one, which stays as it is. */
static bool waits_for_wall_clock(long operation) {
  long command = operation & 127, on_wall_clock = operation & 256 /* FUTEX_CLOCK_REALTIME */;
  bool absolute = command == 9 /* WAIT_BITSET */ || command == 11 /* WAIT_REQUEUE_PI */ || command == 13 /* LOCK_PI2 */;
  return command == 6 /* LOCK_PI */ || (absolute && on_wall_clock);
}

long syscall(long number, ...) {
  long a[6];
  struct timespec room;
  va_list arguments;
  va_start(arguments, number);
  for (int i = 0; i < 6; i++) a[i] = va_arg(arguments, long);
  va_end(arguments);
  if (number == SYS_getrandom) return getrandom((void *)a[0], (size_t)a[1], (unsigned)a[2]);
  if (number == SYS_clock_gettime) return clock_gettime((clockid_t)a[0], (struct timespec *)a[1]);
  if (number == SYS_gettimeofday) return gettimeofday((struct timeval *)a[0], (void *)a[1]);
  if (number == SYS_futex && waits_for_wall_clock(a[1]))
    a[3] = (long)real(CLOCK_REALTIME, (const struct timespec *)a[3], &room);
  return NEXT(syscall)(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- Flushing to disk (see the top) ---- */

int fsync(int fd) { return page() != NULL ? 0 : NEXT(fsync)(fd); }
int fdatasync(int fd) { return page() != NULL ? 0 : NEXT(fdatasync)(fd); }
int syncfs(int fd) { return page() != NULL ? 0 : NEXT(syncfs)(fd); }
int sync_file_range(int fd, off_t from, off_t size, unsigned flags) {
  return page() != NULL ? 0 : NEXT(sync_file_range)(fd, from, size, flags);
}
void sync(void) {
  if (page() == NULL) NEXT(sync)();
}

/* ---- Replies in pieces ---- */

/*
 * All requests come over one connection, from an agent whose kernel acknowledges late. A service that writes head and body of
 * a reply one after the other, as Python's http.server does, would wait 40 ms in between. Accepted connections inherit the
 * option; sockets of other kinds do not have it.
 */
int listen(int fd, int backlog) {
  int on = 1, saved_errno = errno;
  if (page() != NULL) setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  errno = saved_errno;
  return NEXT(listen)(fd, backlog);
}

/* Attach, and look up what a signal handler may call, before the program does anything. */
__attribute__((constructor)) static void start(void) {
  struct timespec now;
  page();
  clock_gettime(CLOCK_MONOTONIC, &now);
}
