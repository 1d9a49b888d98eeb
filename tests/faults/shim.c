/* A layer between a process and its C library that fails on command: kills, errors, short writes, delays, other clocks.
 *
 * Loaded with LD_PRELOAD it passes everything on until fault_arm() is called, in the process that is to fail. From then
 * on it counts the calls in the chosen classes whose path lies below a folder (and holds a word, if one is given), and
 * acts on the n-th, and on every `period`-th after that. The count and a log of what was done go to the harness.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { READ = 1, OPEN = 2, WRITE = 4, SYNC = 8, RENAME = 16, REMOVE = 32, MAKE = 64, CUT = 128 };
enum { COUNT, KILL_BEFORE, KILL_AFTER, KILL_HALF, FAIL, SHORT, DELAY };

static char folder[PATH_MAX], word[256];
static unsigned classes;
static long nth, period;
static int action, argument, log_handle = -1;
static atomic_long calls;
static atomic_long clock_calls;
static long clock_at = -1, clock_jump;

#define REAL(name) ((__typeof__(&name))real(#name))

static void *real(const char *name) {
    void *found = dlsym(RTLD_NEXT, name);
    if (!found) _exit(99);
    return found;
}

void fault_arm(const char *below, const char *holding, unsigned which, long first, long every, int what, int with,
               int log) {
    snprintf(word, sizeof word, "%s", holding);
    classes = which, nth = first, period = every, action = what, argument = with, log_handle = log;
    atomic_store(&calls, 0);
    snprintf(folder, sizeof folder, "%s", below); /* last: it is what arms */
}

long fault_calls(void) { return atomic_load(&calls); }

/* The wall clock jumps by so many seconds at its n-th reading; the monotonic clock, by definition, does not. */
void fault_clock(long at, long seconds) {
    atomic_store(&clock_calls, 0);
    clock_at = at, clock_jump = seconds;
}

static int of_handle(int handle, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", handle);
    long size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    path[size > 0 ? size : 0] = 0;
    return size > 0;
}

static void of_name(int directory, const char *name, char *path) {
    char base[PATH_MAX] = "";
    if (name[0] == '/') {
        snprintf(path, PATH_MAX, "%s", name);
        return;
    }
    if (directory != AT_FDCWD) of_handle(directory, base);
    else if (syscall(SYS_getcwd, base, sizeof base) < 0) base[0] = 0;
    if (snprintf(path, PATH_MAX, "%s/%s", base, name) >= PATH_MAX) path[0] = 0;
}

static int meant(const char *path) {
    return folder[0] && !strncmp(path, folder, strlen(folder)) && (!word[0] || strstr(path, word));
}

static void note(const char *what, const char *path, const char *other, long number) {
    if (log_handle < 0 || !folder[0]) return;
    char line[2 * PATH_MAX + 64];
    int size = snprintf(line, sizeof line, "%s\t%s\t%s\t%ld\n", what, path, other, number);
    syscall(SYS_write, log_handle, line, size);
}

/* What to do with this call: COUNT means to do it as it is. */
static int chosen(unsigned class, const char *path) {
    if (!(classes & class) || !meant(path)) return COUNT;
    long number = atomic_fetch_add(&calls, 1) + 1;
    int now = period ? number >= nth && (number - nth) % period == 0 : number == nth;
    if (!now || action == COUNT) return COUNT;
    note("fault", path, "", number);
    if (action == KILL_BEFORE) syscall(SYS_kill, getpid(), SIGKILL);
    if (action == DELAY) {
        struct timespec rest = {argument / 1000, argument % 1000 * 1000000L};
        syscall(SYS_nanosleep, &rest, NULL);
        return COUNT;
    }
    return action;
}

static void done(int what) {
    if (what == KILL_AFTER || what == KILL_HALF) syscall(SYS_kill, getpid(), SIGKILL);
}

#define FAILS(what)                                                                                                    \
    if ((what) == FAIL) {                                                                                              \
        errno = argument;                                                                                              \
        return -1;                                                                                                     \
    }

/* -- opening and reading ------------------------------------------------------------------------------------------ */

static int opening(int directory, const char *name, int flags, mode_t mode) {
    int what = COUNT;
    int changes = flags & (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC);
    char path[PATH_MAX];
    if (folder[0]) {
        of_name(directory, name, path);
        what = chosen(changes ? OPEN : READ, path);
        FAILS(what)
    }
    int handle = syscall(SYS_openat, directory, name, flags, mode);
    if (folder[0] && handle >= 0 && changes && meant(path)) note(flags & O_TRUNC ? "empty" : "open", path, "", 0);
    done(what);
    return handle;
}

#define MODE(flags)                                                                                                    \
    mode_t mode = 0;                                                                                                   \
    if ((flags) & O_CREAT) {                                                                                           \
        va_list rest;                                                                                                  \
        va_start(rest, flags);                                                                                         \
        mode = va_arg(rest, mode_t);                                                                                   \
        va_end(rest);                                                                                                  \
    }

int open(const char *name, int flags, ...) { MODE(flags) return opening(AT_FDCWD, name, flags, mode); }
int open64(const char *name, int flags, ...) { MODE(flags) return opening(AT_FDCWD, name, flags, mode); }
int openat(int at, const char *name, int flags, ...) { MODE(flags) return opening(at, name, flags, mode); }
int openat64(int at, const char *name, int flags, ...) { MODE(flags) return opening(at, name, flags, mode); }

ssize_t read(int handle, void *to, size_t size) {
    char path[PATH_MAX];
    int what = folder[0] && of_handle(handle, path) ? chosen(READ, path) : COUNT;
    FAILS(what)
    if (what == SHORT && size > 1) size /= 2;
    ssize_t got = REAL(read)(handle, to, size);
    done(what);
    return got;
}

/* -- writing ------------------------------------------------------------------------------------------------------- */

static int writing(int handle, char *path, size_t *size) {
    int what = folder[0] && of_handle(handle, path) ? chosen(WRITE, path) : COUNT;
    if ((what == SHORT || what == KILL_HALF) && *size > 1) *size /= 2;
    return what;
}

static void written(int what, const char *path, ssize_t size) {
    if (size > 0 && folder[0] && meant(path)) note("write", path, "", size);
    done(what);
}

ssize_t write(int handle, const void *from, size_t size) {
    char path[PATH_MAX];
    int what = writing(handle, path, &size);
    FAILS(what)
    ssize_t put = REAL(write)(handle, from, size);
    written(what, path, put);
    return put;
}

ssize_t pwrite64(int handle, const void *from, size_t size, off64_t at) {
    char path[PATH_MAX];
    int what = writing(handle, path, &size);
    FAILS(what)
    ssize_t put = REAL(pwrite64)(handle, from, size, at);
    written(what, path, put);
    return put;
}

ssize_t pwrite(int handle, const void *from, size_t size, off_t at) { return pwrite64(handle, from, size, at); }

ssize_t writev(int handle, const struct iovec *parts, int count) {
    if (count == 1) return write(handle, parts->iov_base, parts->iov_len);
    char path[PATH_MAX];
    size_t first = count ? parts->iov_len : 0;
    int what = writing(handle, path, &first);
    FAILS(what)
    int whole = what != SHORT && what != KILL_HALF;
    ssize_t put = whole ? REAL(writev)(handle, parts, count) : REAL(write)(handle, parts->iov_base, first);
    written(what, path, put);
    return put;
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t size) {
    static ssize_t (*next)(int, int, off64_t *, size_t);
    if (!next) next = real("sendfile64");
    char path[PATH_MAX];
    int what = writing(to, path, &size);
    FAILS(what)
    ssize_t put = next(to, from, at, size);
    written(what, path, put);
    return put;
}

ssize_t sendfile(int to, int from, off_t *at, size_t size) { return sendfile64(to, from, at, size); }

int ftruncate64(int handle, off64_t size) {
    char path[PATH_MAX];
    int what = folder[0] && of_handle(handle, path) ? chosen(CUT, path) : COUNT;
    FAILS(what)
    int result = REAL(ftruncate64)(handle, size);
    if (!result && folder[0] && meant(path)) note("cut", path, "", size);
    done(what);
    return result;
}

int ftruncate(int handle, off_t size) { return ftruncate64(handle, size); }

static int syncing(int handle, int (*next)(int)) {
    char path[PATH_MAX];
    int what = folder[0] && of_handle(handle, path) ? chosen(SYNC, path) : COUNT;
    FAILS(what)
    int result = next(handle);
    struct stat facts;
    if (!result && folder[0] && meant(path) && !fstat(handle, &facts)) note("sync", path, "", facts.st_size);
    done(what);
    return result;
}

int fsync(int handle) { return syncing(handle, REAL(fsync)); }
int fdatasync(int handle) { return syncing(handle, REAL(fdatasync)); }

/* -- names --------------------------------------------------------------------------------------------------------- */

static int renaming(int at, const char *old, int to, const char *new, unsigned flags) {
    char before[PATH_MAX], after[PATH_MAX];
    int what = COUNT;
    if (folder[0]) {
        of_name(at, old, before);
        of_name(to, new, after);
        what = chosen(RENAME, after);
        FAILS(what)
    }
    int result = syscall(SYS_renameat2, at, old, to, new, flags);
    if (!result && folder[0] && meant(after)) note("rename", before, after, 0);
    done(what);
    return result;
}

int rename(const char *old, const char *new) { return renaming(AT_FDCWD, old, AT_FDCWD, new, 0); }
int renameat(int at, const char *old, int to, const char *new) { return renaming(at, old, to, new, 0); }
int renameat2(int at, const char *old, int to, const char *new, unsigned flags) {
    return renaming(at, old, to, new, flags);
}

static int removing(int at, const char *name, int flags) {
    char path[PATH_MAX];
    int what = COUNT;
    if (folder[0]) {
        of_name(at, name, path);
        what = chosen(REMOVE, path);
        FAILS(what)
    }
    int result = syscall(SYS_unlinkat, at, name, flags);
    if (!result && folder[0] && meant(path)) note("remove", path, "", 0);
    done(what);
    return result;
}

int unlink(const char *name) { return removing(AT_FDCWD, name, 0); }
int unlinkat(int at, const char *name, int flags) { return removing(at, name, flags); }
int rmdir(const char *name) { return removing(AT_FDCWD, name, AT_REMOVEDIR); }

static int making(int at, const char *name, mode_t mode) {
    char path[PATH_MAX];
    int what = COUNT;
    if (folder[0]) {
        of_name(at, name, path);
        what = chosen(MAKE, path);
        FAILS(what)
    }
    int result = syscall(SYS_mkdirat, at, name, mode);
    done(what);
    return result;
}

int mkdir(const char *name, mode_t mode) { return making(AT_FDCWD, name, mode); }
int mkdirat(int at, const char *name, mode_t mode) { return making(at, name, mode); }

/* -- the clock ----------------------------------------------------------------------------------------------------- */

int clock_gettime(clockid_t which, struct timespec *now) {
    int result = REAL(clock_gettime)(which, now);
    if (which == CLOCK_REALTIME && clock_at >= 0 && atomic_fetch_add(&clock_calls, 1) >= clock_at)
        now->tv_sec += clock_jump;
    return result;
}
