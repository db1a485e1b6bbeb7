/* Congestion control as const ops; pure: bytes and time come in. */
#ifndef TGW_TCP_CC_H
#define TGW_TCP_CC_H

#include <stdbool.h>
#include <stdint.h>

struct tcp_cc_window {
    uint32_t cwnd, ssthresh; /* bytes */
};

/* What an algorithm keeps; zeroed is a fresh one. Goes when the connection rests, as the
 * window then starts anew (RFC 5681 section 4.1). */
struct tcp_cc_state {
    uint32_t acked;                    /* bytes towards the next step of congestion avoidance */
    uint32_t w_max, w_est, cwnd_prior; /* RFC 9438 section 4.1, bytes */
    uint32_t k_ms, epoch_ms;
    bool in_epoch;
};

struct tcp_cc_in {
    uint32_t mss, now_ms, srtt_us;
    uint32_t flight; /* bytes unacknowledged before the event */
    uint32_t acked;  /* acked(): bytes newly delivered */
};

struct tcp_cc_ops {
    const char *name;
    /* New data is acknowledged, outside recovery, and the window was in use. */
    void (*acked)(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in);
    /* Congestion: a loss found, or ECN's echo. ssthresh and cwnd fall. */
    void (*congested)(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in);
    /* Retransmission timeout, the first for this data: ssthresh falls (cwnd is the
     * caller's). */
    void (*timed_out)(struct tcp_cc_window *w, struct tcp_cc_state *s, const struct tcp_cc_in *in);
};

extern const struct tcp_cc_ops tcp_cc_newreno; /* RFC 5681, 3465 */
extern const struct tcp_cc_ops tcp_cc_cubic;   /* RFC 9438 */

/* RFC 5681 section 3.1 with RFC 3465's L = 2. Returns the bytes left over for congestion
 * avoidance; 0 while slow start lasts. */
static inline uint32_t tcp_cc_slow_start(struct tcp_cc_window *w, const struct tcp_cc_in *in) {
    if (w->cwnd >= w->ssthresh)
        return in->acked;
    uint32_t most = 2 * in->mss, step = in->acked < most ? in->acked : most;
    w->cwnd += step;
    if (w->cwnd <= w->ssthresh)
        return 0;
    uint32_t left = w->cwnd - w->ssthresh;
    w->cwnd = w->ssthresh;
    return left;
}

#endif
