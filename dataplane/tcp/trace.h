/* The last events of every connection of a core, always on: one ring of 8-byte records
 * for all of them. A connection that dies abnormally has its own picked out and told. */
#ifndef TGW_TCP_TRACE_H
#define TGW_TCP_TRACE_H

#include "tcb.h"

enum tcp_event {
    TCP_EV_NEW, /* the TCB's first: what stands before it in the ring is another's */
    TCP_EV_OPEN,
    TCP_EV_SYN_OUT,
    TCP_EV_DATA_IN,
    TCP_EV_ACK_IN,
    TCP_EV_FIN_IN,
    TCP_EV_RST_IN,
    TCP_EV_OOO_IN,
    TCP_EV_DATA_OUT,
    TCP_EV_ACK_OUT,
    TCP_EV_FIN_OUT,
    TCP_EV_AGAIN,
    TCP_EV_RTO,
    TCP_EV_TAIL_PROBE,
    TCP_EV_WINDOW_PROBE,
    TCP_EV_KEEPALIVE,
    TCP_EV_RECOVERY,
    TCP_EV_UNDO,
    TCP_EV_MSS,
    TCP_EV_CHALLENGE,
    TCP_EV_WINDOW_SHUT,
    TCP_EV_COUNT
};

/* False: no memory. `records` is a power of two, or 0 for no trace. */
bool tcp_trace_init(struct tcp_trace *r, uint32_t records, bool huge);
void tcp_trace_fini(struct tcp_trace *r);

/* One event; `arg` is kept up to 65535. */
static inline void tcp_note(const struct tcb *c, enum tcp_event what, uint32_t arg) {
    struct tcp_trace *r = (struct tcp_trace *)&c->stack->trace;
    if (!r->ring)
        return;
    /* In units of 64 bytes, moved up by six bits: the distance itself. */
    uint32_t who = (uint32_t)((const uint8_t *)c - c->stack->tcbs.base);
    r->ring[r->next++ & r->mask] = (struct tcp_record){who | what, (uint16_t)tcp_now_ms(c->stack),
                                                       (uint16_t)(arg < 65535 ? arg : 65535)};
}

/* The last of `c`, oldest first, as text: "-1200ms data_in 32, ...". Returns its length. */
size_t tcp_trace_text(const struct tcb *c, char *out, size_t size);
/* Tell config.died, within a limit a second. */
void tcp_trace_died(struct tcb *c, enum stream_end why);

#endif
