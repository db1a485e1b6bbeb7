/* What a service manager is told: systemd's notify protocol, a datagram a message, without
 * its library. Nothing happens where no manager asked for it. */
#ifndef TGW_NOTIFY_H
#define TGW_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    uint64_t every_ns; /* between two signs of life; 0: none are wanted */
    uint64_t next_ns;
};

/* From NOTIFY_SOCKET (a path, or @ and an abstract name) and WATCHDOG_USEC; either may be
 * NULL. A name that cannot be is nobody. */
void notify_open(struct notify *n, const char *socket_name, const char *watchdog_us);
void notify_close(struct notify *n);
/* `state` is "READY=1" or the like. */
void notify_send(const struct notify *n, const char *state);
/* A sign of life is due twice in the watchdog's time. */
bool notify_due(const struct notify *n, uint64_t now_ns);
void notify_beat(struct notify *n, uint64_t now_ns);

#endif
