/* The scoreboard of what is sent and not acknowledged (RFC 6675 section 3), with the
 * time of each transmission (RFC 8985 section 5.2). Pure: no clock, no allocation.
 *
 * It holds runs, not segments: neighbours sent at one moment and in one state are one
 * run. Together the runs cover [start, end) without a gap. When the table is full,
 * neighbours in one state become one run with the later time (a loss is seen later, never
 * earlier), and SACK blocks that would need more runs are left out (SACK is advisory, RFC
 * 2018 section 8): a peer that reports a thousand holes costs no more than one. */
#ifndef TGW_TCP_SACK_H
#define TGW_TCP_SACK_H

#include "tcp/seq.h"

enum {
    TCP_RUNS_MAX = 64,
    TCP_RUNS_SPARE = 8, /* kept from SACK blocks, for what we send */
};

enum tcp_run_flag {
    TCP_RUN_SACKED = 1,
    TCP_RUN_LOST = 2, /* and not sent again since */
    TCP_RUN_RTX = 4,  /* sent more than once */
};

struct tcp_run {
    uint32_t end; /* starts where the one before it ends */
    uint32_t sent_us;
    uint8_t flags; /* SACKED and LOST never together */
};

struct tcp_board {
    uint32_t start;
    uint32_t sacked_bytes, lost_bytes;
    uint32_t count;
    struct tcp_run run[TCP_RUNS_MAX];
};

void tcp_board_init(struct tcp_board *b, uint32_t start);
/* The end of what was sent: start when nothing is. */
static inline uint32_t tcp_board_end(const struct tcp_board *b) {
    return b->count ? b->run[b->count - 1].end : b->start;
}
static inline uint32_t tcp_run_start(const struct tcp_board *b, uint32_t i) {
    return i ? b->run[i - 1].end : b->start;
}
/* RFC 6675 section 4, Pipe: bytes thought to be in the network. */
static inline uint32_t tcp_board_pipe(const struct tcp_board *b) {
    return tcp_board_end(b) - b->start - b->sacked_bytes - b->lost_bytes;
}

/* Bytes up to `end` were sent for the first time. */
void tcp_board_sent(struct tcp_board *b, uint32_t end, uint32_t now_us);
/* [from, to) was sent again. */
void tcp_board_resent(struct tcp_board *b, uint32_t from, uint32_t to, uint32_t now_us);
/* What of [from, to) is neither SACKed nor lost is lost now. Returns how many bytes. */
uint32_t tcp_board_lose(struct tcp_board *b, uint32_t from, uint32_t to);
/* The same for a run as a whole. */
uint32_t tcp_board_lose_run(struct tcp_board *b, uint32_t i);
/* Nothing is lost: a spurious timeout or reordering undone. */
void tcp_board_unlose(struct tcp_board *b);
/* Forget every SACK: the peer has reneged (RFC 2018 section 8). */
void tcp_board_renege(struct tcp_board *b);
/* The first run that is lost. */
bool tcp_board_first_lost(const struct tcp_board *b, uint32_t *from, uint32_t *to);

/* What an ACK newly delivers, run by run: called before the run changes. */
typedef void tcp_delivered(void *ctx, uint32_t from, const struct tcp_run *r);

/* Cumulative ACK. Bytes newly delivered. */
uint32_t tcp_board_ack(struct tcp_board *b, uint32_t ack, tcp_delivered *fn, void *ctx);
/* One SACK block within the board. Bytes newly delivered. */
uint32_t tcp_board_sack(struct tcp_board *b, uint32_t from, uint32_t to, tcp_delivered *fn,
                        void *ctx);

/* RFC 6675 section 4, IsLost: what is below has three separate blocks or more than two
 * segments' bytes SACKed above it. `start` when nothing is. */
uint32_t tcp_board_lost_below(const struct tcp_board *b, uint32_t mss);

/* Tests: the invariants. */
bool tcp_board_good(const struct tcp_board *b);

#endif
