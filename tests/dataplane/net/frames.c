/* Frames by hand, with a checksum of the test's own: what net does is not taken from net. */
#include "rig.h"
#include <assert.h>

static uint32_t sum(uint32_t start, const uint8_t *p, uint32_t len) {
    for (uint32_t i = 0; i < len; i++)
        start += i % 2 ? p[i] : (uint32_t)p[i] << 8;
    return start;
}

static void put_sum(uint8_t *at, uint32_t s) {
    while (s >> 16)
        s = (s & 0xffff) + (s >> 16);
    at[0] = (uint8_t)(~s >> 8);
    at[1] = (uint8_t)~s;
}

static void ether(struct frame *f, const uint8_t *dst, uint16_t type) {
    memset(f, 0, sizeof(*f));
    memcpy(f->b, dst, 6);
    memcpy(f->b + 6, RIG_PEER_MAC, 6);
    f->b[12] = (uint8_t)(type >> 8);
    f->b[13] = (uint8_t)type;
    f->len = 14;
}

static void add(struct frame *f, const void *p, uint32_t len) {
    assert(f->len + len <= sizeof(f->b));
    memcpy(f->b + f->len, p, len);
    f->len += len;
}

void frame_arp(struct frame *f, uint16_t op, const char *sender, const char *target) {
    static const uint8_t all[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t head[8] = {0, 1, 8, 0, 6, 4, 0, (uint8_t)op};
    struct ip_addr s = rig_addr(sender), t = rig_addr(target);
    ether(f, op == 1 ? all : RIG_OUR_MAC, 0x0806);
    add(f, head, sizeof(head));
    add(f, RIG_PEER_MAC, 6);
    add(f, s.b + 12, 4);
    add(f, RIG_OUR_MAC, 6);
    add(f, t.b + 12, 4);
}

void frame_fix_ip4(struct frame *f) {
    f->b[24] = f->b[25] = 0;
    put_sum(f->b + 24, sum(0, f->b + 14, (f->b[14] & 15u) * 4));
}

void frame_ip(struct frame *f, const char *src, const char *dst, uint8_t proto, const void *body,
              uint32_t len) {
    struct ip_addr s = rig_addr(src), d = rig_addr(dst);
    bool v4 = ip_addr_is4(&s);
    uint8_t group[6] = {0x33, 0x33, d.b[12], d.b[13], d.b[14], d.b[15]};
    ether(f, !v4 && d.b[0] == 0xff ? group : RIG_OUR_MAC, v4 ? 0x0800 : 0x86dd);
    if (v4) {
        uint32_t total = 20 + len;
        const uint8_t h[12] = {0x45, 0,    (uint8_t)(total >> 8), (uint8_t)total, 1, 2, 0x40, 0,
                               64,   proto};
        add(f, h, sizeof(h));
        add(f, s.b + 12, 4);
        add(f, d.b + 12, 4);
        frame_fix_ip4(f);
    } else {
        const uint8_t h[8] = {0x60, 0, 0, 0, (uint8_t)(len >> 8), (uint8_t)len, proto, 255};
        add(f, h, sizeof(h));
        add(f, s.b, 16);
        add(f, d.b, 16);
    }
    add(f, body, len);
}

/* Fills in the checksum at `at` of the last `len` bytes, with a pseudo header. */
static void fix_l4(struct frame *f, bool v4, uint8_t proto, uint32_t len, uint32_t at) {
    uint8_t *p = f->b + f->len - len;
    uint32_t s = v4 ? sum(0, f->b + 26, 8) : sum(0, f->b + 22, 32);
    p[at] = p[at + 1] = 0;
    put_sum(p + at, sum(s + proto + len, p, len));
}

void frame_icmp(struct frame *f, const char *src, const char *dst, const void *body, uint32_t len) {
    struct ip_addr s = rig_addr(src);
    bool v4 = ip_addr_is4(&s);
    frame_ip(f, src, dst, v4 ? 1 : 58, body, len);
    uint8_t *p = f->b + f->len - len;
    if (v4) {
        p[2] = p[3] = 0;
        put_sum(p + 2, sum(0, p, len));
    } else {
        fix_l4(f, false, 58, len, 2);
    }
}

void frame_segment(struct frame *f, const char *src, const char *dst, const void *segment,
                   uint32_t len) {
    struct ip_addr s = rig_addr(src);
    frame_ip(f, src, dst, 6, segment, len);
    fix_l4(f, ip_addr_is4(&s), 6, len, 16);
}

void frame_tcp(struct frame *f, const char *src, const char *dst, const uint8_t *options,
               uint32_t option_bytes, const char *payload) {
    uint8_t body[1500] = {0x30, 0x39, 0, 80, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0x10, 0x12, 0x34};
    assert(option_bytes % 4 == 0 && option_bytes <= 40);
    body[12] = (uint8_t)((5 + option_bytes / 4) << 4);
    if (option_bytes)
        memcpy(body + 20, options, option_bytes);
    memcpy(body + 20 + option_bytes, payload, strlen(payload));
    frame_segment(f, src, dst, body, 20 + option_bytes + (uint32_t)strlen(payload));
}

void frame_fix_tcp4(struct frame *f) {
    fix_l4(f, true, 6, f->len - 34, 16);
}

void frame_ndp(struct frame *f, const char *src, const char *dst, uint8_t type, uint8_t flags,
               const char *target) {
    uint8_t body[32] = {type, 0, 0, 0, flags};
    struct ip_addr t = rig_addr(target);
    memcpy(body + 8, t.b, 16);
    body[24] = type == 135 ? 1 : 2;
    body[25] = 1;
    memcpy(body + 26, RIG_PEER_MAC, 6);
    frame_icmp(f, src, dst, body, sizeof(body));
}
