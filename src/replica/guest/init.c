/*
 * The first process of a guest: makes the image's root ready, starts the agent in it, and tells the host of it. There is
 * no other program in the image that is not the agent's or the service's.
 *
 * G1. The host speaks first: before its word the agent does not run, and the word brings time and fresh randomness. A
 *     clone of a template hears it again, before it is sent anything else.
 * G2. The agent and all that it starts run without any right, as user 1000, in a process namespace of their own, and
 *     within the limits of one control group.
 * G3. Nothing here is trusted by the host: whoever gets to be root in a guest may do all that this process does.
 */
#include "init.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <unistd.h>

void fail(const char *what, const char *path) {
    dprintf(STDERR_FILENO, "spare: cannot %s %s: %m\n", what, path);
    sync();
    reboot(RB_POWER_OFF);
    _exit(1);
}

static void append(char **words, char *word) {
    size_t count = 0;
    while (words[count] != NULL) count++;
    if (count < WORDS_MAX - 1) words[count] = word;
}

static char *read_text(const char *path) {
    char *text = calloc(1, 65536);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || text == NULL || read(fd, text, 65535) < 0) fail("read", path);
    close(fd);
    return text;
}

void read_config(struct config *config, struct limits *limits) {
    for (char *line = strtok(read_text("/config"), "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *value = strchr(line, ' ');
        if (value == NULL) continue;
        *value++ = 0;
        if (strcmp(line, "module") == 0) append(config->modules, value);
        else if (strcmp(line, "folder") == 0) config->folder = value;
        else if (strcmp(line, "arg") == 0) append(config->argv, value);
        else if (strcmp(line, "env") == 0) append(config->env, value);
    }
    for (char *word = strtok(read_text("/proc/cmdline"), " \n"); word != NULL; word = strtok(NULL, " \n")) {
        sscanf(word, "spare.memory=%llu", &limits->memory_bytes);
        sscanf(word, "spare.processes=%lu", &limits->processes);
    }
}

int main(void) {
    struct config config = {0};
    struct limits limits = {0};
    struct agent agent;
    if (mount("proc", "/proc", "proc", 0, NULL) != 0) fail("mount", "/proc");
    if (mount("sysfs", "/sys", "sysfs", 0, NULL) != 0) fail("mount", "/sys");
    mount("dev", "/dev", "devtmpfs", 0, NULL);
    for (int fd = open("/dev/console", O_RDWR); fd >= 0 && fd < 2;) fd = dup(fd);
    read_config(&config, &limits);
    load_modules(&config);
    enter_root(&config);
    int events = make_group(&limits);
    int channel = open_port("spare.channel");
    int console = open_port("spare.console");
    int control = open_port("spare.control");
    if (!hear(control)) fail("hear", "the host");
    start_agent(&config, &agent, channel);
    say(control, "ready\n");
    watch(console, control, &agent, events, &limits);
}
