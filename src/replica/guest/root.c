/* From the kernel's initial file system to the read-only root of the image, and what is writable in it. */
#include "init.h"

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Where the builder put what the service came with; `folder` is empty in the image. */
#define SERVICE "/spare/service"

void load_modules(const struct config *config) {
    for (char *const *module = config->modules; *module != NULL; module++) {
        int fd = open(*module, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) != 0 && errno != EEXIST)) fail("load", *module);
        close(fd);
    }
}

static void mount_tmpfs(const char *path, const char *options, unsigned long flags) {
    if (mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV | flags, options) != 0) fail("mount", path);
}

static void write_setting(const char *path, const char *value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, value, strlen(value)) < 0) fail("write", path);
    close(fd);
}

static void raise_loopback(void) {
    struct ifreq request = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &request) != 0) fail("raise", "the loopback");
    close(fd);
}

/* Disks are found while others start: waits for it. */
static void mount_image(const char *path) {
    for (int tries = 0; mount("/dev/vda", path, "erofs", MS_RDONLY | MS_NODEV | MS_NOSUID, NULL) != 0; tries++) {
        if (tries == 5000) fail("mount", "the image");
        usleep(1000);
    }
}

/* What is written at `path` is kept in memory, in `room`; below it lies what the image has at `lower`. Sticky: who writes can remove only
   what it made itself. */
static void make_writable(const char *lower, const char *path, const char *room, const char *size) {
    char upper[PATH_LENGTH], work[PATH_LENGTH], options[3 * PATH_LENGTH];
    snprintf(upper, sizeof upper, "%s/upper", room);
    snprintf(work, sizeof work, "%s/work", room);
    mkdir(room, 0700);
    mount_tmpfs(room, size, 0);
    mkdir(upper, 0755);
    mkdir(work, 0755);
    chmod(upper, 01777);
    snprintf(options, sizeof options, "lowerdir=%s,upperdir=%s,workdir=%s", lower, upper, work);
    if (mount("overlay", path, "overlay", MS_NOSUID | MS_NODEV, options) != 0) fail("mount", path);
    chmod(room, 0700);
}

/* A service folder below a mount, such as /run, is hidden by it; all others are in the image. */
static void make_folder(const char *path) {
    char above[PATH_LENGTH];
    snprintf(above, sizeof above, "%s", path);
    for (char *end = strchr(above + 1, '/'); end != NULL; end = strchr(end + 1, '/')) {
        *end = 0;
        mkdir(above, 0755);
        *end = '/';
    }
    mkdir(above, 0755);
}

void enter_root(const struct config *config) {
    mount_image("/root");
    const char *moved[][2] = {{"/dev", "/root/dev"}, {"/proc", "/root/proc"}, {"/sys", "/root/sys"}};
    for (size_t i = 0; i < 3; i++)
        if (mount(moved[i][0], moved[i][1], NULL, MS_MOVE, NULL) != 0) fail("move", moved[i][0]);
    if (chdir("/root") != 0 || mount(".", "/", NULL, MS_MOVE, NULL) != 0 || chroot(".") != 0 || chdir("/") != 0)
        fail("enter", "the image");
    mkdir("/dev/shm", 0755);
    mount_tmpfs("/dev/shm", "size=64m,mode=1777", 0);
    mount_tmpfs("/run", "size=16m,mode=0755", MS_NOEXEC);
    mkdir("/run/spare", 0700);
    if (chown("/run/spare", 1000, 1000) != 0) fail("own", "/run/spare");
    /* The program may lie in /tmp, so what the image has there stays to be seen. */
    make_writable("/tmp", "/tmp", "/run/tmp", "size=64m,mode=0755");
    make_folder(config->folder);
    make_writable(SERVICE, config->folder, "/run/service", "size=100%,mode=0755");
    if (sethostname("replica", 7) != 0) fail("name", "the machine");
    write_setting("/proc/sys/user/max_user_namespaces", "0");
    raise_loopback();
}
