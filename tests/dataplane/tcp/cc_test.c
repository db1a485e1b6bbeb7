/* Congestion control against the formulas of the RFCs. */
#include "tcp/cc.h"
#include "tests/lib/suite.h"
#include <math.h>

enum { MSS = 1000, RTT_MS = 100 };

/* A round trip: the whole window is acknowledged in segments. */
static void round_trip(const struct tcp_cc_ops *ops, struct tcp_cc_window *w,
                       struct tcp_cc_state *s, uint32_t now_ms) {
    uint32_t segments = w->cwnd / MSS;
    for (uint32_t i = 0; i < segments; i++) {
        struct tcp_cc_in in = {MSS, now_ms + i * RTT_MS / segments, RTT_MS * 1000, w->cwnd, MSS};
        ops->acked(w, s, &in);
    }
}

static void slow_start_doubles(void) {
    const struct tcp_cc_ops *both[] = {&tcp_cc_newreno, &tcp_cc_cubic};
    for (int i = 0; i < 2; i++) {
        struct tcp_cc_window w = {10 * MSS, 1000 * MSS};
        struct tcp_cc_state s = {0};
        round_trip(both[i], &w, &s, 0);
        CU_ASSERT_EQUAL(w.cwnd, 20 * MSS);
    }
}

/* RFC 3465 section 2.3: an ACK of many segments grows the window by two. */
static void slow_start_is_limited_an_ack(void) {
    struct tcp_cc_window w = {10 * MSS, 1000 * MSS};
    struct tcp_cc_state s = {0};
    struct tcp_cc_in in = {MSS, 0, RTT_MS * 1000, w.cwnd, 10 * MSS};
    tcp_cc_newreno.acked(&w, &s, &in);
    CU_ASSERT_EQUAL(w.cwnd, 12 * MSS);
}

static void newreno_a_segment_a_round(void) {
    struct tcp_cc_window w = {20 * MSS, 10 * MSS};
    struct tcp_cc_state s = {0};
    for (uint32_t i = 0; i < 10; i++)
        round_trip(&tcp_cc_newreno, &w, &s, i * RTT_MS);
    CU_ASSERT_TRUE(w.cwnd >= 29 * MSS && w.cwnd <= 30 * MSS);
    struct tcp_cc_in in = {MSS, 0, 0, 30 * MSS, 0};
    tcp_cc_newreno.congested(&w, &s, &in);
    CU_ASSERT_TRUE(w.cwnd == 15 * MSS && w.ssthresh == 15 * MSS);
    in.flight = 3 * MSS;
    tcp_cc_newreno.timed_out(&w, &s, &in);
    CU_ASSERT_EQUAL(w.ssthresh, 2 * MSS);
}

/* The window follows C * (t - K)^3 + W_max within two segments. */
static void cubic_follows_its_curve(void) {
    struct tcp_cc_window w = {400 * MSS, 100 * MSS};
    struct tcp_cc_state s = {0};
    struct tcp_cc_in in = {MSS, 0, RTT_MS * 1000, 400 * MSS, 0};
    tcp_cc_cubic.congested(&w, &s, &in);
    CU_ASSERT_EQUAL(w.cwnd, 280 * MSS);
    CU_ASSERT_EQUAL(w.ssthresh, 280 * MSS);
    double k = cbrt(120 / 0.4), worst = 0;
    for (uint32_t t_ms = 0; t_ms < 10000; t_ms += RTT_MS) {
        round_trip(&tcp_cc_cubic, &w, &s, t_ms);
        double t = (t_ms + RTT_MS) / 1000.0, want = 0.4 * pow(t - k, 3) + 400;
        double off = fabs(w.cwnd / (double)MSS - want);
        worst = off > worst ? off : worst;
    }
    CU_ASSERT_TRUE(worst < 5);
}

/* Section 4.3: on a short path Reno would be faster; CUBIC is no slower. */
static void cubic_is_reno_friendly(void) {
    struct tcp_cc_window w = {20 * MSS, 5 * MSS};
    struct tcp_cc_state s = {0};
    struct tcp_cc_in in = {MSS, 0, 1000, 20 * MSS, 0};
    tcp_cc_cubic.congested(&w, &s, &in);
    uint32_t from = w.cwnd;
    for (uint32_t t_ms = 1; t_ms <= 100; t_ms++) /* 100 rounds of 1 ms */
        for (uint32_t i = 0, n = w.cwnd / MSS; i < n; i++) {
            struct tcp_cc_in a = {MSS, t_ms, 1000, w.cwnd, MSS};
            tcp_cc_cubic.acked(&w, &s, &a);
        }
    double reno = from / (double)MSS + 6 / 0.53 * 0.53 + (100 - 6 / 0.53);
    CU_ASSERT_TRUE(fabs(w.cwnd / (double)MSS - reno) < 5);
}

static void cubic_fast_convergence(void) {
    struct tcp_cc_window w = {400 * MSS, 100 * MSS};
    struct tcp_cc_state s = {0};
    struct tcp_cc_in in = {MSS, 0, RTT_MS * 1000, 400 * MSS, 0};
    tcp_cc_cubic.congested(&w, &s, &in);
    CU_ASSERT_EQUAL(s.w_max, 400 * MSS);
    in.flight = w.cwnd;
    tcp_cc_cubic.congested(&w, &s, &in); /* again, below the last maximum */
    CU_ASSERT_EQUAL(s.w_max, 280 * MSS * 85 / 100);
}

/* Section 4.8. */
static void cubic_starts_anew_after_a_timeout(void) {
    struct tcp_cc_window w = {400 * MSS, 100 * MSS};
    struct tcp_cc_state s = {0};
    struct tcp_cc_in in = {MSS, 0, RTT_MS * 1000, 400 * MSS, 0};
    tcp_cc_cubic.timed_out(&w, &s, &in);
    CU_ASSERT_EQUAL(w.ssthresh, 280 * MSS);
    w.cwnd = w.ssthresh;
    in.acked = MSS;
    tcp_cc_cubic.acked(&w, &s, &in);
    CU_ASSERT_TRUE(s.k_ms == 0 && s.w_max >= 280 * MSS && s.w_max < 282 * MSS);
}

/* Nothing overflows at the ends: huge windows, hours of silence, tiny segments. */
static void cubic_stays_in_range(void) {
    for (uint32_t mss = 64; mss <= 9000; mss *= 3)
        for (uint32_t segments = 2; segments < 16000000 / mss; segments *= 3) {
            struct tcp_cc_window w = {segments * mss, 2 * mss};
            struct tcp_cc_state s = {0};
            struct tcp_cc_in in = {mss, UINT32_MAX - 5, 500000, w.cwnd, mss};
            tcp_cc_cubic.congested(&w, &s, &in);
            for (uint32_t t = 0; t < 5; t++) {
                uint32_t before = w.cwnd;
                in.now_ms += t * 3600000;
                tcp_cc_cubic.acked(&w, &s, &in);
                CU_ASSERT_TRUE(w.cwnd >= before && w.cwnd <= before + before / 2 + 1);
            }
        }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"slow start doubles", slow_start_doubles},
        {"slow start is limited an ACK", slow_start_is_limited_an_ack},
        {"NewReno: a segment a round trip", newreno_a_segment_a_round},
        {"CUBIC follows its curve", cubic_follows_its_curve},
        {"CUBIC is no slower than Reno", cubic_is_reno_friendly},
        {"CUBIC converges fast", cubic_fast_convergence},
        {"CUBIC starts anew after a timeout", cubic_starts_anew_after_a_timeout},
        {"CUBIC stays in range", cubic_stays_in_range},
    };
    return suite_run("tcp/cc", cases, sizeof(cases) / sizeof(cases[0]));
}
