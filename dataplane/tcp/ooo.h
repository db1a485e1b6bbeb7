/* Segments out of order and what is reported of them; private to tcp/. */
#ifndef TGW_TCP_OOO_H
#define TGW_TCP_OOO_H

#include "tcb.h"

void ooo_keep(struct tcb *c, const struct seg *s, struct rte_mbuf *m);
void ooo_drop_first(struct tcb *c);
void ooo_clear(struct tcb *c);
/* [start, end) came a second time: the next ACK says so (RFC 2883). */
void ooo_duplicate(struct tcb *c, uint32_t start, uint32_t end);
static inline bool ooo_to_report(const struct tcb *c) {
    const struct tcp_flight *f = c->sack_on ? c->flight : NULL;
    return f && (f->ooo.first || f->ooo.dsack_start != f->ooo.dsack_end);
}
/* Payload that goes with the options of now. */
static inline uint32_t tcp_payload_max(const struct tcb *c) {
    return c->mss - (ooo_to_report(c) ? TCP_OPTIONS_MAX : c->ts_on ? TCP_TS_BYTES : 0u);
}
/* The SACK option, `most` blocks at most; its length, 0: nothing to report. */
uint32_t ooo_put_sack(struct tcb *c, uint8_t *o, uint32_t most);

#endif
