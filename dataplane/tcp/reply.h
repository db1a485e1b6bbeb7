/* Segments that answer one without a connection to send them from: RST, the ACKs of
 * TIME_WAIT, SYN cookies. Private to tcp/. */
#ifndef TGW_TCP_REPLY_H
#define TGW_TCP_REPLY_H

#include "net/seg.h"

struct tcp_stack;

struct tcp_reply {
    uint32_t seq, ack;
    uint32_t ts_val, ts_ecr;
    uint16_t wnd; /* as on the wire */
    uint16_t mss; /* 0: no option, as for the three below */
    uint8_t wscale;
    bool sack_permitted, has_ts;
    uint8_t flags;
};

/* Back to where `to` came from. False: no route or no packet buffer. */
bool tcp_reply(struct tcp_stack *t, const struct seg *to, const struct tcp_reply *r);
/* RFC 9293 section 3.10.7.1; an RST is not answered. */
void tcp_send_rst(struct tcp_stack *t, const struct seg *s);
/* Answers that a stranger could ask for without end: RFC 5961 section 7. */
bool tcp_answer_allowed(struct tcp_stack *t);

#endif
