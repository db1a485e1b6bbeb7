/* The system call filter, each question in a process of its own. */
#include "control/confine.h"
#include "tests/lib/suite.h"
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* True when `question` holds behind the filter. */
static bool confined(bool (*question)(void)) {
    char err[200];
    const struct config on = {.seccomp = true};
    pid_t child = fork();
    if (child == 0) {
        confine_early();
        _exit(confine_calls(&on, err, sizeof(err)) && question() ? 0 : 1);
    }
    int status = -1;
    CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
    return status == 0;
}

static bool no_program_starts(void) {
    char *const nothing[] = {NULL};
    return execve("/bin/true", nothing, nothing) == -1 && errno == EPERM;
}

static bool no_process_starts(void) {
    pid_t p = fork();
    if (p == 0)
        _exit(0);
    return p == -1 && errno == EPERM;
}

static bool no_raw_socket(void) {
    bool packet = socket(AF_PACKET, SOCK_RAW, 0) == -1 && errno == EPERM;
    return packet && socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) == -1 && errno == EPERM;
}

static bool no_other_process(void) {
    return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL) == -1 && errno == EPERM;
}

static bool no_other_root(void) {
    return chroot("/") == -1 && errno == EPERM;
}

static void *say(void *p) {
    *(bool *)p = true;
    return NULL;
}

static bool threads_start(void) {
    bool said = false;
    pthread_t t;
    return pthread_create(&t, NULL, say, &said) == 0 && pthread_join(t, NULL) == 0 && said;
}

static bool sockets_open(void) {
    return socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) >= 0 &&
           socket(AF_INET6, SOCK_DGRAM, 0) >= 0 && socket(AF_UNIX, SOCK_STREAM, 0) >= 0;
}

static bool files_are_written(void) {
    char name[] = "/tmp/tgw-confine-XXXXXX";
    FILE *f = fopen("/etc/passwd", "re");
    int fd = mkstemp(name);
    return f && fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0 && unlink(name) == 0;
}

static void what_is_not_needed_fails(void) {
    CU_ASSERT_TRUE(confined(no_program_starts));
    CU_ASSERT_TRUE(confined(no_process_starts));
    CU_ASSERT_TRUE(confined(no_raw_socket));
    CU_ASSERT_TRUE(confined(no_other_process));
    CU_ASSERT_TRUE(confined(no_other_root));
}

static void what_is_needed_works(void) {
    CU_ASSERT_TRUE(confined(threads_start));
    CU_ASSERT_TRUE(confined(sockets_open));
    CU_ASSERT_TRUE(confined(files_are_written));
}

static void an_unknown_user_is_named(void) {
    char err[200] = "";
    const struct config c = {.run_as_user = "nobody-of-that-name"};
    CU_ASSERT_FALSE(confine_user(&c, err, sizeof(err)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "run_as_user"));
}

int main(void) {
    static const struct suite_case cases[] = {
        {"what is not needed fails", what_is_not_needed_fails},
        {"what is needed works", what_is_needed_works},
        {"an unknown user is named", an_unknown_user_is_named},
    };
    return suite_run("control/confine", cases, sizeof(cases) / sizeof(cases[0]));
}
