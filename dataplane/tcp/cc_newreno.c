/* RFC 5681 section 3.1 and 3.2; counts bytes as RFC 3465 does. */
#include "tcp/cc.h"

static void acked(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    s->acked += tcp_cc_slow_start(w, in);
    if (s->acked < w->cwnd)
        return;
    s->acked -= w->cwnd;
    w->cwnd += in->mss;
}

/* Equation 4: half of what is in flight, two segments at least. */
static void halve(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    uint32_t least = 2 * in->mss;
    s->acked = 0;
    w->ssthresh = in->flight / 2 > least ? in->flight / 2 : least;
}

static void congested(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    halve(w, s, in);
    w->cwnd = w->ssthresh;
}

const struct tcp_cc_ops tcp_cc_newreno = {"newreno", acked, congested, halve};
