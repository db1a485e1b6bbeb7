#include "net/addr.h"
#include "tests/lib/suite.h"

static void addresses_are_read_and_written(void) {
    static const char *good[] = {"198.18.0.2", "fd18::2", "::", "255.255.255.255", "::1"};
    static const char *bad[] = {"", "198.18.0", "198.18.0.256", "fd18::2::1", "host", "1.2.3.4/8"};
    struct ip_addr a;
    char text[46];
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CU_ASSERT_TRUE_FATAL(ip_addr_parse(good[i], &a));
        CU_ASSERT_STRING_EQUAL(ip_addr_text(&a, text), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_FALSE(ip_addr_parse(bad[i], &a));
}

static void prefixes_are_read(void) {
    static const struct {
        const char *text;
        bool host_bits, ok;
        uint8_t len;
    } rows[] = {
        {"198.18.0.0/16", false, true, 112},
        {"198.18.0.2/16", false, false, 0},
        {"198.18.0.2/16", true, true, 112},
        {"198.18.0.2", false, true, 128},
        {"0.0.0.0/0", false, true, 96},
        {"1.2.3.4/33", true, false, 0},
        {"fd18::/64", false, true, 64},
        {"fd18::1/64", false, false, 0},
        {"fd18::1", false, true, 128},
        {"::/0", false, true, 0},
        {"fd18::/129", false, false, 0},
        {"1.2.3.4/", true, false, 0},
        {"1.2.3.4/-1", true, false, 0},
        {"1.2.3.4/8x", true, false, 0},
        {"/8", true, false, 0},
        {"1.2.3.4/ 8", true, false, 0},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip_prefix p;
        CU_ASSERT_EQUAL(ip_prefix_parse(rows[i].text, rows[i].host_bits, &p), rows[i].ok);
        if (rows[i].ok)
            CU_ASSERT_EQUAL(p.len, rows[i].len);
    }
}

static void prefixes_hold_their_addresses(void) {
    static const struct {
        const char *prefix, *addr;
        bool in;
    } rows[] = {
        {"198.18.0.0/16", "198.18.255.1", true},
        {"198.18.0.0/16", "198.19.0.0", false},
        {"198.18.0.0/15", "198.19.0.0", true},
        {"0.0.0.0/0", "1.2.3.4", true},
        {"::/0", "fd18::1", true},
        {"::/0", "1.2.3.4", false},
        {"1.2.3.4", "1.2.3.4", true},
        {"1.2.3.4", "1.2.3.5", false},
        {"fd18::/63", "fd18:0:0:1::9", true},
        {"fd18::/64", "fd18:0:0:1::9", false},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ip_prefix p;
        struct ip_addr a;
        CU_ASSERT_TRUE_FATAL(ip_prefix_parse(rows[i].prefix, false, &p));
        CU_ASSERT_TRUE_FATAL(ip_addr_parse(rows[i].addr, &a));
        CU_ASSERT_EQUAL(ip_prefix_has(&p, &a), rows[i].in);
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"addresses are read and written", addresses_are_read_and_written},
        {"prefixes are read", prefixes_are_read},
        {"prefixes hold their addresses", prefixes_hold_their_addresses},
    };
    return suite_run("net/addr", cases, sizeof(cases) / sizeof(cases[0]));
}
