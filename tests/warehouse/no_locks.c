/* Preloaded into a process: files below NO_LOCKS_UNDER cannot be locked, as on a file system without locks.
   NO_LOCKS_ERRNO is what the kernel says; with NO_LOCKS_FLOCK=1 flock(2) works all the same, as over NFS it may. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int cannot_be_locked(int fd) {
    char link[64], path[4096];
    const char *under = getenv("NO_LOCKS_UNDER");
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path);
    if (!under || length < (ssize_t)strlen(under) || strncmp(path, under, strlen(under))) return 0;
    errno = atoi(getenv("NO_LOCKS_ERRNO"));
    return 1;
}

int flock(int fd, int operation) {
    int (*real)(int, int) = (int (*)(int, int))dlsym(RTLD_NEXT, "flock");
    return !getenv("NO_LOCKS_FLOCK") && cannot_be_locked(fd) ? -1 : real(fd, operation);
}

#define REPLACE(name)                                                                                        \
    int name(int fd, int command, ...) {                                                                     \
        int (*real)(int, int, ...) = (int (*)(int, int, ...))dlsym(RTLD_NEXT, #name);                        \
        int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;                         \
        va_list rest;                                                                                        \
        va_start(rest, command);                                                                             \
        void *argument = va_arg(rest, void *);                                                               \
        va_end(rest);                                                                                        \
        return locks && cannot_be_locked(fd) ? -1 : real(fd, command, argument);                             \
    }
REPLACE(fcntl)
REPLACE(fcntl64)
