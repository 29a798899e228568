/* A disk that fails. Preloaded before the C library: of the calls of one kind on files below `folder`, the one after
   `passing` others fails with `error`, and the `lasting` ones after it; with error 0 the process is killed instead.
   The kinds: 0 what changes a file, 1 what locks one (as if another process held the lock, without the waiting),
   2 what reads or opens one.

   A program of its own is told by the file that $FAULTY_DISK names: while it is there, every change of a file below
   $FAULTY_FOLDER fails with the error number that is written in it. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

enum { CHANGES, LOCKS, READS };

static char watched[4096];
static long left = -1, more;
static int told, kind;
long disk_calls;

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

void disk_arm(const char *folder, int which, long passing, long lasting, int error) {
    snprintf(watched, sizeof watched, "%s/", folder);
    kind = which, left = passing, more = lasting, told = error, disk_calls = 0;
}

void disk_mend(void) { left = -1; }

static int is_below(int fd, const char *folder) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, sizeof path - 1);
    if (size < 0) return 0;
    path[size] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static int strikes(void) {
    disk_calls++;
    if (left > 0) { left--; return 0; }
    if (!told) kill(getpid(), SIGKILL);
    if (more > 0) more--; else left = -1;
    errno = told;
    return 1;
}

static int told_by_file(int fd) {
    const char *file = getenv("FAULTY_DISK"), *folder = getenv("FAULTY_FOLDER");
    char text[16];
    if (!file || !folder || !is_below(fd, folder)) return 0;
    int from = REAL(open)(file, O_RDONLY | O_CLOEXEC);
    if (from < 0) return 0;
    ssize_t size = REAL(read)(from, text, sizeof text - 1);
    close(from);
    if (size <= 0) return 0;
    text[size] = 0;
    errno = atoi(text);
    return 1;
}

static int fails(int fd, int which) {
    if (which == CHANGES && told_by_file(fd)) return 1;
    return left >= 0 && which == kind && is_below(fd, watched) && strikes();
}

ssize_t write(int fd, const void *b, size_t n) { return fails(fd, CHANGES) ? -1 : REAL(write)(fd, b, n); }
ssize_t pwrite(int fd, const void *b, size_t n, off_t at) {
    return fails(fd, CHANGES) ? -1 : REAL(pwrite)(fd, b, n, at);
}
ssize_t pwrite64(int fd, const void *b, size_t n, off64_t at) {
    return fails(fd, CHANGES) ? -1 : REAL(pwrite64)(fd, b, n, at);
}
int fsync(int fd) { return fails(fd, CHANGES) ? -1 : REAL(fsync)(fd); }
int fdatasync(int fd) { return fails(fd, CHANGES) ? -1 : REAL(fdatasync)(fd); }
int ftruncate(int fd, off_t n) { return fails(fd, CHANGES) ? -1 : REAL(ftruncate)(fd, n); }
int ftruncate64(int fd, off64_t n) { return fails(fd, CHANGES) ? -1 : REAL(ftruncate64)(fd, n); }

ssize_t read(int fd, void *b, size_t n) { return fails(fd, READS) ? -1 : REAL(read)(fd, b, n); }
ssize_t pread(int fd, void *b, size_t n, off_t at) { return fails(fd, READS) ? -1 : REAL(pread)(fd, b, n, at); }
ssize_t pread64(int fd, void *b, size_t n, off64_t at) { return fails(fd, READS) ? -1 : REAL(pread64)(fd, b, n, at); }

static int opening_fails(const char *path) {
    return left >= 0 && kind == READS && strncmp(path, watched, strlen(watched)) == 0 && strikes();
}

#define OPENS(name)                                                                                                    \
    int name(const char *path, int flags, ...) {                                                                       \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0;                                        \
        va_end(rest);                                                                                                  \
        return opening_fails(path) ? -1 : REAL(name)(path, flags, mode);                                               \
    }
OPENS(open)
OPENS(open64)

static int locking_fails(int fd, int command, void *lock) {
    if (command != F_SETLK && command != F_SETLK64) return 0;
    return ((struct flock *)lock)->l_type != F_UNLCK && fails(fd, LOCKS);
}

#define LOCKS_BY(name)                                                                                                 \
    int name(int fd, int command, ...) {                                                                               \
        va_list rest;                                                                                                  \
        va_start(rest, command);                                                                                       \
        void *what = va_arg(rest, void *);                                                                             \
        va_end(rest);                                                                                                  \
        return locking_fails(fd, command, what) ? -1 : REAL(name)(fd, command, what);                                  \
    }
LOCKS_BY(fcntl)
LOCKS_BY(fcntl64)

/* SQLite counts how long it has asked for its naps, so that its ten seconds pass at once */
int usleep(useconds_t n) { return left == 0 && kind == LOCKS ? 0 : REAL(usleep)(n); }
int nanosleep(const struct timespec *n, struct timespec *over) {
    return left == 0 && kind == LOCKS ? 0 : REAL(nanosleep)(n, over);
}
