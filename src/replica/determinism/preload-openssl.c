/*
 * Random bytes of OpenSSL's libcrypto, which programs take for cookies, tokens, initialisation vectors and keys. It has generators
 * of its own, seeded once in a process or thread: what they give later is not the same in another replica.
 *
 * O1. They are a function of the page as all random bytes are (preload.c, C1 and C2), those that it draws for keys, too.
 * O2. Private ones come from the stream that it seeds from: how many it takes depends on what the process did before, as the
 *     first signature by an RSA key takes some to blind it.
 *
 * No header and no library of OpenSSL is needed. Not covered: an OpenSSL that is part of a program, as of Node, or that is linked to
 * call its own functions directly, and functions of it that were looked up by dlsym.
 */
#include "preload.h"

int RAND_bytes(unsigned char *buffer, int size) {
  if (size < 0) return 0;
  arc4random_buf(buffer, (size_t)size);
  return 1;
}

int RAND_bytes_ex(void *context, unsigned char *buffer, size_t size, unsigned strength) {
  (void)context, (void)strength;
  arc4random_buf(buffer, size);
  return 1;
}

int RAND_priv_bytes_ex(void *context, unsigned char *buffer, size_t size, unsigned strength) {
  struct page *p = page();
  if (p == NULL) return RAND_bytes_ex(context, buffer, size, strength);
  fill_seeds(p, buffer, size);
  return 1;
}

int RAND_priv_bytes(unsigned char *buffer, int size) {
  return size < 0 ? 0 : RAND_priv_bytes_ex(NULL, buffer, (size_t)size, 0);
}
