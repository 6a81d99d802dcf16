/* The agent's process: its namespace, its limits, its rights (none), and how it ends. */
#define _GNU_SOURCE
#include "init.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define GROUP "/sys/fs/cgroup/agent"

enum { USER = 1000, CAPABILITIES = 64, FILES_MAX = 65536, THREADS_PER_PROCESS = 16, THREADS_SPARE = 64 };

static void set(const char *path, const char *format, unsigned long long value) {
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0 || dprintf(fd, format, value) < 0) fail("set", path);
    close(fd);
}

int make_group(const struct limits *limits) {
    if (mount("cgroup", "/sys/fs/cgroup", "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        fail("mount", "/sys/fs/cgroup");
    set("/sys/fs/cgroup/cgroup.subtree_control", "+memory +pids", 0);
    if (mkdir(GROUP, 0755) != 0) fail("make", GROUP);
    set(GROUP "/memory.max", "%llu", limits->memory_bytes);
    set(GROUP "/memory.oom.group", "%llu", 1);
    set(GROUP "/pids.max", "%llu", limits->processes * THREADS_PER_PROCESS + THREADS_SPARE);
    return open(GROUP "/memory.events", O_RDONLY | O_CLOEXEC);
}

int ran_out_of_memory(int events) {
    char text[512] = {0};
    if (pread(events, text, sizeof text - 1, 0) < 0) return 0;
    const char *kills = strstr(text, "oom_kill ");
    return kills != NULL && atol(kills + 9) > 0;
}

unsigned long count_processes(void) {
    char text[4096];
    unsigned long count = 0;
    int fd = open(GROUP "/cgroup.procs", O_RDONLY | O_CLOEXEC);
    for (ssize_t size; fd >= 0 && (size = read(fd, text, sizeof text)) > 0;)
        for (ssize_t i = 0; i < size; i++) count += text[i] == '\n';
    close(fd);
    return count;
}

unsigned long long time_used_us(void) {
    char text[512] = {0};
    int fd = open(GROUP "/cpu.stat", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, text, sizeof text - 1) < 0) fail("read", GROUP "/cpu.stat");
    close(fd);
    const char *usage = strstr(text, "usage_usec ");
    return usage == NULL ? 0 : strtoull(usage + 11, NULL, 10);
}

static __attribute__((unused)) void drop_rights(void) {
    for (int capability = 0; capability < CAPABILITIES; capability++) prctl(PR_CAPBSET_DROP, capability, 0, 0, 0);
    if (setgroups(0, NULL) != 0 || setresgid(USER, USER, USER) != 0 || setresuid(USER, USER, USER) != 0)
        fail("become", "the user of the agent");
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

static void become_agent(const struct config *config, int channel, int console, int group) {
    struct rlimit files = {FILES_MAX, FILES_MAX};
    struct rlimit none = {0, 0};
    if (write(group, "0", 1) != 1) fail("join", GROUP);
    setsid();
    setrlimit(RLIMIT_NOFILE, &files);
    setrlimit(RLIMIT_CORE, &none);
    if (dup2(open("/dev/null", O_RDONLY), 0) < 0 || dup2(console, 1) < 0 || dup2(console, 2) < 0 ||
        dup2(channel, 3) < 0)
        _exit(126);
    syscall(SYS_close_range, 4, ~0U, 0);
#ifndef AGENT_IS_ROOT /* A test tries what one could do. */
    drop_rights();
#endif
    signal(SIGPIPE, SIG_DFL);
    if (chdir(config->folder) == 0) execve(config->argv[0], config->argv, config->env);
    dprintf(2, "spare: the agent cannot be started: %s: %m\n", config->argv[0]);
    _exit(127);
}

/* The first process of the namespace: takes in what others leave behind, and tells how the agent ended. */
static void guard(const struct config *config, int channel, int console, int status) {
    int group = open(GROUP "/cgroup.procs", O_WRONLY | O_CLOEXEC);
    if (group < 0) fail("open", GROUP);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 || umount2("/sys", MNT_DETACH) != 0 ||
        mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0)
        fail("make", "the view of the agent");
    pid_t agent = fork();
    if (agent == 0) become_agent(config, channel, console, group);
    close(group);
    close(channel);
    close(console);
    for (int how;;) {
        pid_t pid = wait(&how);
        if (pid != agent) continue;
        if (write(status, &how, sizeof how) < 0) _exit(1);
        _exit(0);
    }
}

void start_agent(const struct config *config, struct agent *agent, int channel) {
    int console[2], status[2];
    if (pipe2(console, O_CLOEXEC) != 0 || pipe2(status, O_CLOEXEC) != 0) fail("make", "the pipes of the agent");
    long pid = syscall(SYS_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, NULL, NULL, NULL, 0);
    if (pid < 0) fail("start", "the agent");
    if (pid == 0) guard(config, channel, console[1], status[1]);
    close(channel);
    close(console[1]);
    close(status[1]);
    *agent = (struct agent){.console = console[0], .status = status[0]};
}
