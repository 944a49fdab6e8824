/* The limit: what starting and reaping processes costs with nothing else around it.
   spawn_limit JOBS PARALLEL PROGRAM [ARG]...: runs PROGRAM so often, so many at a time, output to /dev/null.
   spawn_limit -c JOBS PARALLEL PROGRAM...: reads each one's standard output through a pipe. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* As many as the widest row of the benchmarks has. */
#define PARALLEL_MAX 1024

extern char **environ;

static pid_t start(char **argv, int capture, int *out) {
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    int ends[2] = {-1, -1};
    if (capture) {
        if (pipe2(ends, O_CLOEXEC) != 0) exit(1);
        posix_spawn_file_actions_adddup2(&actions, ends[1], 1);
    } else {
        posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    }
    pid_t pid;
    if (posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ) != 0) exit(1);
    posix_spawn_file_actions_destroy(&actions);
    if (capture) close(ends[1]);
    *out = ends[0];
    return pid;
}

int main(int argc, char **argv) {
    int capture = argc > 1 && strcmp(argv[1], "-c") == 0;
    argv += capture;
    long jobs = atol(argv[1]);
    int parallel = atoi(argv[2]);
    if (parallel > PARALLEL_MAX) return 2;
    struct { pid_t pid; int out; } running[PARALLEL_MAX];
    long begun = 0;
    int live = 0;
    char buffer[65536];
    while (begun < jobs || live > 0) {
        while (begun < jobs && live < parallel) {
            running[live].pid = start(argv + 3, capture, &running[live].out);
            live++;
            begun++;
        }
        int status;
        pid_t dead = wait(&status);
        for (int i = 0; i < live; i++) {
            if (running[i].pid != dead) continue;
            if (capture) {
                while (read(running[i].out, buffer, sizeof buffer) > 0) {}
                close(running[i].out);
            }
            running[i] = running[--live];
            break;
        }
    }
    return 0;
}
