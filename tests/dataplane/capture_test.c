/* What a capture keeps of which packets. */
#include "dataplane/capture.h"
#include "tests/lib/suite.h"
#include <stddef.h>
#include <string.h>

static struct tgw_ev_packet last;
static unsigned seen;

static bool keep(void *ctx, const struct tgw_msg *event) {
    (void)ctx;
    seen++;
    memcpy(&last, event, event->len);
    return true;
}

static const struct capture_leg legs[2] = {
    {.local = {.addr = {[10] = 0xff, 0xff, 198, 18, 0, 2}, .port = 80},
     .peer = {.addr = {[10] = 0xff, 0xff, 198, 18, 0, 1}, .port = 40000}},
    {.local = {.addr = {0xfd, 0x18, [15] = 2}, .port = 30000},
     .peer = {.addr = {0xfd, 0x18, [15] = 9}, .port = 7681}}};

/* IPv4 from the client with 12 bytes of options and `payload` behind them. */
static uint32_t build4(uint8_t *p, bool vlan, const char *payload) {
    static const uint8_t eth[14] = {2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0};
    uint32_t at = vlan ? 18 : 14;
    memset(p, 0, 200);
    memcpy(p, eth, sizeof(eth));
    if (vlan)
        memcpy(p + 12, "\x81\x00\x00\x07\x08\x00", 6);
    p[at] = 0x45;
    p[at + 9] = 6;
    memcpy(p + at + 12, "\xc6\x12\x00\x01\xc6\x12\x00\x02", 8);
    memcpy(p + at + 20, "\x9c\x40\x00\x50", 4);
    p[at + 32] = 0x80;
    memcpy(p + at + 52, payload, strlen(payload));
    return at + 52 + (uint32_t)strlen(payload);
}

static void show(const struct capture *c, uint8_t *p, uint32_t len, bool out) {
    struct rte_mbuf m = {.buf_addr = p, .data_off = 0};
    m.data_len = (uint16_t)len;
    m.pkt_len = len;
    capture_see(c, 77, 1, out, &m);
}

static struct capture begun(bool payload) {
    struct capture c = {.emit = keep};
    const struct tgw_cmd_capture cmd = {.msg.seq = 9, .duration_ms = 1000, .payload = payload};
    capture_start(&c, 1000, &cmd, legs);
    seen = 0;
    return c;
}

static void headers_are_kept_and_payload_is_not(void) {
    uint8_t p[200];
    struct capture c = begun(false);
    CU_ASSERT_EQUAL(c.end_ns, 1000 + UINT64_C(1000000000));
    uint32_t len = build4(p, false, "secret");
    show(&c, p, len, false);
    CU_ASSERT_EQUAL(seen, 1);
    CU_ASSERT_EQUAL(last.kept, len - 6);
    CU_ASSERT_EQUAL(last.frame_bytes, len);
    CU_ASSERT_EQUAL(last.msg.seq, 9);
    CU_ASSERT_EQUAL(last.at_ns, 77);
    CU_ASSERT_TRUE(last.iface == 1 && last.out == 0);
    CU_ASSERT_EQUAL(memcmp(last.data, p, last.kept), 0);
}

static void payload_is_kept_when_asked_for(void) {
    uint8_t p[200];
    struct capture c = begun(true);
    uint32_t len = build4(p, true, "typed");
    show(&c, p, len, false);
    CU_ASSERT_EQUAL(seen, 1);
    CU_ASSERT_EQUAL(last.kept, len);
}

static void others_packets_are_not_looked_at(void) {
    uint8_t p[200];
    struct capture c = begun(false);
    uint32_t len = build4(p, false, "");
    show(&c, p, len, true); /* the same addresses the other way round */
    p[14 + 20] ^= 1;        /* another port of the client */
    show(&c, p, len, false);
    CU_ASSERT_EQUAL(seen, 0);
    c.on = false;
    p[14 + 20] ^= 1;
    show(&c, p, len, false);
    CU_ASSERT_EQUAL(seen, 0);
}

static void the_other_leg_over_ipv6(void) {
    uint8_t p[200] = {[12] = 0x86, [13] = 0xdd, [14] = 0x60, [20] = 6};
    struct capture c = begun(false);
    memcpy(p + 22, legs[1].local.addr, 16);
    memcpy(p + 38, legs[1].peer.addr, 16);
    memcpy(p + 54, "\x75\x30\x1e\x01", 4);
    p[66] = 0x50;
    show(&c, p, 74, true);
    CU_ASSERT_EQUAL(seen, 1);
    CU_ASSERT_TRUE(last.out == 1 && last.kept == 74);
}

/* Every length and every first byte of each header: nothing is read beyond the end (ASan
 * watches), and nothing longer than the packet is kept. */
static void damaged_packets_do_no_harm(void) {
    struct capture c = begun(false);
    for (uint32_t len = 0; len < 80; len++)
        for (unsigned at = 12; at < 50; at++) {
            uint8_t whole[200], p[200];
            build4(whole, false, "payload");
            whole[at] = (uint8_t)(whole[at] * 7 + len);
            memcpy(p, whole, sizeof(p));
            show(&c, p, len, false);
            CU_ASSERT_TRUE_FATAL(last.kept <= len || seen == 0);
            seen = 0;
        }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"headers are kept and payload is not", headers_are_kept_and_payload_is_not},
        {"payload is kept when asked for", payload_is_kept_when_asked_for},
        {"others' packets are not looked at", others_packets_are_not_looked_at},
        {"the other leg, over IPv6", the_other_leg_over_ipv6},
        {"damaged packets do no harm", damaged_packets_do_no_harm},
    };
    return suite_run("capture", cases, sizeof(cases) / sizeof(cases[0]));
}
