/* What a probe of a port finds out, in numbers: the dataplane probes, the control process
 * and the bring-up tool put it into words. */
#ifndef TGW_CONTRACT_CHECK_H
#define TGW_CONTRACT_CHECK_H

#include <stdint.h>

enum tgw_check {
#define TGW_CHECK(id, title, fix) TGW_CHECK_##id,
#include "contract/check.def"
#undef TGW_CHECK
    TGW_CHECK_COUNT
};

enum tgw_check_state {
    TGW_CHECK_NOT_RUN,    /* the port has no neighbour to ask, or the probe did not come so far */
    TGW_CHECK_PASS,       /* seen to work on the wire */
    TGW_CHECK_FAIL,       /* seen not to work, and the gateway suffers from it */
    TGW_CHECK_OFF,        /* offered by the port, found wrong: done in software */
    TGW_CHECK_ABSENT,     /* not offered by the port: done in software */
    TGW_CHECK_UNVERIFIED, /* nobody answered what would have shown it */
    TGW_CHECK_STATES
};

struct tgw_check_result {
    uint8_t state; /* enum tgw_check_state */
    uint8_t reserved[3];
    uint32_t value; /* echo, tcp: us; mtu: bytes that pass; link: Mbit/s; else a count */
};

struct tgw_check_info {
    const char *id, *title, *fix;
};

/* Of one that is out of range: of the first. */
static inline const struct tgw_check_info *tgw_check_info(unsigned check) {
    static const struct tgw_check_info rows[TGW_CHECK_COUNT] = {
#define TGW_CHECK(id, title, fix) {#id, title, fix},
#include "contract/check.def"
#undef TGW_CHECK
    };
    return &rows[check < TGW_CHECK_COUNT ? check : 0];
}

static inline const char *tgw_check_state_name(unsigned state) {
    static const char *const names[TGW_CHECK_STATES] = {"not_run", "pass",   "fail",
                                                        "off",     "absent", "unverified"};
    return state < TGW_CHECK_STATES ? names[state] : "invalid";
}

#endif
