#include "steer.h"
#include "rss.h"
#include <errno.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <stdio.h>
#include <string.h>

enum { PROTO_TCP = 6, PROTO_ICMP4 = 1, PROTO_ICMP6 = 58 };

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

/* The largest aligned block that begins at `first` and does not pass `last`. */
uint32_t steer_cover(uint16_t first, uint16_t last, struct steer_cover out[STEER_RANGES_MAX * 2]) {
    uint32_t n = 0, at = first;
    while (at <= last && n < STEER_RANGES_MAX * 2) {
        uint32_t size = 1;
        while (at % (size * 2) == 0 && at + size * 2 - 1 <= last)
            size *= 2;
        out[n++] = (struct steer_cover){(uint16_t)at, (uint16_t) ~(size - 1)};
        at += size;
    }
    return n;
}

struct builder {
    const struct port_config *c;
    struct steer_rule *rule;
    uint32_t count;
    uint32_t items; /* of the last rule */
};

static void add(struct builder *b, enum rte_flow_item_type type, const void *spec,
                const void *mask) {
    struct steer_rule *r = &b->rule[b->count - 1];
    r->item[b->items++] = (struct rte_flow_item){.type = type, .spec = spec, .mask = mask};
}

/* A new rule for frames to `mac` (NULL: any) of an Ethernet type. */
static struct steer_rule *begin(struct builder *b, const uint8_t *mac, uint16_t type, bool spread) {
    if (b->count >= STEER_RULES_MAX)
        return NULL;
    struct steer_rule *r = &b->rule[b->count++];
    memset(r, 0, sizeof(*r));
    b->items = 0;
    r->spread = spread;
    if (mac) {
        memcpy(&r->eth.dst, mac, 6);
        memset(&r->eth_mask.dst, 0xff, 6);
    }
    if (b->c->vlan) {
        r->vlan.tci = rte_cpu_to_be_16(b->c->vlan);
        r->vlan_mask.tci = rte_cpu_to_be_16(0x0fff);
        r->vlan.inner_type = rte_cpu_to_be_16(type);
        r->vlan_mask.inner_type = 0xffff;
    } else {
        r->eth.type = rte_cpu_to_be_16(type);
        r->eth_mask.type = 0xffff;
    }
    add(b, RTE_FLOW_ITEM_TYPE_ETH, &r->eth, &r->eth_mask);
    if (b->c->vlan)
        add(b, RTE_FLOW_ITEM_TYPE_VLAN, &r->vlan, &r->vlan_mask);
    return r;
}

static bool is4(const uint8_t a[16]) {
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    return memcmp(a, mapped, sizeof(mapped)) == 0;
}

static struct steer_rule *begin_ip(struct builder *b, const uint8_t a[16], uint8_t proto,
                                   bool spread) {
    bool v4 = is4(a);
    struct steer_rule *r = begin(b, NULL, v4 ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6, spread);
    if (r && v4) {
        memcpy(&r->ip4.hdr.dst_addr, a + 12, 4);
        r->ip4_mask.hdr.dst_addr = UINT32_MAX;
        r->ip4.hdr.next_proto_id = proto;
        r->ip4_mask.hdr.next_proto_id = 0xff;
        add(b, RTE_FLOW_ITEM_TYPE_IPV4, &r->ip4, &r->ip4_mask);
    } else if (r) {
        memcpy(r->ip6.hdr.dst_addr, a, 16);
        memset(r->ip6_mask.hdr.dst_addr, 0xff, 16);
        r->ip6.hdr.proto = proto;
        r->ip6_mask.hdr.proto = 0xff;
        add(b, RTE_FLOW_ITEM_TYPE_IPV6, &r->ip6, &r->ip6_mask);
    }
    return r;
}

static bool end(struct builder *b, const struct steer_rule *r) {
    if (r)
        add(b, RTE_FLOW_ITEM_TYPE_END, NULL, NULL);
    return r != NULL;
}

static bool tcp_to(struct builder *b, const uint8_t a[16], uint16_t port, uint16_t mask) {
    struct steer_rule *r = begin_ip(b, a, PROTO_TCP, true);
    if (!r)
        return false;
    r->tcp.hdr.dst_port = rte_cpu_to_be_16(port);
    r->tcp_mask.hdr.dst_port = rte_cpu_to_be_16(mask);
    add(b, RTE_FLOW_ITEM_TYPE_TCP, &r->tcp, &r->tcp_mask);
    return end(b, r);
}

/* Listening ports, and those of our own connections. */
static bool tcp_rules(struct builder *b, const uint8_t a[16]) {
    struct steer_cover cover[STEER_RANGES_MAX * 2];
    uint32_t n = steer_cover(b->c->local_port_first, b->c->local_port_last, cover);
    for (uint32_t i = 0; i < b->c->tcp_port_count; i++)
        if (!tcp_to(b, a, b->c->tcp_port[i], 0xffff))
            return false;
    for (uint32_t i = 0; i < n; i++)
        if (!tcp_to(b, a, cover[i].value, cover[i].mask))
            return false;
    return true;
}

/* The group of RFC 4291 section 2.7.1 on which an IPv6 address is asked for. */
static void solicited_node(const uint8_t a[16], uint8_t out[16]) {
    static const uint8_t head[13] = {0xff, 0x02, [11] = 1, [12] = 0xff};
    memcpy(out, head, sizeof(head));
    memcpy(out + 13, a + 13, 3);
}

static bool icmp_rules(struct builder *b, const uint8_t a[16]) {
    uint8_t group[16];
    if (is4(a))
        return end(b, begin_ip(b, a, PROTO_ICMP4, false));
    solicited_node(a, group);
    return end(b, begin_ip(b, a, PROTO_ICMP6, false)) &&
           end(b, begin_ip(b, group, PROTO_ICMP6, false));
}

uint32_t steer_rules(const struct port_config *c, const uint8_t mac[6],
                     struct steer_rule out[STEER_RULES_MAX]) {
    static const uint8_t all_nodes[16] = {0xff, 0x02, [15] = 1};
    struct builder b = {.c = c, .rule = out};
    bool v4 = false, v6 = false, good = true;
    for (uint32_t i = 0; i < c->addr_count && good; i++) {
        good = tcp_rules(&b, c->addr[i]) && icmp_rules(&b, c->addr[i]);
        v4 = v4 || is4(c->addr[i]);
        v6 = v6 || !is4(c->addr[i]);
    }
    if (good && v4)
        good = end(&b, begin(&b, mac, RTE_ETHER_TYPE_ARP, false)) &&
               end(&b, begin(&b, broadcast, RTE_ETHER_TYPE_ARP, false));
    if (good && v6)
        good = end(&b, begin_ip(&b, all_nodes, PROTO_ICMP6, false));
    return good ? b.count : 0;
}

static struct rte_flow *create(uint16_t id, const struct steer_rule *r, const struct port *p,
                               struct rte_flow_error *e) {
    uint16_t queues[64], n = p->queues < 64 ? p->queues : 64;
    const struct rte_flow_attr attr = {.ingress = 1, .priority = r->priority};
    struct rte_flow_action_rss rss = {
        .types = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP, .queue_num = n, .queue = queues};
    const struct rte_flow_action_queue first = {.index = 0};
    bool spread = r->spread && n > 1;
    for (uint16_t i = 0; i < n; i++)
        queues[i] = i;
    if (p->rss) {
        rss.key = p->rss->key;
        rss.key_len = p->rss->key_bytes;
    }
    const struct rte_flow_action actions[] = {
        {.type = spread ? RTE_FLOW_ACTION_TYPE_RSS : RTE_FLOW_ACTION_TYPE_QUEUE,
         .conf = spread ? (const void *)&rss : (const void *)&first},
        {.type = RTE_FLOW_ACTION_TYPE_END}};
    return rte_flow_create(id, &attr, r->item, actions, e);
}

int steer_apply(uint16_t id, const struct steer_rule *rule, uint32_t count, const struct port *p,
                char *err, size_t err_bytes) {
    for (uint32_t i = 0; i < count; i++) {
        struct rte_flow_error e = {0}, ignored;
        if (create(id, &rule[i], p, &e))
            continue;
        int rc = rte_errno ? -rte_errno : -EINVAL;
        snprintf(err, err_bytes, "%s: the port takes no steering rule (%u of %u): %s", p->name,
                 i + 1, count, e.message ? e.message : rte_strerror(-rc));
        rte_flow_flush(id, &ignored);
        return rc;
    }
    return 0;
}
