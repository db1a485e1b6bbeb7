#include "tcp/sack.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

enum { DUP_THRESH = 3 };

void tcp_board_init(struct tcp_board *b, uint32_t start) {
    b->start = start;
    b->sacked_bytes = b->lost_bytes = b->count = 0;
}

static uint32_t run_bytes(const struct tcp_board *b, uint32_t i) {
    return b->run[i].end - tcp_run_start(b, i);
}

static void remove_at(struct tcp_board *b, uint32_t i, uint32_t n) {
    memmove(&b->run[i], &b->run[i + n], (b->count - i - n) * sizeof(b->run[0]));
    b->count -= n;
}

/* Run i and the one after it become one. */
static void join(struct tcp_board *b, uint32_t i) {
    b->run[i + 1].sent_us = seq_max(b->run[i].sent_us, b->run[i + 1].sent_us);
    remove_at(b, i, 1);
}

/* Room for `want` more runs below `limit`; in need every second pair of neighbours in one
 * state is joined. */
static bool make_room(struct tcp_board *b, uint32_t want, uint32_t limit) {
    if (b->count + want <= limit)
        return true;
    for (uint32_t i = 0; i + 1 < b->count; i++)
        if (b->run[i].flags == b->run[i + 1].flags)
            join(b, i);
    return b->count + want <= limit;
}

/* What is SACKed or lost is in flight again. */
static void clear_marks(struct tcp_board *b, uint32_t i) {
    if (b->run[i].flags & TCP_RUN_SACKED)
        b->sacked_bytes -= run_bytes(b, i);
    if (b->run[i].flags & TCP_RUN_LOST)
        b->lost_bytes -= run_bytes(b, i);
    b->run[i].flags &= TCP_RUN_RTX;
}

void tcp_board_sent(struct tcp_board *b, uint32_t end, uint32_t now_us) {
    assert(seq_lt(tcp_board_end(b), end));
    uint32_t last = b->count - 1;
    bool same = b->count && b->run[last].flags == 0 && b->run[last].sent_us == now_us;
    if (!same && make_room(b, 1, TCP_RUNS_MAX)) {
        b->run[b->count++] = (struct tcp_run){end, now_us, 0};
        return;
    }
    last = b->count - 1;
    clear_marks(b, last); /* no room: a SACK or a loss will be found again */
    b->run[last].end = end;
    b->run[last].sent_us = now_us;
}

/* The first run that ends behind `seq`. */
static uint32_t find(const struct tcp_board *b, uint32_t seq) {
    uint32_t i = 0;
    while (i < b->count && seq_le(b->run[i].end, seq))
        i++;
    return i;
}

static void split(struct tcp_board *b, uint32_t seq) {
    uint32_t i = find(b, seq);
    if (i == b->count || seq_le(seq, tcp_run_start(b, i)))
        return;
    memmove(&b->run[i + 1], &b->run[i], (b->count - i) * sizeof(b->run[0]));
    b->count++;
    b->run[i].end = seq;
}

/* Runs begin at `from` and at `to`. False: no room for that below `limit`. */
static bool cut(struct tcp_board *b, uint32_t from, uint32_t to, uint32_t limit) {
    if (!make_room(b, 2, limit))
        return false;
    split(b, from);
    split(b, to);
    return true;
}

void tcp_board_resent(struct tcp_board *b, uint32_t from, uint32_t to, uint32_t now_us) {
    cut(b, from, to, TCP_RUNS_MAX); /* without room the whole run counts as sent */
    for (uint32_t i = find(b, from); i < b->count && seq_lt(tcp_run_start(b, i), to); i++) {
        clear_marks(b, i);
        b->run[i].flags = TCP_RUN_RTX;
        b->run[i].sent_us = now_us;
        bool same = i && b->run[i - 1].flags == TCP_RUN_RTX && b->run[i - 1].sent_us == now_us;
        if (same)
            join(b, --i);
    }
}

uint32_t tcp_board_lose_run(struct tcp_board *b, uint32_t i) {
    if (b->run[i].flags & (TCP_RUN_SACKED | TCP_RUN_LOST))
        return 0;
    b->run[i].flags |= TCP_RUN_LOST;
    b->lost_bytes += run_bytes(b, i);
    return run_bytes(b, i);
}

uint32_t tcp_board_lose(struct tcp_board *b, uint32_t from, uint32_t to) {
    uint32_t lost = 0;
    cut(b, from, to, TCP_RUNS_MAX);
    for (uint32_t i = find(b, from); i < b->count && seq_lt(tcp_run_start(b, i), to); i++)
        lost += tcp_board_lose_run(b, i);
    return lost;
}

void tcp_board_unlose(struct tcp_board *b) {
    for (uint32_t i = 0; i < b->count; i++)
        b->run[i].flags &= (uint8_t)~TCP_RUN_LOST;
    b->lost_bytes = 0;
}

void tcp_board_renege(struct tcp_board *b) {
    for (uint32_t i = 0; i < b->count; i++)
        b->run[i].flags &= (uint8_t)~TCP_RUN_SACKED;
    b->sacked_bytes = 0;
}

bool tcp_board_first_lost(const struct tcp_board *b, uint32_t *from, uint32_t *to) {
    if (b->lost_bytes == 0)
        return false;
    uint32_t i = 0;
    while (!(b->run[i].flags & TCP_RUN_LOST))
        i++;
    *from = tcp_run_start(b, i);
    while (i < b->count && (b->run[i].flags & TCP_RUN_LOST))
        *to = b->run[i++].end;
    return true;
}

/* `bytes` of a run go off the front. Returns how many are new. */
static uint32_t take_front(struct tcp_board *b, struct tcp_run part, uint32_t bytes,
                           tcp_delivered *fn, void *ctx) {
    part.end = b->start + bytes;
    if (part.flags & TCP_RUN_LOST)
        b->lost_bytes -= bytes;
    if (part.flags & TCP_RUN_SACKED)
        b->sacked_bytes -= bytes;
    else
        fn(ctx, b->start, &part);
    b->start = part.end;
    return part.flags & TCP_RUN_SACKED ? 0 : bytes;
}

uint32_t tcp_board_ack(struct tcp_board *b, uint32_t ack, tcp_delivered *fn, void *ctx) {
    uint32_t fresh = 0, whole = 0;
    for (; whole < b->count && seq_le(b->run[whole].end, ack); whole++)
        fresh += take_front(b, b->run[whole], b->run[whole].end - b->start, fn, ctx);
    remove_at(b, 0, whole);
    if (b->count && seq_lt(b->start, ack))
        fresh += take_front(b, b->run[0], ack - b->start, fn, ctx);
    return fresh;
}

static void join_sacked(struct tcp_board *b) {
    for (uint32_t i = 0; i + 1 < b->count;)
        if (b->run[i].flags & b->run[i + 1].flags & TCP_RUN_SACKED)
            join(b, i);
        else
            i++;
}

uint32_t tcp_board_sack(struct tcp_board *b, uint32_t from, uint32_t to, tcp_delivered *fn,
                        void *ctx) {
    uint32_t fresh = 0;
    cut(b, from, to, TCP_RUNS_MAX - TCP_RUNS_SPARE); /* without room: the runs within */
    for (uint32_t i = find(b, from); i < b->count && seq_le(b->run[i].end, to); i++) {
        struct tcp_run *r = &b->run[i];
        if ((r->flags & TCP_RUN_SACKED) || seq_lt(tcp_run_start(b, i), from))
            continue;
        fn(ctx, tcp_run_start(b, i), r);
        if (r->flags & TCP_RUN_LOST)
            b->lost_bytes -= run_bytes(b, i);
        r->flags = TCP_RUN_SACKED;
        fresh += run_bytes(b, i);
    }
    b->sacked_bytes += fresh;
    join_sacked(b);
    return fresh;
}

uint32_t tcp_board_lost_below(const struct tcp_board *b, uint32_t mss) {
    uint32_t bytes = 0, blocks = 0;
    for (uint32_t i = b->count; i-- > 0;) {
        if (b->run[i].flags & TCP_RUN_SACKED) {
            bytes += run_bytes(b, i);
            blocks++;
        } else if (blocks >= DUP_THRESH || bytes > (DUP_THRESH - 1) * mss) {
            return b->run[i].end;
        }
    }
    return b->start;
}

bool tcp_board_good(const struct tcp_board *b) {
    uint32_t sacked = 0, lost = 0;
    if (b->count > TCP_RUNS_MAX)
        return false;
    for (uint32_t i = 0; i < b->count; i++) {
        bool is_sacked = b->run[i].flags & TCP_RUN_SACKED, is_lost = b->run[i].flags & TCP_RUN_LOST;
        if (!seq_lt(tcp_run_start(b, i), b->run[i].end) || (is_sacked && is_lost))
            return false;
        sacked += is_sacked ? run_bytes(b, i) : 0;
        lost += is_lost ? run_bytes(b, i) : 0;
    }
    return sacked == b->sacked_bytes && lost == b->lost_bytes;
}
