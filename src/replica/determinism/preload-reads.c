/*
 * Notes which pages of its databases a service reads while it starts (`state/reads.ts`, which also says what is not seen).
 * Nothing is noted, and nothing fails, without a file for it.
 */
#include "preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* The layout that reads.ts writes: the notes of a file are bits, a page each, from `at` on. */
struct notes {
  uint64_t count;
  struct file {
    uint64_t dev, ino, page_bytes, pages, at;
  } files[];
};

static struct notes none, *notes = &none;

/* Before the program does anything: it may empty its environment. */
__attribute__((constructor)) static void attach(void) {
  struct page *p = page();
  int saved_errno = errno;
  const char *path = getenv("SPARE_READS");
  int fd = p == NULL || p->turn != 0 || path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  struct stat s;
  if (fd >= 0 && fstat(fd, &s) == 0) {
    void *found = mmap(NULL, (size_t)s.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (found != MAP_FAILED) notes = found;
  }
  if (fd >= 0) close(fd);
  errno = saved_errno;
}

void note_read(struct page *p, int fd, off_t at, size_t size) {
  if (p == NULL || p->turn != 0 || notes->count == 0 || at < 0 || size == 0) return;
  int saved_errno = errno;
  struct stat s;
  if (fstat(fd, &s) == 0)
    for (struct file *file = notes->files; file < notes->files + notes->count; file++) {
      if (file->ino != s.st_ino || file->dev != s.st_dev || file->pages == 0) continue;
      _Atomic uint8_t *bits = (_Atomic uint8_t *)notes + file->at;
      uint64_t last = ((uint64_t)at + size - 1) / file->page_bytes;
      for (uint64_t page = (uint64_t)at / file->page_bytes; page <= last && page < file->pages; page++)
        atomic_fetch_or(&bits[page / 8], (uint8_t)(1 << page % 8));
    }
  errno = saved_errno;
}
