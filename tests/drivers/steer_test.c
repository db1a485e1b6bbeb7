/* The rules for a NIC that is shared with the kernel, held against packets: a rule matches
 * a packet as the NIC would, so what is ours comes to us and nothing else does. */
#include "drivers/steer.h"
#include "tests/lib/suite.h"
#include <rte_ether.h>
#include <stdlib.h>
#include <string.h>

static const uint8_t MAC[6] = {0x02, 1, 2, 3, 4, 5};
static const uint8_t OURS4[16] = {[10] = 0xff, [11] = 0xff, 198, 18, 0, 2};
static const uint8_t OURS6[16] = {0xfd, 0x18, [13] = 0x11, [14] = 0x22, [15] = 0x33};

static struct port_config config(uint16_t vlan) {
    struct port_config c = {.name = "up",
                            .vlan = vlan,
                            .addr_count = 2,
                            .tcp_port_count = 2,
                            .tcp_port = {80, 443},
                            .local_port_first = 20000,
                            .local_port_last = 65535};
    memcpy(c.addr[0], OURS4, 16);
    memcpy(c.addr[1], OURS6, 16);
    return c;
}

/* Headers in the order of a frame. */
struct packet {
    uint8_t dst[6];
    uint16_t vlan, type;
    uint8_t to[16]; /* mapped where IPv4 */
    uint8_t proto;
    uint16_t dport;
};

static bool eth_matches(const struct steer_rule *r, const struct packet *p, bool tagged) {
    const uint8_t *mask = (const uint8_t *)&r->eth_mask.dst, *want = (const uint8_t *)&r->eth.dst;
    for (int i = 0; i < 6; i++)
        if ((p->dst[i] ^ want[i]) & mask[i])
            return false;
    if (tagged)
        return !((rte_cpu_to_be_16(p->vlan) ^ r->vlan.tci) & r->vlan_mask.tci) &&
               rte_cpu_to_be_16(p->type) == r->vlan.inner_type;
    return p->vlan == 0 && rte_cpu_to_be_16(p->type) == r->eth.type;
}

static bool item_matches(const struct steer_rule *r, const struct rte_flow_item *i,
                         const struct packet *p) {
    bool v4 = p->type == RTE_ETHER_TYPE_IPV4;
    switch (i->type) {
    case RTE_FLOW_ITEM_TYPE_ETH:
        return eth_matches(r, p, i[1].type == RTE_FLOW_ITEM_TYPE_VLAN);
    case RTE_FLOW_ITEM_TYPE_VLAN:
        return true; /* with its Ethernet header */
    case RTE_FLOW_ITEM_TYPE_IPV4:
        return v4 && memcmp(&r->ip4.hdr.dst_addr, p->to + 12, 4) == 0 &&
               r->ip4_mask.hdr.dst_addr == UINT32_MAX && r->ip4.hdr.next_proto_id == p->proto;
    case RTE_FLOW_ITEM_TYPE_IPV6:
        return p->type == RTE_ETHER_TYPE_IPV6 && memcmp(r->ip6.hdr.dst_addr, p->to, 16) == 0 &&
               r->ip6.hdr.proto == p->proto;
    case RTE_FLOW_ITEM_TYPE_TCP:
        return !((rte_cpu_to_be_16(p->dport) ^ r->tcp.hdr.dst_port) & r->tcp_mask.hdr.dst_port);
    default:
        return false;
    }
}

enum where { KERNEL, FIRST, SPREAD };

static enum where lands(const struct steer_rule *rule, uint32_t count, const struct packet *p) {
    for (uint32_t k = 0; k < count; k++) {
        const struct rte_flow_item *i = rule[k].item;
        while (i->type != RTE_FLOW_ITEM_TYPE_END && item_matches(&rule[k], i, p))
            i++;
        if (i->type == RTE_FLOW_ITEM_TYPE_END)
            return rule[k].spread ? SPREAD : FIRST;
    }
    return KERNEL;
}

static struct packet packet(uint16_t type, const uint8_t to[16], uint8_t proto, uint16_t dport) {
    struct packet p = {.type = type, .proto = proto, .dport = dport};
    memcpy(p.dst, MAC, 6);
    memcpy(p.to, to, 16);
    return p;
}

static void ours_comes_and_the_rest_stays(void) {
    static const uint8_t other[16] = {[10] = 0xff, [11] = 0xff, 198, 18, 0, 3};
    static const uint8_t group[16] = {0xff, 0x02, [11] = 1, [12] = 0xff, 0x11, 0x22, 0x33};
    static const uint8_t stranger[16] = {0xff, 0x02, [11] = 1, [12] = 0xff, 0x11, 0x22, 0x34};
    const struct {
        struct packet p;
        enum where want;
    } rows[] = {
        {packet(0x0800, OURS4, 6, 80), SPREAD},    {packet(0x0800, OURS4, 6, 443), SPREAD},
        {packet(0x0800, OURS4, 6, 22), KERNEL},    {packet(0x0800, OURS4, 6, 19999), KERNEL},
        {packet(0x0800, OURS4, 6, 20000), SPREAD}, {packet(0x0800, OURS4, 6, 65535), SPREAD},
        {packet(0x0800, OURS4, 6, 40961), SPREAD}, {packet(0x0800, other, 6, 80), KERNEL},
        {packet(0x0800, OURS4, 17, 53), KERNEL},   {packet(0x0800, OURS4, 1, 0), FIRST},
        {packet(0x86dd, OURS6, 6, 443), SPREAD},   {packet(0x86dd, OURS6, 6, 22), KERNEL},
        {packet(0x86dd, OURS6, 58, 0), FIRST},     {packet(0x86dd, group, 58, 0), FIRST},
        {packet(0x86dd, stranger, 58, 0), KERNEL}, {packet(0x0806, other, 0, 0), FIRST},
        {packet(0x88cc, other, 0, 0), KERNEL}, /* LLDP is the switch's and the OS's */
    };
    struct steer_rule *rule = calloc(STEER_RULES_MAX, sizeof(*rule));
    struct port_config c = config(0);
    uint32_t n = steer_rules(&c, MAC, rule);
    CU_ASSERT_TRUE(n > 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        CU_ASSERT_EQUAL(lands(rule, n, &rows[i].p), rows[i].want);
    struct packet tagged = packet(0x0800, OURS4, 6, 80);
    tagged.vlan = 5;
    CU_ASSERT_EQUAL(lands(rule, n, &tagged), KERNEL);
    free(rule);
}

static void a_tagged_port_takes_its_tag_alone(void) {
    struct steer_rule *rule = calloc(STEER_RULES_MAX, sizeof(*rule));
    struct port_config c = config(42);
    uint32_t n = steer_rules(&c, MAC, rule);
    struct packet p = packet(0x0800, OURS4, 6, 80);
    CU_ASSERT_EQUAL(lands(rule, n, &p), KERNEL);
    p.vlan = 42;
    CU_ASSERT_EQUAL(lands(rule, n, &p), SPREAD);
    p.vlan = 43;
    CU_ASSERT_EQUAL(lands(rule, n, &p), KERNEL);
    p = packet(0x0806, OURS4, 0, 0);
    p.vlan = 42;
    memset(p.dst, 0xff, 6);
    CU_ASSERT_EQUAL(lands(rule, n, &p), FIRST);
    free(rule);
}

static void a_cover_is_exact(void) {
    static const uint16_t ends[][2] = {{20000, 65535}, {0, 65535},     {1, 65534}, {80, 80},
                                       {32768, 60999}, {65535, 65535}, {0, 0},     {1023, 1025}};
    for (size_t k = 0; k < sizeof(ends) / sizeof(ends[0]); k++) {
        struct steer_cover cover[STEER_RANGES_MAX * 2];
        uint32_t n = steer_cover(ends[k][0], ends[k][1], cover), wrong = 0;
        for (uint32_t port = 0; port <= UINT16_MAX; port++) {
            uint32_t hits = 0;
            for (uint32_t i = 0; i < n; i++)
                hits += (port & cover[i].mask) == cover[i].value;
            wrong += hits != (port >= ends[k][0] && port <= ends[k][1]);
        }
        CU_ASSERT_EQUAL(wrong, 0);
    }
}

static void the_most_addresses_fit(void) {
    struct steer_rule *rule = calloc(STEER_RULES_MAX, sizeof(*rule));
    struct port_config c = config(0);
    c.addr_count = PORT_ADDRS_MAX;
    c.tcp_port_count = PORT_LISTEN_MAX;
    for (int i = 0; i < PORT_ADDRS_MAX; i++)
        memcpy(c.addr[i], i & 1 ? OURS4 : OURS6, 16);
    CU_ASSERT_TRUE(steer_rules(&c, MAC, rule) > 0);
    c.local_port_first = 1; /* the worst cover */
    c.local_port_last = 65534;
    CU_ASSERT_TRUE(steer_rules(&c, MAC, rule) > 0);
    free(rule);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"ours comes and the rest stays", ours_comes_and_the_rest_stays},
        {"a tagged port takes its tag alone", a_tagged_port_takes_its_tag_alone},
        {"a cover is exact", a_cover_is_exact},
        {"the most addresses fit", the_most_addresses_fit},
    };
    return suite_run("drivers/steer", cases, sizeof(cases) / sizeof(cases[0]));
}
