/*
 * The UUIDs of libuuid, which `uuidgen`, Python's `uuid1` and many programs in C take. It draws from the kernel, but mixes in a
 * generator that it seeds with the ids of process and thread, and keeps the node and the clock of its time-based ones for as long
 * as a process lives: neither is the same in another replica.
 *
 * U1. They are a function of the page as all random bytes are (preload.c, C1 and C2).
 * U2. One that is made of the time has a random node, as RFC 9562 (6.10) allows: the time alone is the same throughout an entry.
 *
 * Not covered: programs that look these functions up by dlsym in a handle of their own.
 */
#include "preload.h"

/* 100 ns from the first day of the Gregorian calendar to that of Unix. */
#define GREGORIAN 0x01b21dd213814000ULL

static void set_version(uint8_t uuid[16], int version) {
  uuid[6] = (uint8_t)((uuid[6] & 0x0f) | version << 4);
  uuid[8] = (uuid[8] & 0x3f) | 0x80;
}

void uuid_generate_random(uint8_t uuid[16]) {
  arc4random_buf(uuid, 16);
  set_version(uuid, 4);
}

void uuid_generate(uint8_t uuid[16]) { uuid_generate_random(uuid); }

void uuid_generate_time(uint8_t uuid[16]) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  uint64_t time = GREGORIAN + (uint64_t)now.tv_sec * 10000000 + (uint64_t)now.tv_nsec / 100;
  arc4random_buf(uuid, 16);
  for (int i = 0; i < 4; i++) uuid[i] = (uint8_t)(time >> (24 - 8 * i));
  for (int i = 4; i < 6; i++) uuid[i] = (uint8_t)(time >> (72 - 8 * i));
  for (int i = 6; i < 8; i++) uuid[i] = (uint8_t)(time >> (104 - 8 * i));
  set_version(uuid, 1);
  uuid[10] |= 1; /* no address of a real card */
}

int uuid_generate_time_safe(uint8_t uuid[16]) {
  uuid_generate_time(uuid);
  return 0;
}
