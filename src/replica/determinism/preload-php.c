/*
 * What PHP loads as an extension, such as its SQLite. It is loaded with RTLD_DEEPBIND: the extension, and the libraries that come
 * with it, look for a function among themselves and in libc first, and so pass this layer by. PHP loads them without that here. Others
 * keep it, for they may need it: an addon of Node may come with another OpenSSL than that of Node.
 */
#include "preload.h"

#include <dlfcn.h>

#ifdef RTLD_DEEPBIND
static bool is_php(void) { return dlsym(RTLD_DEFAULT, "php_execute_script") != NULL; }

/* The last thing is a jump into libc, as compiled with -O2: it looks where the library that called wants it to look. */
void *dlopen(const char *path, int mode) {
  if ((mode & RTLD_DEEPBIND) != 0 && page() != NULL && is_php()) mode &= ~RTLD_DEEPBIND;
  return NEXT(dlopen)(path, mode);
}
#endif
