/* What the files of tcp/ offer each other. */
#ifndef TGW_TCP_TCB_H
#define TGW_TCP_TCB_H

#include "tcp/state.h"

/* stack.c */
struct tcb *tcb_find(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport);
struct tcb *tcb_find_hashed(struct tcp_stack *t, const struct flow_key *k, uint64_t hash);
uint64_t tcb_hash(const struct tcb *c); /* that it stands under in the table */
/* In the table, with addresses, ISS and defaults; NULL when there is none left. */
struct tcb *tcb_make(struct tcp_stack *t, const struct ip_addr *local, uint16_t lport,
                     const struct ip_addr *remote, uint16_t rport, const struct net_route *route);
/* Out of the table and off all timers; memory goes at the flush. Tells nobody. */
void tcb_kill(struct tcb *c);
/* Kill, and tell the owner if there is one. */
void tcb_end(struct tcb *c, enum stream_end why);
void tcb_mark(struct tcb *c);
/* A window that is open moves by as much at least (RFC 9293 section 3.8.6.2.2). */
uint32_t tcp_window_step(const struct tcb *c);
uint32_t tcp_syn_window(const struct tcp_stack *t); /* of a SYN, hence unscaled */
/* The flight, made if there is none; NULL when memory is short. */
struct tcp_flight *tcb_flight(struct tcb *c);
/* True when nothing is queued, unread, in flight or out of order. */
bool tcb_is_quiet(const struct tcb *c);
/* Give the flight back and restart from a small window (RFC 5681 section 4.1). Only when
 * the connection is quiet, or goes. */
void tcb_rest(struct tcb *c);

/* timers.c */
void tcb_deadline(struct tcb *c, enum tcp_deadline which, uint64_t at_ns);
/* So long a connection may still take that nobody owns. */
void tcb_live_on(struct tcb *c);
/* The last output pass left something for want of a packet buffer: the timer looks again
 * soon where no answer of the peer's would. */
void tcp_retry_soon(struct tcb *c);
/* The flight's own: a tail loss probe or the reordering window; 0 of TCP_LT_NONE: none. */
void tcp_loss_deadline(struct tcb *c, enum tcp_loss_timer which, uint32_t wait_us);
void tcp_tail_probe_deadline(struct tcb *c, uint32_t rto_us); /* RFC 8985 section 7.2 */
void tcp_timer_fired(void *stack, struct timer *timer);
void tcp_rtt_sample(struct tcb *c, uint64_t rtt_ns);
uint32_t tcp_rto_ms(const struct tcb *c); /* RFC 6298 section 2, without backoff */
uint64_t tcp_rto_ns(const struct tcb *c); /* with it */

/* segment.c: one segment goes down. False: no mbuf, the timers will try again. */
bool tcp_emit(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags);
/* New data, which ECN may mark (RFC 3168 section 6.1). `segment`: the port is to cut it into
 * segments with so much payload; 0: it is one. */
bool tcp_emit_data(struct tcb *c, uint32_t seq, uint32_t len, uint8_t flags, uint32_t segment);
/* The whole queue in one segment that an mbuf holds, with an ACK and no options but timestamps. */
bool tcp_emit_queue(struct tcb *c);

/* output.c: what the connection owes the network, once a turn. */
void tcp_output(struct tcb *c);
/* ACK at once, within the limit of RFC 5961 section 7. */
void tcp_challenge(struct tcb *c);

/* listen.c */
bool tcp_is_listening(const struct tcp_stack *t, uint16_t port);
/* A SYN for a port that is listened on; the ISS will lie beyond iss_min unless that is 0. */
void tcp_passive_open(struct tcp_stack *t, const struct seg *s, uint32_t iss_min);
/* The half-open connection that the ACK of a cookie stands for, or NULL; *drop: it is not
 * to be answered with an RST. */
struct tcb *tcp_cookie_open(struct tcp_stack *t, const struct seg *s, bool *drop);
/* Our SYN is acknowledged by `s`: find the owner. False: there is none, the TCB is dead. */
bool tcp_accept(struct tcb *c, const struct seg *s);

/* ack.c */
/* False: the segment must not be processed further. */
bool tcp_ack(struct tcb *c, const struct seg *s);
/* There was news: for the output pass, or for the flight's end. */
void tcp_heard_news(struct tcb *c);
/* writable() if it is owed and there is room. */
void tcp_tell_room(struct tcb *c);

/* delack.c */
bool tcp_ack_init(struct tcp_stack *t);
void tcp_ack_fini(struct tcp_stack *t);
/* In-order data came: its ACK goes now, or waits for data to ride on. */
void tcp_ack_data(struct tcb *c);
/* The ACKs that have waited long enough. */
void tcp_ack_advance(struct tcp_stack *t);
/* UINT64_MAX: none waits. */
uint64_t tcp_ack_next_ns(const struct tcp_stack *t);

/* recv.c */
void tcp_receive(struct tcb *c, const struct seg *s, struct rte_mbuf *m);
/* The bytes at rcv_nxt, while nothing waits out of order. */
void tcp_receive_next(struct tcb *c, const uint8_t *data, uint32_t len);

/* predict.c: the short way of what nearly always comes next. False: nothing has happened. */
bool tcp_predicted(struct tcb *c, const struct seg *s);
bool tcp_output_predicted(struct tcb *c);

/* input.c */
void tcp_take_syn(struct tcb *c, const struct seg *s);
void tcp_enter_time_wait(struct tcb *c);
/* Leaves for TIME_WAIT or the end when both FINs are through and all is read. */
void tcp_finish_if_done(struct tcb *c);

#endif
