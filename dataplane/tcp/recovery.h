/* Losses, congestion and the path's MTU: recovery.c and pmtu.c; private to tcp/. */
#ifndef TGW_TCP_RECOVERY_H
#define TGW_TCP_RECOVERY_H

#include "tcb.h"

/* recovery.c: which losses there are and what they mean. Decides and marks; output.c
 * sends. */
struct tcp_heard { /* by one ACK */
    const struct seg *s;
    bool advanced;      /* SND.UNA moved */
    bool duplicate;     /* RFC 5681 section 2, without SACK information */
    bool dsack;         /* RFC 2883 */
    uint32_t delivered; /* bytes, SACKed ones included */
    uint32_t acked;     /* bytes by which SND.UNA moved */
    uint32_t flight;    /* bytes unacknowledged before */
};
void tcp_recovery_heard(struct tcb *c, const struct tcp_heard *h);
/* The reordering window has passed. */
void tcp_recovery_detect(struct tcb *c);
/* The retransmission timer has fired: RFC 6298 section 5.4 to 5.6. */
void tcp_recovery_timeout(struct tcb *c);
/* Everything in flight goes again, congestion or not: the path's MTU shrank, or a closed
 * window opened. */
void tcp_resend_all(struct tcb *c);
/* Bytes thought to be in the network. */
uint32_t tcp_pipe(const struct tcb *c);
static inline const struct tcp_cc_ops *tcp_cc(const struct tcb *c) {
    return c->stack->config.use_cubic ? &tcp_cc_cubic : &tcp_cc_newreno;
}

/* pmtu.c */
void tcp_path_init(struct tcb *c);
/* A segment of new data went: it may be the largest yet. */
void tcp_path_sent(struct tcb *c, uint32_t end, uint32_t len);
/* What begins at `from` goes again, perhaps in other sizes. */
void tcp_path_resent(struct tcb *c, uint32_t from);
/* SND.UNA has moved. */
void tcp_path_acked(struct tcb *c);
/* The retransmission timer has fired. */
void tcp_path_timeout(struct tcb *c);
/* Payload of a probe for a larger MTU that is due now; 0: none. */
uint32_t tcp_path_probe(struct tcb *c, uint32_t left);
/* Nothing but that probe is lost: no congestion (RFC 4821 section 7.6.2). */
bool tcp_path_only_probe_lost(const struct tcb *c);

#endif
