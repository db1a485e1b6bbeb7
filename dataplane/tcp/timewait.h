/* TIME_WAIT: what is kept of a connection for 2 MSL after its end, 32 bytes each, in a
 * ring in the order of expiry since all wait equally long. Full: the oldest goes early,
 * counted. Private to tcp/. */
#ifndef TGW_TCP_TIMEWAIT_H
#define TGW_TCP_TIMEWAIT_H

#include "tcp/table.h"

struct tcp_stack;
struct tcb;
struct seg;

struct tw_entry {
    uint64_t flow;             /* the 64-bit keyed hash stands for the four-tuple */
    uint32_t rcv_nxt, snd_nxt; /* the peer's FIN and ours included */
    uint32_t ts_recent;
    uint32_t expires_ms; /* of tcp_now_ms() */
    uint16_t wnd;        /* as on the wire */
    bool ts_on;
    bool live; /* else a gap in the ring */
};
_Static_assert(sizeof(struct tw_entry) == 32, "half a cache line");

struct tw_table {
    struct flow_table flows;
    struct tw_entry *ring; /* [capacity] */
    uint32_t capacity;     /* a power of two */
    uint32_t max;          /* entries at once */
    uint32_t head, tail;   /* running numbers: the oldest, the next */
};

bool tw_init(struct tw_table *w, uint32_t max, bool huge);
void tw_fini(struct tw_table *w);
static inline uint32_t tw_count(const struct tw_table *w) {
    return w->flows.used;
}

/* Keep what `c`, whose FINs are through, leaves behind. False: TIME_WAIT is off, or the
 * table has no place. */
bool tw_add(struct tcp_stack *t, const struct tcb *c);
/* NULL: none waits under this hash. */
struct tw_entry *tw_find(const struct tw_table *w, uint64_t hash);
/* A segment for it: RFC 9293 section 3.10.7.4, RFC 1337. True: it is a SYN that opens anew
 * (RFC 6191) and the entry is gone; *iss_min is what its ISS must lie beyond. */
bool tw_input(struct tcp_stack *t, struct tw_entry *e, const struct seg *s, uint32_t *iss_min);
/* Drop what has waited long enough; returns how many. */
uint32_t tw_expire(struct tcp_stack *t);
/* When tw_expire() has something to do; UINT64_MAX: nothing waits. */
uint64_t tw_next_ns(const struct tcp_stack *t);

#endif
