/* CUBIC, RFC 9438: C = 0.4, beta = 0.7. Whole numbers: bytes and milliseconds. */
#include "tcp/cc.h"

enum {
    BETA_PERMIL = 700,
    FAST_CONVERGENCE_PERMIL = (1000 + BETA_PERMIL) / 2,                    /* section 4.7 */
    ALPHA_PERMIL = 3 * (1000 - BETA_PERMIL) * 1000 / (1000 + BETA_PERMIL), /* section 4.3 */
    EPOCH_MAX_MS = 100000, /* t^3 stays within 64 bits; growth is far beyond any window then */
};

static uint32_t permil(uint32_t bytes, uint32_t n) {
    return (uint32_t)((uint64_t)bytes * n / 1000);
}

static uint32_t cube_root(uint64_t v) {
    uint32_t root = 0;
    for (uint32_t bit = UINT32_C(1) << 20; bit; bit >>= 1) {
        uint64_t r = root | bit;
        if (r * r * r <= v)
            root |= bit;
    }
    return root;
}

/* Section 4.2, equation 2: K = cbrt((W_max - cwnd_epoch) / C), here in milliseconds. */
static void begin_epoch(const struct tcp_cc_window *w, struct tcp_cc_state *s,
                        const struct tcp_cc_in *in) {
    s->in_epoch = true;
    s->epoch_ms = in->now_ms;
    s->w_est = w->cwnd;
    s->acked = 0;
    if (s->w_max < w->cwnd) {
        s->w_max = w->cwnd;
        s->k_ms = 0;
        return;
    }
    uint64_t segments_x1000 = (uint64_t)(s->w_max - w->cwnd) * 1000 / in->mss;
    s->k_ms = cube_root(segments_x1000 * 10 / 4 * 1000000);
}

/* Equation 1 at t milliseconds into the epoch: C * (t - K)^3 + W_max. */
static uint64_t w_cubic(const struct tcp_cc_state *s, uint32_t mss, uint32_t t_ms) {
    uint64_t d = t_ms > s->k_ms ? t_ms - s->k_ms : s->k_ms - t_ms;
    uint64_t cube = d * d * d / 1000000; /* of seconds, in thousandths */
    uint64_t bytes = cube * mss * 4 / 10 / 1000;
    if (t_ms >= s->k_ms)
        return s->w_max + bytes;
    return s->w_max > bytes ? s->w_max - bytes : 0;
}

/* Section 4.3: what Reno would have by now; its slope after W_est is back at the old
 * window is 1 (section 4.3, last paragraph). */
static void grow_estimate(struct tcp_cc_state *s, const struct tcp_cc_in *in, uint32_t acked,
                          uint32_t cwnd) {
    uint32_t alpha = s->w_est >= s->cwnd_prior ? 1000 : ALPHA_PERMIL;
    s->w_est += (uint32_t)((uint64_t)alpha * acked * in->mss / 1000 / cwnd);
}

static void acked(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    uint32_t rest = tcp_cc_slow_start(w, in);
    if (rest == 0)
        return;
    if (!s->in_epoch)
        begin_epoch(w, s, in);
    grow_estimate(s, in, rest, w->cwnd);
    uint32_t t_ms = in->now_ms - s->epoch_ms;
    t_ms = t_ms < EPOCH_MAX_MS ? t_ms : EPOCH_MAX_MS;
    if (w_cubic(s, in->mss, t_ms) < s->w_est) { /* section 4.3: the Reno-friendly region */
        if (w->cwnd < s->w_est)
            w->cwnd = s->w_est;
        return;
    }
    /* Sections 4.4, 4.5: towards where the curve is a round trip on, 1.5 cwnd at most. */
    uint64_t target = w_cubic(s, in->mss, t_ms + in->srtt_us / 1000);
    uint64_t most = (uint64_t)w->cwnd + w->cwnd / 2;
    target = target < w->cwnd ? w->cwnd : target > most ? most : target;
    /* (target - cwnd) / cwnd of a byte for each byte; what a division loses is kept. */
    uint64_t gain = (target - w->cwnd) * rest + s->acked;
    w->cwnd += (uint32_t)(gain / w->cwnd);
    s->acked = (uint32_t)(gain % w->cwnd);
}

/* Sections 4.6 and 4.7. */
static void reduce(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    uint32_t least = 2 * in->mss, flight = in->flight < w->cwnd ? in->flight : w->cwnd;
    s->cwnd_prior = w->cwnd;
    s->w_max = w->cwnd < s->w_max ? permil(w->cwnd, FAST_CONVERGENCE_PERMIL) : w->cwnd;
    s->in_epoch = false;
    uint32_t reduced = permil(flight, BETA_PERMIL);
    w->ssthresh = reduced > least ? reduced : least;
}

static void congested(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    reduce(w, s, in);
    w->cwnd = w->ssthresh;
}

/* Section 4.8: the stage after a timeout starts a new curve from where it begins. */
static void timed_out(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in) {
    reduce(w, s, in);
    s->w_max = 0;
}

const struct tcp_cc_ops tcp_cc_cubic = {"cubic", acked, congested, timed_out};
