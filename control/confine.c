#include "confine.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* By name: an architecture that lacks one of them goes without. */
static const char *const allowed[] = {
    /* memory and threads (the resolver's) */
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "mremap",
    "madvise",
    "futex",
    "set_robust_list",
    "rseq",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigreturn",
    "sigaltstack",
    "sched_yield",
    "sched_getaffinity",
    "getrandom",
    "exit",
    "exit_group",
    "restart_syscall",
    "membarrier",
    /* time */
    "clock_gettime",
    "clock_getres",
    "clock_nanosleep",
    "nanosleep",
    "gettimeofday",
    "time",
    /* files: state, configuration, versions, audit, the lab's page */
    "open",
    "openat",
    "close",
    "read",
    "pread64",
    "readv",
    "write",
    "pwrite64",
    "writev",
    "lseek",
    "fstat",
    "stat",
    "lstat",
    "newfstatat",
    "statx",
    "access",
    "faccessat",
    "faccessat2",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
    "mkdir",
    "mkdirat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchown",
    "ftruncate",
    "fsync",
    "fdatasync",
    "getdents64",
    "readlink",
    "readlinkat",
    "umask",
    "fcntl",
    "dup",
    "dup2",
    "dup3",
    "pipe2",
    "ioctl",
    "sendfile",
    /* the loop and its sockets */
    "epoll_create1",
    "epoll_ctl",
    "epoll_wait",
    "epoll_pwait",
    "poll",
    "ppoll",
    "select",
    "pselect6",
    "eventfd2",
    "accept",
    "accept4",
    "bind",
    "listen",
    "connect",
    "getsockname",
    "getpeername",
    "getsockopt",
    "setsockopt",
    "recvfrom",
    "recvmsg",
    "recvmmsg",
    "sendto",
    "sendmsg",
    "sendmmsg",
    "shutdown",
    /* who and what */
    "kill",
    "tgkill",
    "getpid",
    "gettid",
    "getppid",
    "getuid",
    "geteuid",
    "getgid",
    "getegid",
    "prlimit64",
    "getrlimit",
    "getrusage",
    "sysinfo",
    "uname",
    "prctl",
};

void confine_early(void) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

/* What earlier starts as another user have left. Links are not followed. */
static void own_folder(const char *path, const struct passwd *pw, int depth) {
    char entry[512];
    const struct dirent *e;
    DIR *d = opendir(path);
    if (lchown(path, pw->pw_uid, pw->pw_gid) != 0 || !d) {
        if (d)
            closedir(d);
        return;
    }
    while ((e = readdir(d)) != NULL) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(entry, sizeof(entry), "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR && depth > 0)
            own_folder(entry, pw, depth - 1);
        else if (e->d_type == DT_REG && lchown(entry, pw->pw_uid, pw->pw_gid) != 0)
            return; /* writing it will say why */
    }
    closedir(d);
}

static bool fail(char *err, size_t err_bytes, const char *what) {
    snprintf(err, err_bytes, "%s: %s", what, strerror(errno));
    return false;
}

bool confine_user(const struct config *c, char *err, size_t err_bytes) {
    if (!c->run_as_user[0])
        return true;
    const struct passwd *pw = getpwnam(c->run_as_user);
    if (!pw) {
        snprintf(err, err_bytes, "run_as_user: no such user");
        return false;
    }
    if (geteuid() == pw->pw_uid)
        return true;
    mkdir(c->state_dir, 0750);
    own_folder(c->state_dir, pw, 1);
    if (chown(c->control_socket, pw->pw_uid, (gid_t)-1) != 0)
        return fail(err, err_bytes, "run_as_user: control_socket");
    if (setgroups(0, NULL) != 0 || setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return fail(err, err_bytes, "run_as_user: cannot change to it");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return true;
}

static int allow_names(scmp_filter_ctx f) {
    for (size_t i = 0; i < sizeof(allowed) / sizeof(allowed[0]); i++) {
        int number = seccomp_syscall_resolve_name(allowed[i]);
        int rc = number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, SCMP_ACT_ALLOW, number, 0);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Sockets of ordinary families only; threads, but no processes. clone3 hides its flags from
 * a filter: it "does not exist", and the C library takes clone. */
static int allow_some(scmp_filter_ctx f) {
    static const unsigned families[] = {AF_UNIX, AF_INET, AF_INET6};
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    for (size_t i = 0; rc == 0 && i < sizeof(families) / sizeof(families[0]); i++) {
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                              SCMP_A0(SCMP_CMP_EQ, families[i]),
                              SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_STREAM));
        if (rc == 0)
            rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                  SCMP_A0(SCMP_CMP_EQ, families[i]),
                                  SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM));
    }
    if (rc == 0) /* the resolver asks the kernel for addresses */
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(socket), 1,
                              SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
    if (rc == 0)
        rc = seccomp_rule_add(f, SCMP_ACT_ALLOW, SCMP_SYS(clone), 1,
                              SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD));
    return rc;
}

bool confine_calls(const struct config *c, char *err, size_t err_bytes) {
    if (!c->seccomp)
        return true;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    int rc = f ? allow_names(f) : -ENOMEM;
    if (rc == 0)
        rc = allow_some(f);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    if (rc != 0)
        snprintf(err, err_bytes, "seccomp: %s", strerror(-rc));
    return rc == 0;
}
