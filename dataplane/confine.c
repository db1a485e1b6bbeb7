/* DPDK's drivers, its memory and its interrupt thread use more of the kernel than a list
 * could name for every NIC (docs/decisions/confinement.md), so this filter names what is
 * refused. tgw-control's names what is allowed. */
#include "confine.h"
#include "ports.h"
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *const refused[] = {
    "execve",
    "execveat",
    "fork",
    "vfork",
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "kcmp",
    "pidfd_getfd",
    "mount",
    "umount2",
    "move_mount",
    "pivot_root",
    "chroot",
    "setns",
    "unshare",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    "quotactl",
    "keyctl",
    "add_key",
    "request_key",
    "userfaultfd",
    "perf_event_open",
    "open_by_handle_at",
    "settimeofday",
    "clock_settime",
    "adjtimex",
    "sethostname",
    "setdomainname",
    "personality",
    "syslog",
    "iopl",
    "ioperm",
    "sched_setscheduler",
    "sched_setparam",
    "sched_setattr",
};

static bool fail(char *err, size_t err_bytes, const char *text) {
    snprintf(err, err_bytes, "%s", text);
    return false;
}

static bool become_user(const struct config *c, char *err, size_t err_bytes) {
    if (!c->run_as_user[0])
        return true;
    const struct passwd *pw = getpwnam(c->run_as_user);
    if (!pw)
        return fail(err, err_bytes, "run_as_user: no such user");
    if (chown(c->shm_path, pw->pw_uid, pw->pw_gid) != 0 ||
        !ports_give(c, 1, pw->pw_uid, pw->pw_gid) || setgroups(0, NULL) != 0 ||
        setgid(pw->pw_gid) != 0 || setuid(pw->pw_uid) != 0)
        return fail(err, err_bytes, "run_as_user: cannot change to it");
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return true;
}

static int add_rules(scmp_filter_ctx f) {
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        int number = seccomp_syscall_resolve_name(refused[i]);
        int rc =
            number == __NR_SCMP_ERROR ? 0 : seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), number, 0);
        if (rc != 0)
            return rc;
    }
    /* Threads, no processes. clone3 hides its flags: the C library then takes clone. */
    int rc = seccomp_rule_add(f, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0);
    return rc != 0 ? rc
                   : seccomp_rule_add(f, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                                      SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0));
}

static bool refuse_calls(const struct config *c, char *err, size_t err_bytes) {
    if (!c->seccomp)
        return true;
    scmp_filter_ctx f = seccomp_init(SCMP_ACT_ALLOW);
    int rc = f ? seccomp_attr_set(f, SCMP_FLTATR_CTL_TSYNC, 1) : -ENOMEM;
    if (rc == 0)
        rc = add_rules(f);
    if (rc == 0)
        rc = seccomp_load(f);
    seccomp_release(f);
    if (rc != 0)
        snprintf(err, err_bytes, "seccomp: %s", strerror(-rc));
    return rc == 0;
}

bool confine(const struct config *c, char *err, size_t err_bytes) {
    const struct rlimit no_core = {0, 0};
    setrlimit(RLIMIT_CORE, &no_core);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    return become_user(c, err, err_bytes) && refuse_calls(c, err, err_bytes);
}
