/* A disk that fails, for the one process that this is preloaded into (LD_PRELOAD).

   Calls that write or sync are counted, as far as the file's path holds FAILING_DISK_PATH. The one numbered
   FAILING_DISK_AT fails with FAILING_DISK_ERRNO, and with FAILING_DISK_STAYS=1 so does every one after it. With AT=0
   none does: then they are only counted. FAILING_DISK_CALLS says which calls: w writes, s syncs. With
   FAILING_DISK_WAITS=1 the counting begins only when the process itself calls count_from_here().

   FAILING_DISK_LOG gets a line for each failure (seconds of the monotonic clock, call, errno, path), and at the
   process's end the count. The log is written by libc's own dprintf, which does not come through here. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const char *wanted_path, *wanted_calls;
static long fails_at, fails_with;
static int stays, log_fd = -1;
static atomic_int waits;
static atomic_long count;

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value != NULL ? value : otherwise;
}

__attribute__((constructor)) static void begin(void)
{
    wanted_calls = setting("FAILING_DISK_CALLS", "ws");
    fails_at = atol(setting("FAILING_DISK_AT", "0"));
    fails_with = atol(setting("FAILING_DISK_ERRNO", "5"));
    stays = atoi(setting("FAILING_DISK_STAYS", "0"));
    log_fd = open(setting("FAILING_DISK_LOG", "/dev/null"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    atomic_store(&waits, atoi(setting("FAILING_DISK_WAITS", "0")));
    wanted_path = getenv("FAILING_DISK_PATH");
}

void count_from_here(void)
{
    atomic_store(&waits, 0);
}

__attribute__((destructor)) static void end(void)
{
    dprintf(log_fd, "counted %ld\n", atomic_load(&count));
}

static int fails(char kind, const char *call, int fd)
{
    char link[64], path[PATH_MAX];
    struct timespec now;
    ssize_t size;
    long number;
    int before = errno;

    if (wanted_path == NULL || atomic_load(&waits) || strchr(wanted_calls, kind) == NULL)
        return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path - 1);
    errno = before;
    if (size < 0)
        return 0;
    path[size] = '\0';
    if (strstr(path, wanted_path) == NULL)
        return 0;
    number = atomic_fetch_add(&count, 1) + 1;
    if (fails_at == 0 || number < fails_at || (number > fails_at && !stays))
        return 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    dprintf(log_fd, "failed %ld.%09ld %s %ld %s\n", (long)now.tv_sec, now.tv_nsec, call, fails_with, path);
    errno = (int)fails_with;
    return 1;
}

#define FAILING(kind, type, call, parameters, arguments)                                                             \
    type call parameters                                                                                             \
    {                                                                                                                \
        static type(*real) parameters;                                                                               \
        if (fails(kind, #call, fd))                                                                                  \
            return -1;                                                                                               \
        if (real == NULL)                                                                                            \
            real = (type(*) parameters)dlsym(RTLD_NEXT, #call);                                                      \
        return real arguments;                                                                                       \
    }

FAILING('w', ssize_t, write, (int fd, const void *from, size_t size), (fd, from, size))
FAILING('w', ssize_t, pwrite, (int fd, const void *from, size_t size, off_t at), (fd, from, size, at))
FAILING('w', ssize_t, pwrite64, (int fd, const void *from, size_t size, off64_t at), (fd, from, size, at))
FAILING('w', ssize_t, writev, (int fd, const struct iovec *from, int parts), (fd, from, parts))
FAILING('w', int, ftruncate, (int fd, off_t size), (fd, size))
FAILING('w', int, ftruncate64, (int fd, off64_t size), (fd, size))
FAILING('s', int, fsync, (int fd), (fd))
FAILING('s', int, fdatasync, (int fd), (fd))
