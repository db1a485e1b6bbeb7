#include "tests/sim/referee.h"
#include "tests/sim/frame.h"
#include "tests/sim/wire.h"
#include <stdlib.h>

enum { FLOWS = 512, MSS_DEFAULT = 536 };

/* What one end of a connection has said so far. Known from its SYN on. */
struct half {
    bool known, timestamps, sack, wscale_on, fin;
    uint8_t wscale;
    uint16_t mss;
    uint32_t iss, next; /* next: after the highest sequence number sent */
    uint32_t ack, edge; /* highest acknowledged; right edge of the window promised */
    uint32_t fin_seq, ts_val;
};

struct flow {
    struct ip_addr addr[2]; /* by end */
    uint16_t port[2];
    bool puzzling; /* several SYN-ACKs stand for one SYN (cookies): not judged */
    struct half half[2];
};

/* Flows that fall on one slot push each other out: then the older is judged no more. */
struct referee {
    unsigned strip;
    struct flow flow[FLOWS];
};

struct referee *referee_create(void) {
    return calloc(1, sizeof(struct referee));
}

void referee_destroy(struct referee *r) {
    free(r);
}

void referee_strip(struct referee *r, unsigned strip) {
    r->strip = strip;
}

static bool before(uint32_t a, uint32_t b) {
    return (int32_t)(a - b) < 0;
}

static struct flow *flow_of(struct referee *r, unsigned end, const struct seg *s) {
    const struct ip_addr *addr[2] = {end ? &s->dst : &s->src, end ? &s->src : &s->dst};
    const uint16_t port[2] = {end ? s->dport : s->sport, end ? s->sport : s->dport};
    uint32_t h = (port[0] * 31u + port[1]) * 31u + addr[0]->b[15] * 7u + addr[1]->b[15] +
                 addr[0]->b[0] * 64u;
    struct flow *f = &r->flow[h % FLOWS];
    if (f->port[0] != port[0] || f->port[1] != port[1] || !ip_addr_eq(&f->addr[0], addr[0]) ||
        !ip_addr_eq(&f->addr[1], addr[1]))
        *f = (struct flow){.addr = {*addr[0], *addr[1]}, .port = {port[0], port[1]}};
    return f;
}

static void take_syn(const struct referee *r, struct flow *f, unsigned end, const struct seg *s) {
    struct half *me = &f->half[end], *other = &f->half[!end];
    bool answer = s->flags & SEG_ACK;
    /* Its first was a SYN alone, which promised nothing yet (simultaneous open). */
    bool first_answer = answer && me->ack == 0;
    if (me->iss == s->seq && !first_answer && (me->known || !answer || !other->known)) {
        me->known = true;
        me->ts_val = s->ts_val;
        return;
    }
    if (!answer)
        other->known = f->puzzling = false;
    else if (me->known && me->iss != s->seq)
        f->puzzling = true;
    *me = (struct half){.known = true,
                        .timestamps = s->has_ts && !(r->strip & STRIP_TIMESTAMPS),
                        .sack = s->sack_permitted && !(r->strip & STRIP_SACK),
                        .wscale_on = s->has_wscale && !(r->strip & STRIP_WSCALE),
                        .wscale = s->wscale,
                        .mss = s->mss && !(r->strip & STRIP_MSS) ? s->mss : MSS_DEFAULT,
                        .iss = s->seq,
                        .next = s->seq + 1,
                        .ack = s->ack,
                        .edge = s->ack + s->wnd,
                        .ts_val = s->ts_val};
}

/* Sequence space that may be used: RFC 9293 section 3.8.6. A probe, or a FIN, goes one
 * beyond a closed window. */
static const char *judge_sequence(struct half *me, const struct half *other, const struct seg *s) {
    uint32_t data_end = s->seq + s->len, end = data_end + !!(s->flags & SEG_FIN);
    if (before(s->seq, me->iss))
        return "sequence number below its first";
    if (before(other->edge + 1, end))
        return "data beyond the window";
    if (me->fin && (before(me->fin_seq + 1, end) || (s->len && before(me->fin_seq, data_end))))
        return "data beyond its FIN";
    if ((s->flags & SEG_FIN) && me->fin && me->fin_seq != data_end)
        return "a FIN at another place";
    if (s->flags & SEG_FIN)
        me->fin_seq = data_end;
    me->fin |= (s->flags & SEG_FIN) != 0;
    me->next = before(me->next, end) ? end : me->next;
    return NULL;
}

static const char *judge_ack(struct half *me, const struct half *other, const struct seg *s) {
    uint8_t shift = me->wscale_on && other->wscale_on ? me->wscale : 0;
    uint32_t edge = s->ack + ((uint32_t)s->wnd << shift);
    bool first = me->ack == 0 && me->edge == s->wnd; /* its SYN acknowledged nothing */
    if (before(other->next, s->ack))
        return "acknowledges what was never sent";
    if (me->ack && before(s->ack, me->ack))
        return "takes an acknowledgement back";
    /* What scaling rounds off may come and go: RFC 7323 section 2.4. */
    if (me->ack && !other->fin && before(edge + (1u << shift), me->edge))
        return "shrinks the window";
    if (first || me->ack == 0 || before(me->edge, edge))
        me->edge = edge;
    me->ack = s->ack;
    return NULL;
}

static const char *judge_sack(const struct half *other, const struct seg *s, bool agreed) {
    if (s->sack_count && !agreed)
        return "SACK that was not agreed on";
    for (uint8_t i = 0; i < s->sack_count; i++) {
        uint32_t start = s->sack[i].start, end = s->sack[i].end;
        if (!before(start, end) || before(other->next, end))
            return "a SACK block of what was never sent";
        if (i > 0 && !before(s->ack, start))
            return "a SACK block below the acknowledgement";
        /* The first may be a D-SACK: RFC 2883 section 4. */
        bool duplicate =
            !before(s->ack, end) ||
            (s->sack_count > 1 && !before(start, s->sack[1].start) && !before(s->sack[1].end, end));
        if (i == 0 && !duplicate && !before(s->ack, start))
            return "a SACK block that begins below the acknowledgement";
    }
    return NULL;
}

/* RFC 7323 section 3.2: once agreed on, on every segment. */
static const char *judge_timestamps(struct half *me, const struct half *other,
                                    const struct seg *s) {
    if (s->has_ts != (me->timestamps && other->timestamps))
        return s->has_ts ? "timestamps that were not agreed on" : "no timestamp";
    if (!s->has_ts)
        return NULL;
    if (before(s->ts_val, me->ts_val))
        return "its timestamp goes back";
    if (before(other->ts_val, s->ts_ecr))
        return "echoes a timestamp that was never sent";
    me->ts_val = s->ts_val;
    return NULL;
}

static const char *judge(struct flow *f, unsigned end, const struct seg *s) {
    struct half *me = &f->half[end], *other = &f->half[!end];
    const char *wrong;
    uint32_t options = s->has_ts ? 12 : 0;
    options += s->sack_count ? 4 + 8u * s->sack_count : 0;
    if (!(s->flags & SEG_ACK))
        return "no ACK";
    if (s->len + options > other->mss)
        return "larger than the MSS";
    if ((wrong = judge_ack(me, other, s)) || (wrong = judge_sequence(me, other, s)) ||
        (wrong = judge_sack(other, s, me->sack && other->sack)))
        return wrong;
    return judge_timestamps(me, other, s);
}

const char *referee_sent(struct referee *r, unsigned end, const uint8_t *frame, uint32_t len) {
    struct seg s;
    if (!frame_tcp_at(frame, len))
        return NULL;
    if (!frame_segment(frame, len, &s))
        return "a TCP segment that is malformed";
    if (s.flags & SEG_RST)
        return NULL;
    struct flow *f = flow_of(r, end, &s);
    if (s.flags & SEG_SYN) {
        take_syn(r, f, end, &s);
        return s.len ? "data on a SYN" : NULL;
    }
    /* It answers a SYN that was forgotten: what it promises now would be missed. */
    if (f->half[end].known && !f->half[!end].known)
        f->puzzling = true;
    if (f->puzzling || !f->half[0].known || !f->half[1].known)
        return NULL;
    return judge(f, end, &s);
}
