/* What comes in: segments with all their options, and every reason to drop. */
#include "net/net_priv.h"
#include "rig.h"
#include "tests/lib/eal_init.h"
#include "tests/lib/suite.h"
#include <stdlib.h>

static struct rte_mempool *pool;
static struct rig *r;
static struct frame f;

#define V4 "198.18.0.1", "198.18.0.2"
#define V6 "fd18::1", "fd18::2"

static void begin(void) {
    r = rig_open(pool);
}

static void end(void) {
    rig_close(r);
    CU_ASSERT_EQUAL(rte_mempool_in_use_count(pool), 0);
}

static void syn_options_are_read(void) {
    static const uint8_t options[20] = {2, 4, 0x05, 0xb4, 4, 2, 8, 10, 0, 0,
                                        0, 7, 0,    0,    0, 9, 1, 3,  3, 15};
    static const char *path[2][2] = {{V4}, {V6}};
    for (int k = 0; k < 2; k++) {
        begin();
        frame_tcp(&f, path[k][0], path[k][1], options, sizeof(options), "");
        if (k == 0) {
            f.b[47] = SEG_SYN;
            frame_fix_tcp4(&f);
            rig_send(r, 0, &f);
            CU_ASSERT_EQUAL(r->seg.mss, 1460);
            CU_ASSERT_TRUE(r->seg.sack_permitted && r->seg.has_wscale);
            CU_ASSERT_EQUAL(r->seg.wscale, 14); /* RFC 7323 section 2.3 */
        } else {
            rig_send(r, 0, &f); /* not a SYN: its options do not count */
            CU_ASSERT_EQUAL(r->seg.mss, 0);
            CU_ASSERT_FALSE(r->seg.sack_permitted || r->seg.has_wscale);
        }
        CU_ASSERT_EQUAL(r->segments, 1);
        CU_ASSERT_TRUE(r->seg.has_ts);
        CU_ASSERT_EQUAL(r->seg.ts_val, 7);
        CU_ASSERT_EQUAL(r->seg.ts_ecr, 9);
        end();
    }
}

static void data_segment_is_read(void) {
    static const uint8_t sack[20] = {1, 1, 5, 18, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 5, 0, 0, 0, 6};
    struct ip_addr src = rig_addr("198.18.0.1");
    begin();
    frame_tcp(&f, V4, sack, sizeof(sack), "hello");
    f.b[15] = 3; /* CE */
    frame_fix_ip4(&f);
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL_FATAL(r->segments, 1);
    CU_ASSERT_TRUE(ip_addr_eq(&r->seg.src, &src));
    CU_ASSERT_EQUAL(r->seg.sport, 12345);
    CU_ASSERT_EQUAL(r->seg.dport, 80);
    CU_ASSERT_EQUAL(r->seg.seq, 0x01020304);
    CU_ASSERT_EQUAL(r->seg.ack, 0x05060708);
    CU_ASSERT_EQUAL(r->seg.wnd, 0x1234);
    CU_ASSERT_EQUAL(r->seg.flags, SEG_ACK);
    CU_ASSERT_EQUAL(r->seg.ecn, 3);
    CU_ASSERT_EQUAL(r->seg.sack_count, 2);
    CU_ASSERT_EQUAL(r->seg.sack[1].start, 5);
    CU_ASSERT_EQUAL(r->seg.sack[1].end, 6);
    CU_ASSERT_EQUAL(r->seg.len, 5);
    CU_ASSERT_EQUAL(memcmp(r->payload, "hello", 5), 0);
    end();
}

/* A port's word counts only where the port was asked for it. */
static void the_ports_verdict_on_a_checksum(void) {
    const struct {
        uint64_t verdict;
        bool asked, taken;
    } rows[] = {
        {RTE_MBUF_F_RX_L4_CKSUM_GOOD, true, true},   {RTE_MBUF_F_RX_L4_CKSUM_NONE, true, true},
        {RTE_MBUF_F_RX_L4_CKSUM_BAD, true, false},   {RTE_MBUF_F_RX_L4_CKSUM_UNKNOWN, true, false},
        {RTE_MBUF_F_RX_L4_CKSUM_GOOD, false, false}, {RTE_MBUF_F_RX_L4_CKSUM_NONE, false, false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        begin();
        r->net->iface[0].offloads = rows[i].asked ? PORT_RX_L4_CKSUM : 0;
        r->rx_verdict = rows[i].verdict;
        frame_tcp(&f, V4, NULL, 0, "data");
        f.b[50] ^= 0x55; /* the checksum is wrong, or half done */
        rig_send(r, 0, &f);
        CU_ASSERT_EQUAL(r->segments, rows[i].taken);
        CU_ASSERT_EQUAL(rig_reason(r, TGW_R_tcp_checksum), !rows[i].taken);
        end();
    }
}

static void padding_is_not_payload(void) {
    begin();
    frame_tcp(&f, V4, NULL, 0, "x");
    f.len = 60;
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(r->segments, 1);
    CU_ASSERT_EQUAL(r->seg.len, 1);
    end();
}

static void priority_tag_is_stripped(void) {
    begin();
    frame_tcp(&f, V4, NULL, 0, "x");
    memmove(f.b + 16, f.b + 12, f.len - 12);
    memcpy(f.b + 12, (uint8_t[]){0x81, 0, 0xe0, 0}, 4); /* priority 7, VLAN 0 */
    f.len += 4;
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(r->segments, 1);
    f.b[15] = 5;
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_eth_vlan), 1);
    end();
}

static void extension_headers_are_skipped(void) {
    uint8_t body[8 + 20] = {6, 0, 1, 4}; /* destination options: PadN of 4 */
    begin();
    frame_tcp(&f, V6, NULL, 0, "");
    memcpy(body + 8, f.b + 54, 20);
    frame_ip(&f, V6, 60, body, sizeof(body));
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(r->segments, 1);
    f.b[56] = 0xc1; /* an option that asks to discard */
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_ip6_malformed), 1);
    end();
}

enum base { ARP, TCP4, TCP6, ECHO4, ECHO6, NS6 };

static void build(enum base base) {
    static const uint8_t echo4[8] = {8}, echo6[8] = {128};
    switch (base) {
    case ARP:
        frame_arp(&f, 1, V4);
        break;
    case TCP4:
        frame_tcp(&f, V4, NULL, 0, "data");
        break;
    case TCP6:
        frame_tcp(&f, V6, NULL, 0, "data");
        break;
    case ECHO4:
        frame_icmp(&f, V4, echo4, sizeof(echo4));
        break;
    case ECHO6:
        frame_icmp(&f, V6, echo6, sizeof(echo6));
        break;
    case NS6:
        frame_ndp(&f, "fd18::1", "ff02::1:ff00:2", 135, 0, "fd18::2");
        break;
    }
}

/* One byte of a good frame is changed, or the frame cut; checksums mended where asked. */
static const struct row {
    const char *what;
    enum base base;
    uint32_t at;
    uint8_t value;
    enum { KEEP, FIX_IP, FIX_TCP, CUT } then; /* CUT: to `at` bytes */
    enum tgw_reason why;
} rows[] = {
    {"runt", TCP4, 13, 0, CUT, TGW_R_eth_short},
    {"empty frame", TCP4, 0, 0, CUT, TGW_R_eth_short},
    {"other MAC", TCP4, 5, 0x77, KEEP, TGW_R_eth_not_ours},
    {"broadcast IPv4", TCP4, 0, 0xff, KEEP, TGW_R_eth_not_ours},
    {"group source MAC", TCP4, 6, 0x03, KEEP, TGW_R_eth_not_ours},
    {"LLDP", TCP4, 12, 0x88, KEEP, TGW_R_eth_type_unknown},
    {"short ARP", ARP, 41, 0, CUT, TGW_R_arp_malformed},
    {"ARP hardware", ARP, 15, 6, KEEP, TGW_R_arp_malformed},
    {"ARP operation", ARP, 21, 9, KEEP, TGW_R_arp_malformed},
    {"ARP sender is not the source", ARP, 27, 0x55, KEEP, TGW_R_arp_malformed},
    {"ARP from a group", ARP, 28, 224, KEEP, TGW_R_ip_source_invalid},
    {"ARP for another", ARP, 41, 77, KEEP, TGW_R_arp_not_ours},
    {"short IPv4", TCP4, 33, 0, CUT, TGW_R_ip4_malformed},
    {"version", TCP4, 14, 0x55, FIX_IP, TGW_R_ip4_malformed},
    {"header length 16", TCP4, 14, 0x44, FIX_IP, TGW_R_ip4_malformed},
    {"total length over the frame", TCP4, 17, 200, FIX_IP, TGW_R_ip4_malformed},
    {"total length under the header", TCP4, 17, 19, FIX_IP, TGW_R_ip4_malformed},
    {"header checksum", TCP4, 24, 0x12, KEEP, TGW_R_ip4_checksum},
    {"more fragments", TCP4, 20, 0x20, FIX_IP, TGW_R_ip4_fragment},
    {"fragment offset", TCP4, 21, 1, FIX_IP, TGW_R_ip4_fragment},
    {"other destination", TCP4, 33, 9, FIX_IP, TGW_R_ip_not_ours},
    {"source 0.x", TCP4, 26, 0, FIX_IP, TGW_R_ip_source_invalid},
    {"source loopback", TCP4, 26, 127, FIX_IP, TGW_R_ip_source_invalid},
    {"source multicast", TCP4, 26, 224, FIX_IP, TGW_R_ip_source_invalid},
    {"source is us", TCP4, 29, 2, FIX_IP, TGW_R_ip_source_invalid},
    {"source subnet broadcast", TCP4, 29, 255, FIX_IP, TGW_R_ip_source_invalid},
    {"UDP", TCP4, 23, 17, FIX_IP, TGW_R_ip_protocol_unknown},
    {"TCP checksum", TCP4, 55, 0x12, KEEP, TGW_R_tcp_checksum},
    {"TCP data offset 4", TCP4, 46, 0x40, FIX_TCP, TGW_R_tcp_malformed},
    {"TCP data offset 15", TCP4, 46, 0xf0, FIX_TCP, TGW_R_tcp_malformed},
    {"SYN with FIN", TCP4, 47, 3, FIX_TCP, TGW_R_tcp_malformed},
    {"echo checksum", ECHO4, 36, 0x12, KEEP, TGW_R_icmp_malformed},
    {"echo6 checksum", ECHO6, 56, 0x12, KEEP, TGW_R_icmp_malformed},
    {"short IPv6", TCP6, 53, 0, CUT, TGW_R_ip6_malformed},
    {"IPv6 version", TCP6, 14, 0x40, KEEP, TGW_R_ip6_malformed},
    {"IPv6 length over the frame", TCP6, 18, 1, KEEP, TGW_R_ip6_malformed},
    {"IPv6 fragment", TCP6, 20, 44, KEEP, TGW_R_ip6_fragment},
    {"IPv6 other destination", TCP6, 53, 9, KEEP, TGW_R_ip_not_ours},
    {"IPv6 source multicast", TCP6, 22, 0xff, KEEP, TGW_R_ip_source_invalid},
    {"IPv6 source is us", TCP6, 37, 2, KEEP, TGW_R_ip_source_invalid},
    {"IPv6 UDP", TCP6, 20, 17, KEEP, TGW_R_ip_protocol_unknown},
    {"TCP over IPv6 checksum", TCP6, 75, 0x12, KEEP, TGW_R_tcp_checksum},
    {"NDP over a router", NS6, 21, 254, KEEP, TGW_R_ndp_malformed},
};

static void every_reason_to_drop(void) {
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const struct row *row = &rows[i];
        begin();
        build(row->base);
        if (row->then == CUT)
            f.len = row->at;
        else
            f.b[row->at] = row->value;
        if (row->then == FIX_IP)
            frame_fix_ip4(&f);
        else if (row->then == FIX_TCP)
            frame_fix_tcp4(&f);
        rig_send(r, 0, &f);
        if (rig_reason(r, row->why) != 1)
            printf("# %s: not %s\n", row->what, tgw_reason_info(row->why)->label);
        CU_ASSERT_EQUAL(rig_reason(r, row->why), 1);
        CU_ASSERT_EQUAL(r->segments, 0);
        end();
    }
}

static void mapped_addresses_stay_off_the_wire(void) {
    begin();
    frame_tcp(&f, V6, NULL, 0, "");
    struct ip_addr mapped = rig_addr("198.18.0.2");
    memcpy(f.b + 38, mapped.b, 16);
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_ip_not_ours), 1);
    frame_tcp(&f, V6, NULL, 0, "");
    mapped = rig_addr("198.18.0.1");
    memcpy(f.b + 22, mapped.b, 16);
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_ip_source_invalid), 1);
    end();
}

static void icmp_oddities_are_named(void) {
    const uint8_t redirect[8] = {5}, cut[12] = {3, 1};
    uint8_t stranger[36] = {3, 1, 0, 0, 0, 0, 0, 0, 0x45, 0, 0, 40, 0, 0, 0x40, 0, 64, 6};
    uint8_t options[33] = {135};
    begin();
    frame_icmp(&f, V4, redirect, sizeof(redirect));
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_icmp_unhandled), 1);
    frame_icmp(&f, V4, cut, sizeof(cut));
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_icmp_malformed), 1);
    frame_icmp(&f, V4, stranger, sizeof(stranger)); /* quotes a packet that is not ours */
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_icmp_no_match), 1);
    frame_icmp(&f, V6, options, sizeof(options)); /* an option of length 0 */
    rig_send(r, 0, &f);
    CU_ASSERT_EQUAL(rig_reason(r, TGW_R_ndp_malformed), 1);
    end();
}

static void bad_tcp_options_are_dropped_or_skipped(void) {
    static const uint8_t zero[4] = {2, 0}, over[4] = {1, 1, 8, 10}, lone[4] = {1, 1, 1, 8};
    static const uint8_t odd[4] = {3, 4, 0, 0}, unknown[4] = {253, 4, 0, 0};
    const uint8_t *bad[] = {zero, over, lone}, *fine[] = {odd, unknown};
    begin();
    for (unsigned k = 0; k < 3; k++) {
        frame_tcp(&f, V4, bad[k], 4, "");
        rig_send(r, 0, &f);
        CU_ASSERT_EQUAL(rig_reason(r, TGW_R_tcp_malformed), k + 1);
    }
    for (unsigned k = 0; k < 2; k++) {
        frame_tcp(&f, V4, fine[k], 4, "");
        rig_send(r, 0, &f);
        CU_ASSERT_EQUAL(r->segments, k + 1);
    }
    end();
}

/* Good frames with random damage, and pure noise: nothing may be read out of bounds,
 * nothing leak. Meant to run under the address sanitizer too. */
static void noise_does_no_harm(void) {
    unsigned seed = 20261124;
    begin();
    for (int k = 0; k < 30000; k++) {
        build((enum base)(rand_r(&seed) % 6));
        for (int hits = rand_r(&seed) % 4; hits >= 0; hits--)
            f.b[(unsigned)rand_r(&seed) % f.len] = (uint8_t)rand_r(&seed);
        if (rand_r(&seed) % 4 == 0)
            f.len = (unsigned)rand_r(&seed) % (f.len + 1);
        if (f.len >= 34 && f.b[12] == 8 && f.b[13] == 0 && (f.b[14] & 15u) * 4 + 14 <= f.len)
            frame_fix_ip4(&f);
        if (f.len > 54 && f.b[12] == 8 && f.b[13] == 0 && f.b[23] == 6)
            frame_fix_tcp4(&f);
        rig_send(r, (uint8_t)(k & 1), &f);
        rig_drain(r);
        if (k % 100 == 0)
            rig_wait_ms(r, 500);
    }
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"SYN options are read", syn_options_are_read},
        {"data segment is read", data_segment_is_read},
        {"the port's verdict on a checksum", the_ports_verdict_on_a_checksum},
        {"padding is not payload", padding_is_not_payload},
        {"priority tag is stripped", priority_tag_is_stripped},
        {"extension headers are skipped", extension_headers_are_skipped},
        {"every reason to drop", every_reason_to_drop},
        {"mapped addresses stay off the wire", mapped_addresses_stay_off_the_wire},
        {"ICMP oddities are named", icmp_oddities_are_named},
        {"bad TCP options are dropped or skipped", bad_tcp_options_are_dropped_or_skipped},
        {"noise does no harm", noise_does_no_harm},
    };
    pool = test_eal_init(2047);
    return suite_run("net/input", cases, sizeof(cases) / sizeof(cases[0]));
}
