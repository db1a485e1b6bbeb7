#include "tcp/rack.h"

enum { WINDOW_HOLDS = 16, WINDOW_STEPS_MAX = 250 };

void tcp_rack_init(struct tcp_rack *r, uint32_t una) {
    *r = (struct tcp_rack){.fack = una, .window_steps = 1};
}

/* RFC 8985 section 6.2: was (a) sent after (b)? Sequence breaks the tie of a burst. */
static bool sent_after(uint32_t a_us, uint32_t a_end, uint32_t b_us, uint32_t b_end) {
    return seq_lt(b_us, a_us) || (a_us == b_us && seq_lt(b_end, a_end));
}

/* Step 2: an ACK that comes too soon after a retransmission is of the original. */
static bool is_of_original(const struct tcp_rack_ack *a, const struct tcp_run *run) {
    const struct tcp_rack *r = a->rack;
    if (!(run->flags & TCP_RUN_RTX))
        return false;
    uint32_t age_us = a->now_us - run->sent_us;
    /* The echo is in whole milliseconds: a millisecond more may have passed. */
    if (a->has_echo && a->now_ms - a->echo_ms > age_us / 1000 + 1)
        return true;
    return age_us < r->min_rtt_us;
}

void tcp_rack_delivered(const struct tcp_rack_ack *a, uint32_t from, const struct tcp_run *run) {
    struct tcp_rack *r = a->rack;
    uint32_t rtt_us = a->now_us - run->sent_us;
    (void)from;
    /* Step 3: below what was delivered, though sent once only: the network reorders. */
    if (seq_lt(r->fack, run->end))
        r->fack = run->end;
    else if (!(run->flags & TCP_RUN_RTX) && seq_lt(run->end, r->fack))
        r->reordering_seen = true;
    if (is_of_original(a, run))
        return;
    if (!(run->flags & TCP_RUN_RTX) && (r->min_rtt_us == 0 || rtt_us < r->min_rtt_us))
        r->min_rtt_us = rtt_us ? rtt_us : 1; /* step 1 */
    if (r->valid && !sent_after(run->sent_us, run->end, r->sent_us, r->end_seq))
        return;
    r->sent_us = run->sent_us;
    r->end_seq = run->end;
    r->rtt_us = rtt_us;
    r->valid = true;
}

void tcp_rack_dsack(struct tcp_rack *r, uint32_t una, uint32_t nxt) {
    if (r->dsack_round_on && seq_lt(una, r->dsack_round))
        return;
    r->dsack_round_on = true;
    r->dsack_round = nxt;
    if (r->window_steps < WINDOW_STEPS_MAX)
        r->window_steps++;
    r->window_holds = WINDOW_HOLDS;
}

void tcp_rack_recovered(struct tcp_rack *r) {
    if (r->window_holds && --r->window_holds == 0)
        r->window_steps = 1;
}

uint32_t tcp_rack_window_us(const struct tcp_rack *r, uint32_t srtt_us, bool recovering,
                            bool many) {
    if (!r->reordering_seen && (recovering || many))
        return 0;
    uint64_t window_us = (uint64_t)r->window_steps * r->min_rtt_us / 4;
    return window_us < srtt_us ? (uint32_t)window_us : srtt_us;
}

uint32_t tcp_rack_detect(const struct tcp_rack *r, struct tcp_board *b, uint32_t now_us,
                         uint32_t window_us) {
    uint32_t wait_us = 0;
    for (uint32_t i = 0; r->valid && i < b->count; i++) {
        const struct tcp_run *run = &b->run[i];
        if ((run->flags & (TCP_RUN_SACKED | TCP_RUN_LOST)) ||
            !sent_after(r->sent_us, r->end_seq, run->sent_us, run->end))
            continue;
        int32_t left_us = (int32_t)(run->sent_us + r->rtt_us + window_us - now_us);
        if (left_us <= 0)
            tcp_board_lose_run(b, i);
        else if ((uint32_t)left_us > wait_us)
            wait_us = (uint32_t)left_us;
    }
    return wait_us;
}
