/* RACK: losses by time (RFC 8985 section 6). Pure functions over a scoreboard; times in
 * microseconds that wrap, differences up to half an hour. */
#ifndef TGW_TCP_RACK_H
#define TGW_TCP_RACK_H

#include "tcp/sack.h"

struct tcp_rack {
    uint32_t sent_us, end_seq; /* of the delivered segment that was sent last */
    uint32_t rtt_us;           /* its round trip */
    uint32_t min_rtt_us;       /* 0: none yet */
    uint32_t fack;             /* highest number delivered */
    uint32_t dsack_round;      /* one step of the window a round trip */
    uint8_t window_steps;      /* reordering window in quarters of min_rtt */
    uint8_t window_holds;      /* recoveries that it stays wide */
    bool valid;                /* something was delivered */
    bool reordering_seen;
    bool dsack_round_on;
};

/* What an ACK says, gathered while the scoreboard takes it in. */
struct tcp_rack_ack {
    struct tcp_rack *rack;
    uint32_t now_us;
    bool has_echo; /* of a timestamp, in milliseconds of the same clock */
    uint32_t echo_ms, now_ms;
};

void tcp_rack_init(struct tcp_rack *r, uint32_t una);
/* Steps 1 to 3, for each run delivered: newest segment, round trip, reordering. */
void tcp_rack_delivered(const struct tcp_rack_ack *a, uint32_t from, const struct tcp_run *run);
/* Step 4: a D-SACK came; the window widens once a round trip. */
void tcp_rack_dsack(struct tcp_rack *r, uint32_t una, uint32_t nxt);
/* Step 4: a recovery is over; a wide window lasts for sixteen of them. */
void tcp_rack_recovered(struct tcp_rack *r);
/* Step 4: the reordering window. `many`: as much is SACKed as three duplicate ACKs say. */
uint32_t tcp_rack_window_us(const struct tcp_rack *r, uint32_t srtt_us, bool recovering, bool many);
/* Step 5: marks as lost what was sent a window before the newest delivered. Returns in
 * how many microseconds to look again; 0: nothing to wait for. */
uint32_t tcp_rack_detect(const struct tcp_rack *r, struct tcp_board *b, uint32_t now_us,
                         uint32_t window_us);

#endif
