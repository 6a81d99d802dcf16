/*
 * Random bytes of the libc layer: getrandom, getentropy, arc4random, C++'s random_device and reads of /dev/random and
 * /dev/urandom, answered from a keystream of the entry's seed. See preload.c, C1 and C2.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

#undef fopen64
#define BLOCK_BYTES 64

static uint32_t rotate(uint32_t word, int bits) { return word << bits | word >> (32 - bits); }

static void quarter_round(uint32_t s[16], int a, int b, int c, int d) {
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 16);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 12);
  s[a] += s[b], s[d] = rotate(s[d] ^ s[a], 8);
  s[c] += s[d], s[b] = rotate(s[b] ^ s[c], 7);
}

/* The ChaCha20 block function of RFC 8439, section 2.3, with 64 bits of block counter and of nonce (words 12 to 15, as
 * in Bernstein's original); the nonce is the number of the stream. Words are little endian, as are the machines this
 * is built for. */
static void chacha20_block(const uint8_t key[32], uint32_t stream, uint64_t block, uint8_t out[BLOCK_BYTES]) {
  uint32_t start[16] = {0x61707865, 0x3320646e, 0x79622d32, 0x6b206574};
  uint32_t s[16];
  memcpy(start + 4, key, 32);
  start[12] = (uint32_t)block, start[13] = (uint32_t)(block >> 32), start[14] = stream;
  memcpy(s, start, sizeof s);
  for (int round = 0; round < 20; round += 2) {
    for (int i = 0; i < 4; i++) quarter_round(s, i, 4 + i, 8 + i, 12 + i);
    for (int i = 0; i < 4; i++) quarter_round(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4);
  }
  for (int i = 0; i < 16; i++) s[i] += start[i];
  memcpy(out, s, BLOCK_BYTES);
}

static void fill_from(struct page *p, uint32_t stream, _Atomic uint64_t *drawn, void *buffer, size_t size) {
  uint64_t block = atomic_fetch_add(drawn, (size + BLOCK_BYTES - 1) / BLOCK_BYTES);
  uint8_t bytes[BLOCK_BYTES];
  for (uint8_t *out = buffer; size > 0; block++) {
    size_t part = size < BLOCK_BYTES ? size : BLOCK_BYTES;
    chacha20_block(p->seed, stream, block, bytes);
    memcpy(out, bytes, part);
    out += part, size -= part;
  }
}

static void fill(struct page *p, void *buffer, size_t size) { fill_from(p, 0, &p->drawn, buffer, size); }

void fill_sql(struct page *p, void *buffer, size_t size) { fill_from(p, 1, &p->drawn_sql, buffer, size); }

void fill_seeds(struct page *p, void *buffer, size_t size) { fill_from(p, 2, &p->drawn_seeds, buffer, size); }

ssize_t getrandom(void *buffer, size_t size, unsigned flags) {
  struct page *p = page();
  if (p == NULL) return NEXT(getrandom)(buffer, size, flags);
  if (flags & ~(GRND_NONBLOCK | GRND_RANDOM | 4u /* GRND_INSECURE */)) return errno = EINVAL, -1;
  if (size > INT32_MAX) size = INT32_MAX;
  fill(p, buffer, size);
  return (ssize_t)size;
}

/* From a stream of its own: OpenSSL calls it, which seeds its generators at their first use and now and then. When that is depends
 * on what the process did before, and must not shift what others draw. */
int getentropy(void *buffer, size_t size) {
  struct page *p = page();
  if (p == NULL) return NEXT(getentropy)(buffer, size);
  if (size > 256) return errno = EIO, -1;
  fill_seeds(p, buffer, size);
  return 0;
}

/* Older libcs have no arc4random; a program that finds ours there gets the kernel's bytes when not under Spare. */
void arc4random_buf(void *buffer, size_t size) {
  struct page *p = page();
  if (p != NULL) return fill(p, buffer, size);
  for (char *out = buffer; size > 0;) {
    ssize_t got = NEXT(getrandom)(out, size, 0);
    if (got > 0) out += got, size -= (size_t)got;
  }
}

uint32_t arc4random(void) {
  uint32_t word;
  arc4random_buf(&word, sizeof word);
  return word;
}

uint32_t arc4random_uniform(uint32_t bound) {
  if (bound < 2) return 0;
  uint32_t word, unfair = -bound % bound; /* 2^32 mod bound: words below it would come up once too often */
  do word = arc4random();
  while (word < unfair);
  return word % bound;
}

/* What `std::random_device` of C++ draws with, by the name that GCC's library has for it: it asks the processor where that has
 * random numbers of its own. */
uint32_t _ZNSt13random_device9_M_getvalEv(void *device) {
  (void)device;
  return arc4random();
}

/* /dev/random is 1:8, /dev/urandom 1:9. Asking at each read instead of remembering who opened what also covers
 * duplicated and inherited descriptors (`command < /dev/urandom`), for one cheap system call. */
static bool is_random_device(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 && S_ISCHR(s.st_mode) &&
         (s.st_rdev == makedev(1, 8) || s.st_rdev == makedev(1, 9));
}

/* The page, if these are bytes that belong to the entry. */
static struct page *page_for(int fd) {
  struct page *p = page();
  return p == NULL || is_seeding_sqlite || !is_random_device(fd) ? NULL : p;
}

static ssize_t draw(struct page *p, void *buffer, size_t size) {
  if (size > INT32_MAX) size = INT32_MAX;
  fill(p, buffer, size);
  return (ssize_t)size;
}

static ssize_t draw_all(struct page *p, const struct iovec *buffers, int count) {
  ssize_t size = 0;
  for (int i = 0; i < count; i++) size += draw(p, buffers[i].iov_base, buffers[i].iov_len);
  return size;
}

ssize_t read(int fd, void *buffer, size_t size) {
  struct page *p = page_for(fd);
  return p == NULL ? NEXT(read)(fd, buffer, size) : draw(p, buffer, size);
}

/* A device has no places, so who reads one at a place begins with the first. A database is read at others all the time: of these,
 * only what was a device before is asked about. */
static struct page *page_for_place(int fd, off_t at) {
  static _Atomic bool was_device[1024];
  bool is_kept = fd >= 0 && fd < (int)(sizeof was_device / sizeof *was_device);
  if (at != 0 && is_kept && !was_device[fd]) return NULL;
  struct page *p = page_for(fd);
  if (is_kept) was_device[fd] = p != NULL;
  return p;
}

/* Bytes from a place on are drawn as any others. */
ssize_t pread(int fd, void *buffer, size_t size, off_t at) {
  struct page *p = page_for_place(fd, at);
  if (p != NULL) return draw(p, buffer, size);
  note_read(page(), fd, at, size);
  return NEXT(pread)(fd, buffer, size, at);
}

ssize_t readv(int fd, const struct iovec *buffers, int count) {
  struct page *p = page_for(fd);
  return p == NULL ? NEXT(readv)(fd, buffers, count) : draw_all(p, buffers, count);
}

ssize_t preadv(int fd, const struct iovec *buffers, int count, off_t at) {
  struct page *p = page_for_place(fd, at);
  return p == NULL ? NEXT(preadv)(fd, buffers, count, at) : draw_all(p, buffers, count);
}

/* What they are called where files may be large; the same on 64-bit machines. */
ssize_t pread64(int fd, void *buffer, size_t size, off_t at) { return pread(fd, buffer, size, at); }
ssize_t preadv64(int fd, const struct iovec *buffers, int count, off_t at) {
  return preadv(fd, buffers, count, at);
}

/* What `read` and `pread` become in programs built with _FORTIFY_SOURCE. */
ssize_t __read_chk(int fd, void *buffer, size_t size, size_t room) {
  if (size > room) abort();
  return read(fd, buffer, size);
}
ssize_t __pread_chk(int fd, void *buffer, size_t size, off_t at, size_t room) {
  if (size > room) abort();
  return pread(fd, buffer, size, at);
}
ssize_t __pread64_chk(int fd, void *buffer, size_t size, off_t at, size_t room) {
  return __pread_chk(fd, buffer, size, at, room);
}

static ssize_t read_stream(void *cookie, char *buffer, size_t size) { return read((int)(intptr_t)cookie, buffer, size); }

static int close_stream(void *cookie) { return close((int)(intptr_t)cookie); }

/* stdio reads by ways that cannot be preloaded. Unbuffered, so that no bytes of one entry are left for the next;
 * glibc then asks for every byte by itself, each from a block of its own. */
static FILE *open_stream(const char *path, const char *mode) {
  int fd = open(path, strchr(mode, 'e') == NULL ? O_RDONLY : O_RDONLY | O_CLOEXEC);
  if (fd < 0) return NULL;
  cookie_io_functions_t functions = {.read = read_stream, .close = close_stream};
  FILE *stream = fopencookie((void *)(intptr_t)fd, mode, functions);
  if (stream == NULL) return close(fd), NULL;
  setvbuf(stream, NULL, _IONBF, 0);
#ifdef __GLIBC__
  stream->_fileno = fd; /* what `fileno` says, by which C++ reads from its streams; glibc itself does not go by it here */
#endif
  return stream;
}

FILE *fopen(const char *path, const char *mode) {
  bool device = strcmp(path, "/dev/urandom") == 0 || strcmp(path, "/dev/random") == 0;
  return device && page() != NULL ? open_stream(path, mode) : NEXT(fopen)(path, mode);
}

FILE *fopen64(const char *path, const char *mode) { return fopen(path, mode); }
