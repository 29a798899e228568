/* A disk that fails. Preloaded before the C library: of the calls that change files below `folder`, the one after
   `passing` others fails with `error`, and the `lasting` ones after it; with error 0 the process is killed instead. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char watched[4096];
static long left = -1, more;
static int told;
long disk_calls;

void disk_arm(const char *folder, long passing, long lasting, int error) {
    snprintf(watched, sizeof watched, "%s/", folder);
    left = passing, more = lasting, told = error, disk_calls = 0;
}

void disk_mend(void) { left = -1; }

static int is_watched(int fd) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return strncmp(path, watched, strlen(watched)) == 0;
}

static int fails(int fd) {
    if (left < 0 || !is_watched(fd)) return 0;
    disk_calls++;
    if (left > 0) { left--; return 0; }
    if (!told) kill(getpid(), SIGKILL);
    if (more > 0) more--; else left = -1;
    errno = told;
    return 1;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
ssize_t write(int fd, const void *b, size_t n) { return fails(fd) ? -1 : REAL(write)(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) { return fails(fd) ? -1 : REAL(pwrite)(fd, b, n, at); }
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t at) { return fails(fd) ? -1 : REAL(pwrite64)(fd, b, n, at); }
int fsync(int fd) { return fails(fd) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd) ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t n) { return fails(fd) ? -1 : REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { return fails(fd) ? -1 : REAL(ftruncate64)(fd, n); }
