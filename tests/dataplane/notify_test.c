#include "notify.h"
#include "tests/lib/suite.h"
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A manager that listens on an abstract name. */
static int listen_on(char name[64]) {
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    int len = snprintf(name, 64, "@tgw-notify-test-%d", (int)getpid());
    memcpy(at.sun_path + 1, name + 1, (size_t)len - 1);
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + (size_t)len);
    CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&at, size), 0);
    return fd;
}

static const char *heard(int fd) {
    static char text[64];
    ssize_t n = recv(fd, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    return text;
}

static void says_what_it_is_told(void) {
    char name[64];
    struct notify n;
    int fd = listen_on(name);
    notify_open(&n, name, NULL);
    notify_send(&n, "READY=1");
    CU_ASSERT_STRING_EQUAL(heard(fd), "READY=1");
    CU_ASSERT_FALSE(notify_due(&n, UINT64_MAX)); /* no watchdog: no signs of life */
    notify_close(&n);
    close(fd);
}

static void signs_of_life_are_due_twice_a_period(void) {
    const uint64_t s = 1000000000;
    char name[64];
    struct notify n;
    int fd = listen_on(name);
    notify_open(&n, name, "10000000");
    CU_ASSERT_TRUE(notify_due(&n, 1 * s));
    notify_beat(&n, 1 * s);
    CU_ASSERT_STRING_EQUAL(heard(fd), "WATCHDOG=1");
    CU_ASSERT_FALSE(notify_due(&n, 5 * s));
    CU_ASSERT_TRUE(notify_due(&n, 6 * s));
    notify_close(&n);
    close(fd);
}

static void nobody_is_fine(void) {
    char longer[200];
    struct notify n;
    memset(longer, 'x', sizeof(longer));
    longer[0] = '/';
    longer[sizeof(longer) - 1] = 0;
    const char *const names[] = {NULL, "", "@", "relative", longer};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        notify_open(&n, names[i], "1000000");
        CU_ASSERT_EQUAL(n.fd, -1);
        notify_send(&n, "READY=1");
        CU_ASSERT_FALSE(notify_due(&n, UINT64_MAX));
        notify_close(&n);
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"says what it is told", says_what_it_is_told},
        {"signs of life are due twice a period", signs_of_life_are_due_twice_a_period},
        {"nobody is fine", nobody_is_fine},
    };
    return suite_run("dataplane/notify", cases, sizeof(cases) / sizeof(cases[0]));
}
