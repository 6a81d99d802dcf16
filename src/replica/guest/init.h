/* The parts of the guest's first process; see init.c. */
#ifndef SPARE_INIT_H
#define SPARE_INIT_H

#include <stddef.h>
#include <sys/types.h>

enum { PATH_LENGTH = 4096, WORDS_MAX = 64 };

/* What the image says, read from the file `config` in the initial file system, one `key value` a line. */
struct config {
    char *modules[WORDS_MAX];
    char *folder;
    char *argv[WORDS_MAX];
    char *env[WORDS_MAX];
};

/* What the host says of this machine, in the kernel's command line. */
struct limits {
    unsigned long long memory_bytes;
    unsigned long processes;
};

/* The ends of the agent that init holds. */
struct agent {
    int console;
    int status;
};

/* Ends the machine with a sentence on the serial console. */
void fail(const char *what, const char *path) __attribute__((noreturn));

void read_config(struct config *config, struct limits *limits);
void load_modules(const struct config *config);
/* From the initial file system to the image's root, with all that is mounted in it. */
void enter_root(const struct config *config);

/* Bounds what the agent and all that it starts may use; answers a descriptor that polls POLLPRI when memory ran out. */
int make_group(const struct limits *limits);
int ran_out_of_memory(int events);
unsigned long count_processes(void);
/* Processor time that all of them have used. */
unsigned long long time_used_us(void);

/* Starts the agent in a process namespace of its own. It is given the port of its channel. */
void start_agent(const struct config *config, struct agent *agent, int channel);

int open_port(const char *name);
/* Until the agent ends; never returns. */
void watch(int console, int control, const struct agent *agent, int events, const struct limits *limits)
    __attribute__((noreturn));
/* Waits for the host's word: sets the clock and the kernel's randomness. Zero when the host is gone. */
int hear(int control);
void say(int control, const char *line);

#endif
