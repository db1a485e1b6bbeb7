#include "capture.h"
#include <stddef.h>
#include <string.h>

enum {
    ETH_BYTES = 14,
    VLAN_BYTES = 4,
    TYPE_IP4 = 0x0800,
    TYPE_IP6 = 0x86dd,
    TYPE_VLAN = 0x8100,
    IP4_BYTES_MIN = 20,
    IP6_BYTES = 40,
    TCP_BYTES_MIN = 20,
    PROTO_TCP = 6,
};

/* What is kept of a packet without its payload, and whose it is. */
struct packet {
    struct tgw_endpoint src, dst;
    uint32_t header_bytes;
};

static uint16_t be16(const uint8_t *p) {
    return (uint16_t)(p[0] << 8 | p[1]);
}

static void take_ip4(struct packet *k, const uint8_t *ip) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    memcpy(k->src.addr, mapped, 12);
    memcpy(k->src.addr + 12, ip + 12, 4);
    memcpy(k->dst.addr, mapped, 12);
    memcpy(k->dst.addr + 12, ip + 16, 4);
}

/* Offset of the TCP header in `len` bytes from the IP header on; 0: no TCP. */
static uint32_t take_ip(struct packet *k, uint16_t type, const uint8_t *ip, uint32_t len) {
    if (type == TYPE_IP4 && len >= IP4_BYTES_MIN && ip[9] == PROTO_TCP) {
        take_ip4(k, ip);
        return (ip[0] & 15u) * 4u >= IP4_BYTES_MIN ? (ip[0] & 15u) * 4u : 0;
    }
    if (type != TYPE_IP6 || len < IP6_BYTES || ip[6] != PROTO_TCP)
        return 0;
    memcpy(k->src.addr, ip + 8, 16);
    memcpy(k->dst.addr, ip + 24, 16);
    return IP6_BYTES;
}

static bool parse(struct packet *k, const uint8_t *p, uint32_t len) {
    uint32_t at = ETH_BYTES;
    if (len < ETH_BYTES + VLAN_BYTES)
        return false;
    uint16_t type = be16(p + 12);
    if (type == TYPE_VLAN) {
        type = be16(p + 16);
        at += VLAN_BYTES;
    }
    uint32_t ip_bytes = take_ip(k, type, p + at, len - at);
    at += ip_bytes;
    if (!ip_bytes || len < at + TCP_BYTES_MIN)
        return false;
    k->src.port = be16(p + at);
    k->dst.port = be16(p + at + 2);
    k->header_bytes = at + (uint32_t)(p[at + 12] >> 4) * 4;
    return true;
}

static bool same(const struct tgw_endpoint *a, const struct tgw_endpoint *b) {
    return a->port == b->port && memcmp(a->addr, b->addr, sizeof(a->addr)) == 0;
}

static bool is_ours(const struct capture *c, const struct packet *k, bool out) {
    const struct tgw_endpoint *local = out ? &k->src : &k->dst, *peer = out ? &k->dst : &k->src;
    for (int i = 0; i < 2; i++)
        if (same(&c->leg[i].local, local) && same(&c->leg[i].peer, peer))
            return true;
    return false;
}

void capture_start(struct capture *c, uint64_t now_ns, const struct tgw_cmd_capture *cmd,
                   const struct capture_leg legs[2]) {
    uint32_t ms = cmd->duration_ms < CAPTURE_MS_MAX ? cmd->duration_ms : CAPTURE_MS_MAX;
    c->on = ms != 0;
    c->payload = cmd->payload != 0;
    c->seq = cmd->msg.seq;
    c->end_ns = now_ns + ms * UINT64_C(1000000);
    memcpy(c->leg, legs, sizeof(c->leg));
}

void capture_see(const struct capture *c, uint64_t now_ns, uint8_t iface, bool out,
                 const struct rte_mbuf *m) {
    struct packet k = {0};
    const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *);
    if (!c->on || !parse(&k, p, m->data_len) || !is_ours(c, &k, out))
        return;
    uint32_t keep = c->payload || k.header_bytes > m->data_len ? m->data_len : k.header_bytes;
    struct tgw_ev_packet e = {
        .at_ns = now_ns, .frame_bytes = m->pkt_len, .iface = iface, .out = out};
    if (keep > sizeof(e.data))
        keep = sizeof(e.data);
    e.kept = (uint16_t)keep;
    memcpy(e.data, p, keep);
    e.msg = (struct tgw_msg){.type = TGW_EV_PACKET,
                             .len = (uint16_t)(offsetof(struct tgw_ev_packet, data) + keep),
                             .seq = c->seq};
    c->emit(c->ctx, &e.msg);
}
