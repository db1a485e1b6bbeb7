#include "notify.h"
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void notify_open(struct notify *n, const char *socket_name, const char *watchdog_us) {
    *n = (struct notify){.fd = -1, .to.sun_family = AF_UNIX};
    size_t len = socket_name ? strlen(socket_name) : 0;
    if (len < 2 || len >= sizeof(n->to.sun_path) || !strchr("/@", socket_name[0]))
        return;
    memcpy(n->to.sun_path, socket_name, len);
    if (socket_name[0] == '@')
        n->to.sun_path[0] = 0;
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (watchdog_us)
        n->every_ns = strtoull(watchdog_us, NULL, 10) * 1000 / 2;
}

void notify_close(struct notify *n) {
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void notify_send(const struct notify *n, const char *state) {
    if (n->fd >= 0)
        (void)sendto(n->fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
                     n->to_len);
}

bool notify_due(const struct notify *n, uint64_t now_ns) {
    return n->fd >= 0 && n->every_ns && now_ns >= n->next_ns;
}

void notify_beat(struct notify *n, uint64_t now_ns) {
    n->next_ns = now_ns + n->every_ns;
    notify_send(n, "WATCHDOG=1");
}
