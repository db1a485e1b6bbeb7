#include "tests/sim/frame.h"
#include "net/net_priv.h"
#include "tests/sim/wire.h"

enum { ETH_BYTES = 14, IP4_BYTES = 20, IP6_BYTES = 40, TCP_BYTES = 20 };

static uint16_t type_of(const uint8_t *frame, uint32_t len) {
    return len >= ETH_BYTES ? get16(frame + 12) : 0;
}

bool frame_is_ip(const uint8_t *frame, uint32_t len) {
    uint16_t type = type_of(frame, len);
    return type == RTE_ETHER_TYPE_IPV4 || type == RTE_ETHER_TYPE_IPV6;
}

uint32_t frame_tcp_at(const uint8_t *frame, uint32_t len) {
    uint16_t type = type_of(frame, len);
    if (type == RTE_ETHER_TYPE_IPV4 && len >= ETH_BYTES + IP4_BYTES + TCP_BYTES && frame[23] == 6)
        return ETH_BYTES + IP4_BYTES;
    if (type == RTE_ETHER_TYPE_IPV6 && len >= ETH_BYTES + IP6_BYTES + TCP_BYTES && frame[20] == 6)
        return ETH_BYTES + IP6_BYTES;
    return 0;
}

static void addresses(const uint8_t *frame, struct ip_addr *src, struct ip_addr *dst) {
    const uint8_t *ip = frame + ETH_BYTES;
    if (ip[0] >> 4 == 4) {
        *src = ip_addr_from4(ip + 12);
        *dst = ip_addr_from4(ip + 16);
        return;
    }
    memcpy(src->b, ip + 8, 16);
    memcpy(dst->b, ip + 24, 16);
}

bool frame_segment(const uint8_t *frame, uint32_t len, struct seg *out) {
    uint32_t at = frame_tcp_at(frame, len);
    if (!at)
        return false;
    *out = (struct seg){0};
    addresses(frame, &out->src, &out->dst);
    out->ecn = at == ETH_BYTES + IP4_BYTES ? frame[15] & 3 : frame[15] >> 4 & 3;
    return seg_parse(out, frame + at, len - at) == TGW_OK &&
           tcp_checksum(&out->src, &out->dst, frame + at, len - at) == 0;
}

static void put_tcp_checksum(uint8_t *frame, uint32_t at, uint32_t len) {
    struct ip_addr src, dst;
    addresses(frame, &src, &dst);
    memset(frame + at + 16, 0, 2);
    uint16_t sum = tcp_checksum(&src, &dst, frame + at, len - at);
    memcpy(frame + at + 16, &sum, 2);
}

static bool stripped(uint8_t kind, unsigned strip) {
    return (kind == 8 && (strip & STRIP_TIMESTAMPS)) || (kind == 4 && (strip & STRIP_SACK)) ||
           (kind == 3 && (strip & STRIP_WSCALE)) || (kind == 2 && (strip & STRIP_MSS));
}

void frame_strip(uint8_t *frame, uint32_t len, unsigned strip) {
    uint32_t at = strip ? frame_tcp_at(frame, len) : 0;
    if (!at || !(frame[at + 13] & SEG_SYN))
        return;
    uint32_t end = at + (frame[at + 12] >> 4) * 4u;
    for (uint32_t o = at + TCP_BYTES; o < end && o < len && frame[o];) {
        uint32_t step = frame[o] == 1 ? 1 : o + 1 < end ? frame[o + 1] : 0;
        if (step == 0 || o + step > end)
            break;
        if (stripped(frame[o], strip))
            memset(frame + o, 1, step);
        o += step;
    }
    put_tcp_checksum(frame, at, len);
}

static void answer_ethernet(const uint8_t *frame, uint8_t *out) {
    static const uint8_t router[6] = {0x02, 0, 0, 0, 0, 0xfe};
    memcpy(out, frame + 6, 6);
    memcpy(out + 6, router, 6);
    memcpy(out + 12, frame + 12, 2);
}

static void put_ip4(uint8_t *ip, uint32_t bytes, uint8_t proto, const uint8_t src[4],
                    const uint8_t dst[4]) {
    memset(ip, 0, IP4_BYTES);
    ip[0] = 0x45;
    put16(ip + 2, (uint16_t)bytes);
    ip[8] = 64;
    ip[9] = proto;
    memcpy(ip + 12, src, 4);
    memcpy(ip + 16, dst, 4);
    uint16_t sum = (uint16_t)~rte_raw_cksum(ip, IP4_BYTES);
    memcpy(ip + 10, &sum, 2);
}

static void put_ip6(uint8_t *ip, uint32_t payload, uint8_t proto, const struct ip_addr *src,
                    const struct ip_addr *dst) {
    memset(ip, 0, 8);
    ip[0] = 0x60;
    put16(ip + 4, (uint16_t)payload);
    ip[6] = proto;
    ip[7] = 64;
    memcpy(ip + 8, src->b, 16);
    memcpy(ip + 24, dst->b, 16);
}

/* RFC 792 with RFC 1191: the packet's header and 8 bytes, after the next hop's MTU. */
static uint32_t too_big4(const uint8_t *frame, uint16_t mtu, uint8_t *out) {
    enum { QUOTED = IP4_BYTES + 8 };
    const uint8_t *ip = frame + ETH_BYTES, router[4] = {ip[12], ip[13], ip[14], 254};
    uint8_t *icmp = out + ETH_BYTES + IP4_BYTES;
    put_ip4(out + ETH_BYTES, IP4_BYTES + 8 + QUOTED, PROTO_ICMP4, router, ip + 12);
    memset(icmp, 0, 8);
    icmp[0] = 3;
    icmp[1] = 4;
    put16(icmp + 6, mtu);
    memcpy(icmp + 8, ip, QUOTED);
    uint16_t sum = (uint16_t)~rte_raw_cksum(icmp, 8 + QUOTED);
    memcpy(icmp + 2, &sum, 2);
    return ETH_BYTES + IP4_BYTES + 8 + QUOTED;
}

/* RFC 4443 section 3.2: as much of the packet as fits the smallest MTU. */
static uint32_t too_big6(const uint8_t *frame, uint32_t len, uint16_t mtu, uint8_t *out) {
    struct ip_addr src, dst, router;
    uint32_t quoted = len - ETH_BYTES < 1280 - 48 ? len - ETH_BYTES : 1280 - 48;
    uint8_t *icmp = out + ETH_BYTES + IP6_BYTES;
    addresses(frame, &src, &dst);
    router = src;
    router.b[15] = 0xfe;
    put_ip6(out + ETH_BYTES, 8 + quoted, PROTO_ICMP6, &router, &src);
    memset(icmp, 0, 8);
    icmp[0] = 2;
    put16(icmp + 6, mtu);
    memcpy(icmp + 8, frame + ETH_BYTES, quoted);
    uint16_t sum = icmp6_checksum(&router, &src, icmp, 8 + quoted);
    memcpy(icmp + 2, &sum, 2);
    return ETH_BYTES + IP6_BYTES + 8 + quoted;
}

uint32_t frame_too_big(const uint8_t *frame, uint32_t len, uint16_t mtu, uint8_t *out) {
    if (!frame_tcp_at(frame, len))
        return 0;
    answer_ethernet(frame, out);
    return type_of(frame, len) == RTE_ETHER_TYPE_IPV4 ? too_big4(frame, mtu, out)
                                                      : too_big6(frame, len, mtu, out);
}

static uint32_t put_head(uint8_t *out, const uint8_t to_mac[6], const struct ip_addr *from,
                         const struct ip_addr *to, uint8_t proto, uint32_t payload) {
    bool v4 = ip_addr_is4(from);
    memcpy(out, to_mac, 6);
    memset(out + 6, 0x02, 6);
    put16(out + 12, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6);
    if (v4)
        put_ip4(out + ETH_BYTES, IP4_BYTES + payload, proto, from->b + 12, to->b + 12);
    else
        put_ip6(out + ETH_BYTES, payload, proto, from, to);
    return ETH_BYTES + (v4 ? IP4_BYTES : IP6_BYTES);
}

static void put32(uint8_t *p, uint32_t v) {
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

uint32_t frame_tcp(uint8_t *out, const uint8_t to_mac[6], const struct seg *s) {
    uint32_t options = s->sack_count ? 4 + 8u * s->sack_count : 0, bytes = TCP_BYTES + options;
    uint32_t at = put_head(out, to_mac, &s->src, &s->dst, PROTO_TCP, bytes + s->len);
    uint8_t *tcp = out + at, *o = tcp + TCP_BYTES;
    memset(tcp, 0, bytes + s->len);
    put16(tcp, s->sport);
    put16(tcp + 2, s->dport);
    put32(tcp + 4, s->seq);
    put32(tcp + 8, s->ack);
    tcp[12] = (uint8_t)(bytes / 4 << 4);
    tcp[13] = s->flags;
    put16(tcp + 14, s->wnd);
    if (options)
        put32(o, 0x01010500u | (2 + 8u * s->sack_count));
    for (uint8_t i = 0; i < s->sack_count; i++) {
        put32(o + 4 + 8 * i, s->sack[i].start);
        put32(o + 8 + 8 * i, s->sack[i].end);
    }
    put_tcp_checksum(out, at, at + bytes + s->len);
    return at + bytes + s->len;
}

uint32_t frame_syn(uint8_t *out, const uint8_t to_mac[6], const struct ip_addr *from,
                   const struct ip_addr *to, uint16_t sport, uint16_t dport, uint32_t seq) {
    const struct seg s = {.src = *from,
                          .dst = *to,
                          .sport = sport,
                          .dport = dport,
                          .seq = seq,
                          .wnd = 8192,
                          .flags = SEG_SYN};
    return frame_tcp(out, to_mac, &s);
}

uint32_t frame_fragment(uint8_t *out, const uint8_t to_mac[6], const struct ip_addr *from,
                        const struct ip_addr *to, uint32_t id, uint16_t offset, bool more,
                        uint32_t bytes) {
    enum { IP6_FRAGMENT = 44, FRAGMENT_BYTES = 8, MORE4 = 0x2000, MORE6 = 1 };
    bool v4 = ip_addr_is4(from);
    uint32_t head = v4 ? 0 : FRAGMENT_BYTES;
    uint32_t at = put_head(out, to_mac, from, to, v4 ? PROTO_TCP : IP6_FRAGMENT, head + bytes);
    uint8_t *ip = out + ETH_BYTES;
    memset(out + at, 0, head + bytes);
    if (v4) {
        put16(ip + 4, (uint16_t)id);
        put16(ip + 6, (uint16_t)((more ? MORE4 : 0) | offset / 8));
        memset(ip + 10, 0, 2);
        uint16_t sum = (uint16_t)~rte_raw_cksum(ip, IP4_BYTES);
        memcpy(ip + 10, &sum, 2);
    } else {
        out[at] = PROTO_TCP;
        put16(out + at + 2, (uint16_t)(offset | (more ? MORE6 : 0)));
        put32(out + at + 4, id);
    }
    return at + head + bytes;
}

static void print_options(FILE *to, const struct seg *s) {
    if (s->mss)
        fprintf(to, " mss %u", s->mss);
    if (s->has_wscale)
        fprintf(to, " wscale %u", s->wscale);
    if (s->sack_permitted)
        fputs(" sackOK", to);
    if (s->has_ts)
        fprintf(to, " ts %u/%u", s->ts_val, s->ts_ecr);
    for (uint8_t i = 0; i < s->sack_count; i++)
        fprintf(to, " sack %u-%u", s->sack[i].start, s->sack[i].end);
}

static void print_segment(FILE *to, const struct seg *s) {
    static const char names[] = "FSRPAUEC";
    char a[46], b[46], flags[9];
    size_t n = 0;
    for (size_t i = 0; i < 8; i++)
        if (s->flags & 1u << i)
            flags[n++] = names[i];
    flags[n] = 0;
    fprintf(to, "%s:%u > %s:%u %s seq %u", ip_addr_text(&s->src, a), s->sport,
            ip_addr_text(&s->dst, b), s->dport, flags, s->seq);
    if (s->len)
        fprintf(to, "+%u", s->len);
    if (s->flags & SEG_ACK)
        fprintf(to, " ack %u", s->ack);
    fprintf(to, " win %u%s", s->wnd, s->ecn ? " ect" : "");
    print_options(to, s);
}

void frame_print(FILE *to, const uint8_t *frame, uint32_t len) {
    struct seg s;
    if (frame_segment(frame, len, &s))
        print_segment(to, &s);
    else
        fprintf(to, "type %04x, %u bytes%s", type_of(frame, len), len,
                frame_tcp_at(frame, len) ? ", TCP damaged" : "");
}
