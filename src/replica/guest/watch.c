/*
 * Stays beside the agent: hears the host's word on the control port, passes on what the agent prints, and tells the host how it
 * ended. The channel is the agent's own port.
 *
 * Y1. Nothing is read before what was read before is passed on, so that whoever is slow slows only who writes to it.
 * Y2. What the agent printed is passed on before the host is told how the agent ended.
 */
#define _GNU_SOURCE
#include "init.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { BUFFER = 65536, LINE = 256, SEED = 32, LOOK_MS = 250, NAME = 64 };
enum { IDLE_SHARE = 20 };

#define WAKE "wake "

struct pump {
    int from, to;
    size_t start, end;
    char bytes[BUFFER];
};

/* Zero when the port is not of that name. */
static int is_named(const char *port, const char *name) {
    char path[PATH_LENGTH], found[NAME] = {0};
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", port);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : read(fd, found, sizeof found - 1);
    close(fd);
    return size > 0 && strcmp(strtok(found, "\n"), name) == 0;
}

/* Ports are announced one by one: waits for it. */
int open_port(const char *name) {
    char path[PATH_LENGTH];
    for (int tries = 0; tries < 5000; tries++, usleep(1000)) {
        DIR *ports = opendir("/sys/class/virtio-ports");
        for (struct dirent *port; ports != NULL && (port = readdir(ports)) != NULL;) {
            if (port->d_name[0] == '.' || !is_named(port->d_name, name)) continue;
            snprintf(path, sizeof path, "/dev/%s", port->d_name);
            int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
            if (fd < 0) break;
            closedir(ports);
            return fd;
        }
        if (ports != NULL) closedir(ports);
    }
    fail("find", name);
}

void say(int control, const char *line) {
    struct pollfd ready = {.fd = control, .events = POLLOUT};
    while (write(control, line, strlen(line)) < 0 && errno == EAGAIN) poll(&ready, 1, -1);
}

static int read_line(int control, char *line) {
    struct pollfd ready = {.fd = control, .events = POLLIN};
    for (size_t length = 0; length < LINE - 1;) {
        poll(&ready, 1, -1);
        ssize_t size = read(control, line + length, 1);
        if (size < 0 && errno == EAGAIN) continue;
        if (size <= 0) return 0;
        if (line[length++] == '\n') {
            line[length - 1] = 0;
            return 1;
        }
    }
    return 0;
}

static int hex(char digit) {
    return digit <= '9' ? digit - '0' : digit - 'a' + 10;
}

/*
 * `wake <milliseconds> <64 hex digits>`: what the host's clock says, and bytes that nobody else has. Read by hand: an emulated
 * processor has to translate all that a clone does for the first time, and `sscanf` is long.
 */
int hear(int control) {
    char line[LINE], *at;
    struct {
        int bits, size;
        unsigned char bytes[SEED];
    } fresh = {.bits = 8 * SEED, .size = SEED};
    static int random = -1;
    if (random < 0) random = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (!read_line(control, line) || strncmp(line, WAKE, strlen(WAKE)) != 0) return 0;
    unsigned long long ms = strtoull(line + strlen(WAKE), &at, 10);
    if (*at++ != ' ' || strlen(at) != 2 * SEED) return 0;
    for (size_t i = 0; i < SEED; i++) fresh.bytes[i] = (unsigned char)(hex(at[2 * i]) << 4 | hex(at[2 * i + 1]));
    struct timespec now = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};
    clock_settime(CLOCK_REALTIME, &now);
    if (ioctl(random, RNDADDENTROPY, &fresh) != 0 || ioctl(random, RNDRESEEDCRNG) != 0) fail("seed", "the kernel");
    return 1;
}

/* False once nothing more can come. */
static int move(struct pump *pump) {
    if (pump->end == 0) {
        ssize_t size = read(pump->from, pump->bytes, BUFFER);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        if (size == 0) return 0;
        pump->start = 0;
        pump->end = (size_t)size;
    }
    while (pump->start < pump->end) {
        ssize_t size = write(pump->to, pump->bytes + pump->start, pump->end - pump->start);
        if (size < 0) return errno == EAGAIN || errno == EINTR;
        pump->start += (size_t)size;
    }
    pump->end = 0;
    return 1;
}

static void make_blocking(int fd, int blocking) {
    int flags = fcntl(fd, F_GETFL);
    fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static void end(int control, const char *why, struct pump *printed) {
    make_blocking(printed->to, 1);
    while (move(printed) && (printed->end > 0 || poll(&(struct pollfd){printed->from, POLLIN, 0}, 1, 0) > 0));
    make_blocking(control, 1);
    say(control, why);
    reboot(RB_POWER_OFF);
}

static void tell_status(int control, int fd, struct pump *printed) {
    int how = 0;
    char line[LINE];
    if (read(fd, &how, sizeof how) != sizeof how) snprintf(line, sizeof line, "status 255\n");
    else if (WIFSIGNALED(how)) snprintf(line, sizeof line, "signal %d\n", WTERMSIG(how));
    else snprintf(line, sizeof line, "status %d\n", WEXITSTATUS(how));
    end(control, line, printed);
}

static long long now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000LL + now.tv_nsec / 1000000;
}

void watch(int console, int control, const struct agent *agent, int events, const struct limits *limits) {
    static struct pump printed;
    printed = (struct pump){.from = agent->console, .to = console};
    make_blocking(agent->console, 0);
    unsigned long long before = 0;
    int was_busy = 1;
    for (long long looked = now_ms();;) {
        struct pollfd ready[] = {
            {control, POLLIN, 0},
            {agent->status, POLLIN, 0},
            {events, POLLPRI, 0},
            {printed.from < 0 ? -1 : printed.end == 0 ? printed.from : console,
             printed.end == 0 ? POLLIN : POLLOUT, 0},
        };
        if (poll(ready, sizeof ready / sizeof *ready, LOOK_MS) < 0) fail("wait", "for the agent");
        if (ready[0].revents) {
            if (!hear(control)) fail("hear", "the host");
            say(control, "awake\n");
            // What was asked comes first.
            looked = now_ms();
        }
        if ((ready[2].revents || ready[1].revents) && ran_out_of_memory(events))
            end(control, "limit memory\n", &printed);
        if (ready[1].revents) tell_status(control, agent->status, &printed);
        if (ready[3].revents && !move(&printed)) printed.from = -1;
        if (now_ms() - looked < LOOK_MS) continue;
        looked = now_ms();
        if (count_processes() > limits->processes) end(control, "limit processes\n", &printed);
        unsigned long long used = time_used_us();
        int busy = used - before > LOOK_MS * 1000 / IDLE_SHARE;
        if (was_busy && !busy) say(control, "idle\n");
        was_busy = busy;
        before = used;
    }
}
