/* The seam between cronflow and the kernel: a library that the dynamic linker puts before the C library (LD_PRELOAD).

Every call by which the daemon or its keeper changes anything passes through here: writes, syncs, new, renamed and removed files,
messages, new processes, signals, reaped children; those of SQLite and of Python alike. Each is counted for its role, written
down on a tape, and at the one that was asked for the process is killed before the call is made, or the call fails.

SEAM_CONTROL names a file of TAPE + n bytes that all processes share: struct control, then the tape. SEAM_HOUSE is the folder whose
disk fails. SEAM_BOOT is a file that is read instead of the kernel's boot id. Commands do not come here: their environment is
their own. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum role { DAEMON, STARTER, GUARD, HOLDER, CHILD, NOBODY };
enum action { NOTHING, KILL, FAIL_ONCE, FAIL };
enum kind { PLAIN, FILE_CALL, FILE_GROWS }; /* what may fail: nothing; with EIO; with EIO or ENOSPC */

struct control {
    uint32_t role, at, action, number; /* which call of which role; what is to be done; the errno */
    uint32_t hit, broken, recording, _;
    uint32_t counts[8];
    uint64_t end, size; /* of the tape, in bytes */
};

struct record {
    uint32_t length; /* of the whole record, a multiple of 8; 0 while it is being written */
    uint16_t role, kind;
    uint32_t count, pid;
    int64_t offset;
    uint32_t size, data; /* of the call; of the bytes that follow call and path */
    char call[12];
    uint16_t path, hit;
};

#define TAPE 4096
static struct control *control;
static char house[1024];
static size_t house_length;
static const char *boot;
static enum role role = NOBODY;
static pid_t self;
static __thread int inside;

static enum role of_command_line(void) {
    char line[4096];
    int fd = syscall(SYS_openat, AT_FDCWD, "/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t size = fd < 0 ? 0 : syscall(SYS_read, fd, line, sizeof line - 1);
    syscall(SYS_close, fd);
    if (size <= 0) return NOBODY;
    for (ssize_t i = 0; i < size; i++) if (!line[i]) line[i] = ' ';
    line[size] = 0;
    if (strstr(line, "cronflow.keeper.guard")) return STARTER;
    if (strstr(line, "cronflow.cli.main daemon")) return DAEMON;
    return NOBODY;
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("SEAM_CONTROL"), *folder = getenv("SEAM_HOUSE");
    struct stat st;
    boot = getenv("SEAM_BOOT");
    if (!path || !folder) return;
    int fd = syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st)) return;
    void *found = mmap(NULL, st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (found == MAP_FAILED) return;
    control = found;
    snprintf(house, sizeof house, "%s/", folder);
    house_length = strlen(house);
    self = getpid();
    role = of_command_line();
}

/* Who calls: a keeper forks its guard, that its holder, that its commands. What shares the memory of a daemon (vfork) is nobody. */
static int somebody(void) {
    if (!control || role == NOBODY || inside) return 0;
    pid_t now = getpid();
    if (now != self) {
        if (role == DAEMON) return 0;
        self = now;
        role = role < CHILD ? role + 1 : CHILD;
    }
    return 1;
}

static void write_down(const char *call, enum kind kind, const char *path, int64_t offset, size_t size, const void *data,
                       uint32_t count, int hit) {
    size_t named = path ? strlen(path) : 0;
    size_t kept = data && control->recording ? size : 0;
    size_t length = (sizeof(struct record) + named + kept + 7) & ~(size_t)7;
    uint64_t at = __atomic_fetch_add(&control->end, length, __ATOMIC_SEQ_CST);
    if (at + length > control->size) return;
    struct record *one = (struct record *)((char *)control + TAPE + at);
    one->role = role, one->kind = kind, one->count = count, one->pid = self, one->hit = hit;
    one->offset = offset, one->size = size, one->data = kept, one->path = named;
    snprintf(one->call, sizeof one->call, "%s", call);
    if (named) memcpy(one + 1, path, named);
    if (kept) memcpy((char *)(one + 1) + named, data, kept);
    __atomic_store_n(&one->length, (uint32_t)length, __ATOMIC_SEQ_CST);
}

/* 0: go on; otherwise the errno with which the call is to fail. */
static int effect(const char *call, enum kind kind, const char *path, int64_t offset, size_t size, const void *data) {
    uint32_t count = __atomic_add_fetch(&control->counts[role], 1, __ATOMIC_SEQ_CST);
    int in_house = path && !strncmp(path, house, house_length);
    int can_fail = in_house && (kind == FILE_GROWS || (kind == FILE_CALL && control->number == EIO));
    int hit = 0;
    if (control->action && control->role == (uint32_t)role && count >= control->at && !control->hit) {
        if (control->action == KILL || control->action == FAIL || can_fail) hit = !__atomic_exchange_n(&control->hit, 1, __ATOMIC_SEQ_CST);
        if (hit && control->action == FAIL) control->broken = 1;
    }
    write_down(call, in_house ? kind : PLAIN, path, offset, size, data, count, hit);
    if (hit && control->action == KILL) {
        syscall(SYS_kill, getpid(), SIGKILL);
        for (;;) pause();
    }
    if (can_fail && (control->broken || (hit && control->action == FAIL_ONCE))) return control->number;
    return 0;
}

static const char *path_of(int fd, char *room, size_t size) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, room, size - 1);
    room[length < 0 ? 0 : length] = 0;
    return room;
}

static const char *path_at(int dir, const char *name, char *room, size_t size) {
    if (name[0] == '/' || dir == AT_FDCWD) return name;
    path_of(dir, room, size);
    size_t length = strlen(room);
    snprintf(room + length, size - length, "/%s", name);
    return room;
}

static enum kind of_write(int fd, int64_t offset, size_t size) {
    struct stat st;
    if (fstat(fd, &st) || !S_ISREG(st.st_mode)) return PLAIN;
    if (offset < 0) offset = fcntl(fd, F_GETFL) & O_APPEND ? st.st_size : lseek(fd, 0, SEEK_CUR);
    return offset + (int64_t)size > st.st_size ? FILE_GROWS : FILE_CALL;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)
#define FAILS(number) do { int n_ = (number); if (n_) { errno = n_; return -1; } } while (0)
#define BY_FD(call, how, offset, size, data) \
    if (somebody()) { \
        char room[1100]; \
        int kept = errno; \
        enum kind kind_ = (how); \
        int number_ = effect(call, kind_, path_of(fd, room, sizeof room), offset, size, data); \
        errno = kept; \
        FAILS(number_); \
    }
#define BY_PATH(call, how, dir, path) \
    if (somebody()) { char room[2200]; FAILS(effect(call, how, path_at(dir, path, room, sizeof room), 0, 0, NULL)); }
#define BARE(call) if (somebody()) FAILS(effect(call, PLAIN, NULL, 0, 0, NULL))

/* ---- files that are open ---- */

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    BY_FD("write", of_write(fd, -1, size), -1, size, NULL);
    return real(fd, data, size);
}
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset) {
    REAL(pwrite64);
    BY_FD("pwrite", of_write(fd, offset, size), offset, size, data);
    return real(fd, data, size, offset);
}
ssize_t pwrite(int fd, const void *data, size_t size, off_t offset) { return pwrite64(fd, data, size, offset); }
int fsync(int fd) { REAL(fsync); BY_FD("fsync", FILE_CALL, 0, 0, NULL); return real(fd); }
int fdatasync(int fd) { REAL(fdatasync); BY_FD("fdatasync", FILE_CALL, 0, 0, NULL); return real(fd); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); BY_FD("ftruncate", FILE_CALL, size, 0, NULL); return real(fd, size); }
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }
int fallocate64(int fd, int mode, off64_t offset, off64_t size) {
    REAL(fallocate64);
    BY_FD("fallocate", mode ? FILE_CALL : FILE_GROWS, offset, size, NULL);
    return real(fd, mode, offset, size);
}
int fallocate(int fd, int mode, off_t offset, off_t size) { return fallocate64(fd, mode, offset, size); }
int posix_fallocate64(int fd, off64_t offset, off64_t size) {
    REAL(posix_fallocate64);
    if (somebody()) {
        char room[1100];
        int number = effect("fallocate", FILE_GROWS, path_of(fd, room, sizeof room), offset, size, NULL);
        if (number) return number;
    }
    return real(fd, offset, size);
}
int posix_fallocate(int fd, off_t offset, off_t size) { return posix_fallocate64(fd, offset, size); }
int fchmod(int fd, mode_t mode) { REAL(fchmod); BY_FD("chmod", FILE_CALL, 0, 0, NULL); return real(fd, mode); }

/* ---- names ---- */

int openat64(int dir, const char *path, int flags, ...) {
    REAL(openat64);
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    if (boot && !strcmp(path, "/proc/sys/kernel/random/boot_id")) path = boot;
    if (flags & (O_CREAT | O_TRUNC)) {
        struct stat st;
        int there = !fstatat(dir, path, &st, 0);
        BY_PATH(there ? "open" : "create", there ? PLAIN : FILE_GROWS, dir, path);
    }
    return real(dir, path, flags, mode);
}
#define OPEN_MODE(flags) va_list more; va_start(more, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; va_end(more)
int openat(int dir, const char *path, int flags, ...) { OPEN_MODE(flags); return openat64(dir, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE(flags); return openat64(AT_FDCWD, path, flags, mode); }
int open(const char *path, int flags, ...) { OPEN_MODE(flags); return openat64(AT_FDCWD, path, flags, mode); }
int mkdirat(int dir, const char *path, mode_t mode) {
    REAL(mkdirat);
    struct stat st;
    BY_PATH("mkdir", fstatat(dir, path, &st, 0) ? FILE_GROWS : PLAIN, dir, path);
    return real(dir, path, mode);
}
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }
int unlinkat(int dir, const char *path, int flags) { REAL(unlinkat); BY_PATH("unlink", FILE_CALL, dir, path); return real(dir, path, flags); }
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int renameat(int from, const char *old, int to, const char *fresh) { REAL(renameat); BY_PATH("rename", FILE_CALL, from, old); return real(from, old, to, fresh); }
int rename(const char *old, const char *fresh) { return renameat(AT_FDCWD, old, AT_FDCWD, fresh); }
int chmod(const char *path, mode_t mode) { REAL(chmod); BY_PATH("chmod", FILE_CALL, AT_FDCWD, path); return real(path, mode); }
int utimensat(int dir, const char *path, const struct timespec times[2], int flags) {
    REAL(utimensat);
    BY_PATH("utime", FILE_CALL, dir, path);
    return real(dir, path, times, flags);
}
int memfd_create(const char *name, unsigned flags) { REAL(memfd_create); BARE("memfd"); return real(name, flags); }

/* ---- messages ---- */

ssize_t sendto(int fd, const void *data, size_t size, int flags, const struct sockaddr *to, socklen_t length) {
    REAL(sendto);
    BARE("send");
    return real(fd, data, size, flags, to, length);
}
ssize_t send(int fd, const void *data, size_t size, int flags) { return sendto(fd, data, size, flags, NULL, 0); }
ssize_t sendmsg(int fd, const struct msghdr *message, int flags) { REAL(sendmsg); BARE("send"); return real(fd, message, flags); }
int connect(int fd, const struct sockaddr *to, socklen_t length) { REAL(connect); BARE("connect"); return real(fd, to, length); }
int bind(int fd, const struct sockaddr *name, socklen_t length) { REAL(bind); BARE("bind"); return real(fd, name, length); }
int listen(int fd, int backlog) { REAL(listen); BARE("listen"); return real(fd, backlog); }

/* ---- processes ---- */

pid_t fork(void) { REAL(fork); BARE("fork"); return real(); }
int posix_spawn(pid_t *pid, const char *path, const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attributes,
                char *const argv[], char *const envp[]) {
    REAL(posix_spawn);
    if (somebody()) effect("spawn", PLAIN, NULL, 0, 0, NULL);
    inside++; /* its child shares our memory for a moment */
    int number = real(pid, path, actions, attributes, argv, envp);
    inside--;
    return number;
}
int execve(const char *path, char *const argv[], char *const envp[]) { REAL(execve); BARE("exec"); return real(path, argv, envp); }
int kill(pid_t pid, int number) { REAL(kill); if (number) BARE("kill"); return real(pid, number); }
int killpg(pid_t group, int number) { REAL(killpg); if (number) BARE("kill"); return real(group, number); }
pid_t wait4(pid_t pid, int *status, int options, struct rusage *used) {
    REAL(wait4);
    if (!(options & WNOHANG)) BARE("reap");
    return real(pid, status, options, used);
}
long syscall(long number, ...) {
    REAL(syscall);
    va_list more;
    va_start(more, number);
    long a = va_arg(more, long), b = va_arg(more, long), c = va_arg(more, long);
    long d = va_arg(more, long), e = va_arg(more, long), f = va_arg(more, long);
    va_end(more);
    if (number == SYS_clone3 && somebody()) effect("fork", PLAIN, NULL, 0, 0, NULL);
    return real(number, a, b, c, d, e, f);
}

/* ---- what is left of a disk that is full ---- */

static void full(const char *path, unsigned long *free_, unsigned long *available) {
    if (control && control->broken && control->number == ENOSPC && !strncmp(path, house, house_length - 1)) *free_ = *available = 0;
}
int statvfs64(const char *path, struct statvfs64 *found) {
    REAL(statvfs64);
    int result = real(path, found);
    if (!result) full(path, &found->f_bfree, &found->f_bavail);
    return result;
}
int statvfs(const char *path, struct statvfs *found) {
    REAL(statvfs);
    int result = real(path, found);
    if (!result) full(path, &found->f_bfree, &found->f_bavail);
    return result;
}
