#include "tests/packet/wire.h"
#include <assert.h>

enum {
    ETHER_BYTES = 14,
    IP4_BYTES = 20,
    IP6_BYTES = 40,
    TCP_BYTES = 20,
    OPT_MSS = 2,
    OPT_WSCALE = 3,
    OPT_SACK_PERMITTED = 4,
    OPT_SACK = 5,
    OPT_TIMESTAMPS = 8,
};

static uint16_t load16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t load32(const uint8_t *p) {
    return (uint32_t)load16(p) << 16 | load16(p + 2);
}

static uint8_t *store16(uint8_t *p, uint32_t v) {
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
    return p + 2;
}

static uint8_t *store32(uint8_t *p, uint32_t v) {
    return store16(store16(p, v >> 16), v & 0xffff);
}

static uint8_t *option(uint8_t *p, uint8_t kind, uint8_t len) {
    p[0] = kind;
    p[1] = len;
    return p + 2;
}

static uint8_t *put_options(const struct seg *s, uint8_t *at) {
    uint8_t *start = at;
    if (s->mss)
        at = store16(option(at, OPT_MSS, 4), s->mss);
    if (s->has_wscale) {
        at = option(at, OPT_WSCALE, 3);
        *at++ = s->wscale;
    }
    if (s->sack_permitted)
        at = option(at, OPT_SACK_PERMITTED, 2);
    if (s->has_ts)
        at = store32(store32(option(at, OPT_TIMESTAMPS, 10), s->ts_val), s->ts_ecr);
    if (s->sack_count)
        at = option(at, OPT_SACK, (uint8_t)(2 + 8 * s->sack_count));
    for (uint8_t i = 0; i < s->sack_count; i++)
        at = store32(store32(at, s->sack[i].start), s->sack[i].end);
    while ((at - start) % 4)
        *at++ = 1;
    assert(at - start <= 40);
    return at;
}

void wire_build(struct frame *f, const char *src, const char *dst, const struct seg *s) {
    uint8_t b[RIG_FRAME_MAX];
    uint8_t *at = store16(store16(b, s->sport), s->dport);
    at = store32(store32(at, s->seq), s->ack);
    uint8_t *end = put_options(s, b + TCP_BYTES);
    at[0] = (uint8_t)((end - b) / 4 << 4);
    at[1] = s->flags;
    store32(store16(at + 2, s->wnd), 0);
    uint32_t head = (uint32_t)(end - b);
    assert(head + s->len <= sizeof(b) - ETHER_BYTES - IP6_BYTES);
    if (s->len)
        memcpy(end, s->payload, s->len);
    frame_segment(f, src, dst, b, head + s->len);
    if (s->ecn && f->b[12] == 0x08) {
        f->b[ETHER_BYTES + 1] = s->ecn;
        frame_fix_ip4(f);
    } else if (s->ecn) {
        f->b[ETHER_BYTES + 1] = (uint8_t)(s->ecn << 4);
    }
}

static void take_option(struct seg *s, const uint8_t *p) {
    if (p[0] == OPT_MSS)
        s->mss = load16(p + 2);
    if (p[0] == OPT_WSCALE) {
        s->has_wscale = true;
        s->wscale = p[2];
    }
    if (p[0] == OPT_SACK_PERMITTED)
        s->sack_permitted = true;
    if (p[0] == OPT_TIMESTAMPS) {
        s->has_ts = true;
        s->ts_val = load32(p + 2);
        s->ts_ecr = load32(p + 6);
    }
    for (uint32_t at = 2; p[0] == OPT_SACK && at + 8 <= p[1]; at += 8) {
        s->sack[s->sack_count].start = load32(p + at);
        s->sack[s->sack_count++].end = load32(p + at + 4);
    }
}

static bool parse_tcp(struct seg *s, const uint8_t *p, uint32_t len) {
    uint32_t head = len >= TCP_BYTES ? (uint32_t)(p[12] >> 4) * 4 : 0;
    if (head < TCP_BYTES || head > len)
        return false;
    s->sport = load16(p);
    s->dport = load16(p + 2);
    s->seq = load32(p + 4);
    s->ack = load32(p + 8);
    s->flags = p[13];
    s->wnd = load16(p + 14);
    s->payload = p + head;
    s->len = len - head;
    for (const uint8_t *o = p + TCP_BYTES; o < p + head && *o != 0; o += *o == 1 ? 1 : o[1]) {
        if (*o != 1 && (o + 1 >= p + head || o[1] < 2 || o + o[1] > p + head))
            return false;
        if (*o != 1)
            take_option(s, o);
    }
    return true;
}

bool wire_parse(struct seg *s, const struct frame *f) {
    const uint8_t *ip = f->b + ETHER_BYTES;
    uint16_t type = load16(f->b + 12);
    memset(s, 0, sizeof(*s));
    if (type == 0x0800 && ip[9] == 6) {
        s->src = ip_addr_from4(ip + 12);
        s->dst = ip_addr_from4(ip + 16);
        s->ecn = ip[1] & 3;
        return parse_tcp(s, ip + IP4_BYTES, load16(ip + 2) - (uint32_t)IP4_BYTES);
    }
    if (type != 0x86dd || ip[6] != 6)
        return false;
    memcpy(s->src.b, ip + 8, 16);
    memcpy(s->dst.b, ip + 24, 16);
    s->ecn = ip[1] >> 4 & 3;
    return parse_tcp(s, ip + IP6_BYTES, load16(ip + 4));
}

void wire_build_icmp(struct frame *f, const char *router, const char *to, const char *peer,
                     const struct wire_icmp *e) {
    struct frame quoted;
    const struct seg s = {.sport = e->sport, .dport = e->dport, .seq = e->seq, .flags = SEG_ACK};
    struct ip_addr a = rig_addr(to);
    bool v4 = ip_addr_is4(&a);
    wire_build(&quoted, to, peer, &s);
    uint8_t b[8 + IP6_BYTES + TCP_BYTES] = {0};
    b[0] = v4 ? 3 : e->too_big ? 2 : 1;
    b[1] = e->too_big ? (v4 ? 4 : 0) : (v4 ? 3 : 4);
    store32(b + 4, e->mtu);
    uint32_t len = quoted.len - ETHER_BYTES;
    memcpy(b + 8, quoted.b + ETHER_BYTES, len);
    frame_icmp(f, router, to, b, 8 + len);
}
