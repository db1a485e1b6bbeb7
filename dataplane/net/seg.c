/* TCP header and options (RFC 9293 section 3.1 and 3.2, RFC 7323, RFC 2018). */
#include "net_priv.h"

enum {
    OPT_END = 0,
    OPT_NOP = 1,
    OPT_MSS = 2,
    OPT_WSCALE = 3,
    OPT_SACK_PERMITTED = 4,
    OPT_SACK = 5,
    OPT_TIMESTAMPS = 8,
    WSCALE_MAX = 14, /* RFC 7323 section 2.3 */
};

static uint16_t get16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p) {
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void take_sack(struct seg *s, const uint8_t *value, uint32_t len) {
    for (uint32_t at = 0; at + 8 <= len && s->sack_count < SEG_SACK_BLOCKS_MAX; at += 8) {
        s->sack[s->sack_count].start = get32(value + at);
        s->sack[s->sack_count].end = get32(value + at + 4);
        s->sack_count++;
    }
}

/* One option of `len` bytes, its kind and length bytes included. An option of a wrong
 * length is passed over: RFC 9293 section 3.1 asks to survive anything. */
static void take_option(struct seg *s, const uint8_t *opt, uint32_t len) {
    switch (opt[0]) {
    case OPT_MSS:
        if (len == 4 && (s->flags & SEG_SYN))
            s->mss = get16(opt + 2);
        break;
    case OPT_WSCALE:
        if (len == 3 && (s->flags & SEG_SYN)) {
            s->has_wscale = true;
            s->wscale = opt[2] < WSCALE_MAX ? opt[2] : WSCALE_MAX;
        }
        break;
    case OPT_SACK_PERMITTED:
        if (len == 2 && (s->flags & SEG_SYN))
            s->sack_permitted = true;
        break;
    case OPT_SACK:
        if (!(s->flags & SEG_SYN))
            take_sack(s, opt + 2, len - 2);
        break;
    case OPT_TIMESTAMPS:
        if (len == 10) {
            s->has_ts = true;
            s->ts_val = get32(opt + 2);
            s->ts_ecr = get32(opt + 6);
        }
        break;
    default:
        break;
    }
}

static bool take_options(struct seg *s, const uint8_t *opt, uint32_t len) {
    while (len) {
        if (opt[0] == OPT_END)
            return true;
        uint32_t n = opt[0] == OPT_NOP ? 1 : len >= 2 ? opt[1] : 0;
        if (n == 0 || n > len || (n < 2 && opt[0] != OPT_NOP))
            return false;
        if (opt[0] != OPT_NOP)
            take_option(s, opt, n);
        opt += n;
        len -= n;
    }
    return true;
}

bool seg_parse(struct seg *s, const uint8_t *tcp, uint32_t len) {
    if (len < sizeof(struct rte_tcp_hdr))
        return false;
    uint32_t head = (uint32_t)(tcp[12] >> 4) * 4;
    if (head < sizeof(struct rte_tcp_hdr) || head > len)
        return false;
    s->sport = get16(tcp);
    s->dport = get16(tcp + 2);
    s->seq = get32(tcp + 4);
    s->ack = get32(tcp + 8);
    s->flags = tcp[13];
    s->wnd = get16(tcp + 14);
    s->payload = tcp + head;
    s->len = len - head;
    return s->sport && s->dport &&
           take_options(s, tcp + sizeof(struct rte_tcp_hdr), head - sizeof(struct rte_tcp_hdr));
}
