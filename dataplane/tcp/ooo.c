/* Segments out of order: kept by reference, reported by SACK (RFC 2018) and D-SACK
 * (RFC 2883). */
#include "ooo.h"
#include <rte_mbuf.h>

static void put32(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 24);
    p[1] = (uint8_t)(v >> 16);
    p[2] = (uint8_t)(v >> 8);
    p[3] = (uint8_t)v;
}

/* The share of one connection shrinks as the stack's store fills: no one flow takes it
 * from all others. */
static uint32_t share(const struct tcp_stack *t) {
    uint32_t free = t->ooos.capacity - t->ooos.used;
    return free / 4 < TCP_OOO_MAX ? free / 4 : TCP_OOO_MAX;
}

static void remember(struct tcp_ooo_list *l, uint32_t seq) {
    memmove(l->recent + 1, l->recent, sizeof(l->recent) - sizeof(l->recent[0]));
    l->recent[0] = seq;
}

/* Where a segment that starts at `seq` goes: mostly behind all others. */
static struct tcp_ooo **place(struct tcp_ooo_list *l, uint32_t seq) {
    struct tcp_ooo **at = &l->first;
    if (l->last && seq_lt(l->last->seq, seq))
        return &l->last->next;
    while (*at && seq_lt((*at)->seq, seq))
        at = &(*at)->next;
    return at;
}

static void insert(struct tcp_ooo_list *l, struct tcp_ooo **at, struct tcp_ooo *o) {
    *at = o;
    if (!o->next)
        l->last = o;
    l->count++;
    remember(l, o->seq);
}

void ooo_keep(struct tcb *c, const struct seg *s, struct rte_mbuf *m) {
    struct tcp_stack *t = c->stack;
    struct tcp_flight *f = tcb_flight(c);
    tgw_count(t->counters, TGW_C_tcp_ooo_segments, 1);
    struct tcp_ooo **at = f ? place(&f->ooo, s->seq) : NULL;
    if (at && *at && (*at)->seq == s->seq && (*at)->len >= s->len) { /* we hold it already */
        ooo_duplicate(c, s->seq, s->seq + s->len);
        remember(&f->ooo, s->seq);
        return;
    }
    struct tcp_ooo *o = at && f->ooo.count < share(t) ? pool_alloc(&t->ooos) : NULL;
    if (!o) {
        tgw_count_reason(t->counters, TGW_R_tcp_ooo_limit);
        return;
    }
    rte_pktmbuf_refcnt_update(m, 1);
    *o = (struct tcp_ooo){*at, m, s->payload, s->seq, s->len};
    insert(&f->ooo, at, o);
}

void ooo_drop_first(struct tcb *c) {
    struct tcp_ooo_list *l = &c->flight->ooo;
    struct tcp_ooo *o = l->first;
    l->first = o->next;
    if (!l->first)
        l->last = NULL;
    l->count--;
    rte_pktmbuf_free(o->m);
    pool_free(&c->stack->ooos, o);
}

void ooo_clear(struct tcb *c) {
    while (c->flight && c->flight->ooo.first)
        ooo_drop_first(c);
}

void ooo_duplicate(struct tcb *c, uint32_t start, uint32_t end) {
    struct tcp_flight *f = c->sack_on ? tcb_flight(c) : NULL;
    if (!f)
        return;
    f->ooo.dsack_start = start;
    f->ooo.dsack_end = end;
}

struct block {
    uint32_t start, end;
};

/* One block of adjoining segments from `*at` on; moves `*at` behind it. */
static struct block next_block(const struct tcp_ooo **at) {
    const struct tcp_ooo *e = *at;
    struct block b = {e->seq, e->seq + e->len};
    for (e = e->next; e && seq_le(e->seq, b.end); e = e->next)
        b.end = seq_max(b.end, e->seq + e->len);
    *at = e;
    return b;
}

static uint32_t recency(const struct tcp_ooo_list *l, const struct block *b) {
    uint32_t i = 0;
    while (i < TCP_OOO_RECENT && !(seq_le(b->start, l->recent[i]) && seq_lt(l->recent[i], b->end)))
        i++;
    return i;
}

/* RFC 2018 section 4: the block of the newest segment first, then those reported lately,
 * then the lowest. Returns how many. */
static uint32_t choose(const struct tcb *c, struct block *out, uint32_t most) {
    const struct tcp_ooo_list *l = &c->flight->ooo;
    uint32_t n = 0, rank[8];
    for (const struct tcp_ooo *e = l->first; e;) {
        struct block b = next_block(&e);
        if (seq_le(b.start, c->rcv_nxt)) /* in order, but memory is short: not a gap */
            continue;
        uint32_t r = recency(l, &b), i = n < most ? n++ : most;
        for (; i > 0 && r < rank[i - 1]; i--)
            if (i < most) {
                out[i] = out[i - 1];
                rank[i] = rank[i - 1];
            }
        if (i < most) {
            out[i] = b;
            rank[i] = r;
        }
    }
    return n;
}

uint32_t ooo_put_sack(struct tcb *c, uint8_t *o, uint32_t most) {
    struct tcp_ooo_list *l = &c->flight->ooo;
    struct block block[5];
    uint32_t n = 0;
    if (l->dsack_start != l->dsack_end) /* RFC 2883 section 4: first, and once */
        block[n++] = (struct block){l->dsack_start, l->dsack_end};
    l->dsack_start = l->dsack_end;
    n += choose(c, block + n, most - n);
    if (n == 0)
        return 0;
    o[0] = o[1] = 1;
    o[2] = 5;
    o[3] = (uint8_t)(2 + 8 * n);
    for (uint32_t i = 0; i < n; i++) {
        put32(o + 4 + 8 * i, block[i].start);
        put32(o + 8 + 8 * i, block[i].end);
    }
    return 4 + 8 * n;
}
