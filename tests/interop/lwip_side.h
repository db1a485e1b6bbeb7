/* Debian's lwIP as a host on a wire of the simulation's, on its virtual clock, one thread. The
 * library is loaded by hand: it and our stack call their functions alike. One a process. */
#ifndef TESTS_INTEROP_LWIP_SIDE_H
#define TESTS_INTEROP_LWIP_SIDE_H

#include <stdbool.h>
#include <stdint.h>

struct lwip_setup {
    /* A frame leaves. */
    void (*send)(void *ctx, const uint8_t *frame, uint32_t len);
    void *ctx;
    const uint64_t *now_ns;
    uint8_t mac[6];
    uint8_t addr4[4], addr6[16]; /* /24 and /64 */
};

enum lwip_ending {
    LWIP_CLOSES_FIRST, /* when all is sent, before the echo is back */
    LWIP_CLOSES_LAST,  /* when the other end has closed */
    LWIP_ABORTS,       /* when half of it is back */
};

/* A connection of lwIP's: a client that sends `bytes` of the pattern, at most `ahead` of what
 * came back, and compares the echo; or an echo server. */
struct lwip_conn {
    void *pcb; /* NULL: over */
    struct pbuf *pending;
    uint64_t bytes, ahead, sent, received;
    enum lwip_ending ending;
    uint64_t stall_until_ns; /* reads nothing before */
    bool client, connected, eof, shut, wrong, reset;
};

/* NULL, or why it cannot be: the library is missing, or does not start. */
const char *lwip_open(const struct lwip_setup *s);
void lwip_input(const uint8_t *frame, uint32_t len);
/* Timers that are due. */
void lwip_turn(void);
/* When lwip_turn() is wanted next, in ns. */
uint64_t lwip_next(void);
/* An echo server: `accepted` gives each connection its place, which lives until it is over. */
bool lwip_serve(uint16_t port, struct lwip_conn *(*accepted)(void));
/* c->bytes and so on are filled in. False: memory. */
bool lwip_connect(struct lwip_conn *c, const uint8_t addr4[4], const uint8_t addr6[16], bool ipv6,
                  uint16_t port);
/* A stall may be over. */
void lwip_go_on(struct lwip_conn *c);
uint8_t lwip_pattern(uint64_t at);

#endif
