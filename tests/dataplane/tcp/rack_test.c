/* RFC 8985 section 6, step by step. */
#include "tcp/rack.h"
#include "tests/lib/suite.h"

enum { MSS = 100, RTT = 40000 };

static struct tcp_board board;
static struct tcp_rack rack;

/* Ten segments a millisecond apart from time 0. */
static void begin(void) {
    tcp_board_init(&board, 0);
    tcp_rack_init(&rack, 0);
    for (uint32_t i = 1; i <= 10; i++)
        tcp_board_sent(&board, i * MSS, i * 1000);
}

static void delivered(void *ctx, uint32_t from, const struct tcp_run *r) {
    tcp_rack_delivered(ctx, from, r);
}

static void sack(uint32_t number, uint32_t now_us) {
    struct tcp_rack_ack a = {.rack = &rack, .now_us = now_us};
    tcp_board_sack(&board, (number - 1) * MSS, number * MSS, delivered, &a);
}

static void newest_delivered(void) {
    begin();
    sack(3, 3000 + RTT);
    CU_ASSERT_TRUE(rack.sent_us == 3000 && rack.end_seq == 300 && rack.rtt_us == RTT);
    CU_ASSERT_EQUAL(rack.min_rtt_us, RTT);
    sack(2, 3000 + RTT);
    CU_ASSERT_EQUAL(rack.end_seq, 300); /* sent before */
    CU_ASSERT_TRUE(rack.reordering_seen);
}

static void window_waits_a_quarter(void) {
    begin();
    sack(3, 3000 + RTT);
    uint32_t window = tcp_rack_window_us(&rack, RTT, false, false);
    CU_ASSERT_EQUAL(window, RTT / 4);
    uint32_t wait = tcp_rack_detect(&rack, &board, 3000 + RTT, window);
    CU_ASSERT_EQUAL(board.lost_bytes, 0);
    CU_ASSERT_EQUAL(wait, RTT / 4 - 1000); /* the second one is due last */
    CU_ASSERT_EQUAL(tcp_rack_detect(&rack, &board, 2000 + RTT + window, window), 0);
    CU_ASSERT_EQUAL(board.lost_bytes, 200);
}

/* Section 6.2 step 4: without reordering three duplicates or a recovery need no window. */
static void window_closes_without_reordering(void) {
    begin();
    sack(3, 3000 + RTT);
    CU_ASSERT_EQUAL(tcp_rack_window_us(&rack, RTT, false, true), 0);
    CU_ASSERT_EQUAL(tcp_rack_window_us(&rack, RTT, true, false), 0);
    rack.reordering_seen = true;
    CU_ASSERT_EQUAL(tcp_rack_window_us(&rack, RTT, true, true), RTT / 4);
}

static void dsack_widens_once_a_round(void) {
    begin();
    sack(3, 3000 + RTT);
    tcp_rack_dsack(&rack, 0, 1000);
    tcp_rack_dsack(&rack, 500, 1000);
    CU_ASSERT_EQUAL(rack.window_steps, 2);
    tcp_rack_dsack(&rack, 1000, 2000);
    CU_ASSERT_EQUAL(tcp_rack_window_us(&rack, RTT, false, false), 3 * RTT / 4);
    CU_ASSERT_EQUAL(tcp_rack_window_us(&rack, RTT / 2, false, false), RTT / 2); /* SRTT at most */
    for (int i = 0; i < 16; i++)
        tcp_rack_recovered(&rack);
    CU_ASSERT_EQUAL(tcp_rack_window_us(&rack, RTT, false, false), RTT / 4);
}

/* Section 6.2 step 2: an ACK right after a retransmission is of the original. */
static void ack_of_original_tells_nothing(void) {
    begin();
    sack(3, 3000 + RTT);
    tcp_board_resent(&board, 0, MSS, 50000);
    struct tcp_rack_ack a = {.rack = &rack, .now_us = 50000 + RTT - 1};
    struct tcp_rack before = rack;
    tcp_board_ack(&board, MSS, delivered, &a);
    CU_ASSERT_EQUAL(rack.sent_us, before.sent_us);
    begin();
    sack(3, 3000 + RTT);
    tcp_board_resent(&board, 0, MSS, 50000);
    a = (struct tcp_rack_ack){&rack, 50000 + RTT, true, 1, 90};
    tcp_board_ack(&board, MSS, delivered, &a); /* late enough, but it echoes the original */
    CU_ASSERT_EQUAL(rack.sent_us, 3000);
}

/* What RFC 6675 cannot see: a retransmission that is lost again. */
static void lost_retransmission(void) {
    begin();
    sack(5, 5000 + RTT);
    tcp_board_lose(&board, 0, 400);
    for (uint32_t i = 0; i < 4; i++)
        tcp_board_resent(&board, i * MSS, (i + 1) * MSS, 46000 + i * 1000);
    struct tcp_rack_ack a = {.rack = &rack, .now_us = 47000 + RTT};
    tcp_board_sack(&board, MSS, 2 * MSS, delivered, &a); /* the second came, the first did not */
    tcp_rack_detect(&rack, &board, 47000 + RTT, 0);
    uint32_t from, to;
    CU_ASSERT_TRUE(tcp_board_first_lost(&board, &from, &to));
    CU_ASSERT_TRUE(from == 0 && to == MSS);
}

static void burst_is_told_apart_by_sequence(void) {
    tcp_board_init(&board, 0);
    tcp_rack_init(&rack, 0);
    for (uint32_t i = 1; i <= 10; i++)
        tcp_board_sent(&board, i * MSS, 1000);
    sack(5, 1000 + RTT);
    tcp_rack_detect(&rack, &board, 1000 + RTT, 0);
    CU_ASSERT_EQUAL(board.lost_bytes, 400); /* not the five above */
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the newest delivered segment", newest_delivered},
        {"the window waits a quarter of a round trip", window_waits_a_quarter},
        {"the window closes without reordering", window_closes_without_reordering},
        {"D-SACK widens the window once a round", dsack_widens_once_a_round},
        {"an ACK of the original tells nothing", ack_of_original_tells_nothing},
        {"a lost retransmission", lost_retransmission},
        {"a burst is told apart by sequence", burst_is_told_apart_by_sequence},
    };
    return suite_run("tcp/rack", cases, sizeof(cases) / sizeof(cases[0]));
}
