/* One end of a connection and the owner's conduct: what it sends, how it reads, when it
 * stalls, how it leaves. Checks every byte and every end. */
#ifndef TESTS_SIM_PEER_H
#define TESTS_SIM_PEER_H

#include "tests/sim/scenario.h"

enum ending {
    END_SHUTDOWN, /* FIN after the last byte, then reads on */
    END_RELEASE,  /* gives the stream up after the last byte */
    END_ABORT,
    END_SECOND, /* FIN only after the peer's */
};

struct plan {
    uint64_t send_bytes;
    uint32_t write_max, read_max;
    uint64_t think_ns;              /* between writes */
    uint64_t pause_after, pause_ns; /* stops reading once */
    uint64_t hold_ns;               /* idle after the last byte */
    uint64_t abort_after;           /* bytes in both directions */
    enum ending ending;
    bool asks_room;
};

struct peer {
    struct host *host;
    struct peer *other;
    struct plan plan;
    uint64_t pattern;    /* where in the pattern it starts to send */
    uint64_t connect_ns; /* opens then; UINT64_MAX: accepts */
    struct tgw_endpoint to, local;
    struct stream s;
    uint64_t sent, received, wake_ns, think_until_ns, pause_until_ns, hold_until_ns;
    uint64_t released_ns;
    bool opened, connected, shut, eof, paused, thinking, held;
    bool lossy;                           /* the wire it goes over loses packets */
    bool closed, released, aborted, lost; /* each of them is the end of it */
    enum stream_end why;
};

extern const struct stream_handler peer_handler;

/* Draws a plan within the conduct of the scenario. */
void peer_draw(struct peer *p, struct rng *r, const struct conduct *c);
/* Opens it when it is time, goes on with what waits for a time. */
void peer_turn(struct peer *p);
uint64_t peer_next(const struct peer *p);
void peer_accepted(struct peer *p, struct stream s);
/* The host has forgotten it. */
void peer_lose(struct peer *p);
bool peer_is_over(const struct peer *p);
/* One line on where it stands. */
void peer_describe(const struct peer *p, char *out, size_t size);

#endif
