/* Who a session belongs to: carried in messages, logged by the control process.
 * Fixed-size and NUL-terminated; a receiver validates with tgw_ident_valid(). */
#ifndef TGW_CONTRACT_IDENT_H
#define TGW_CONTRACT_IDENT_H

#include "contract/limits.h"
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* core (8 bits) | generation (24) | index (32); 0 names nothing. */
typedef uint64_t tgw_handle;

static inline tgw_handle tgw_handle_make(uint32_t core, uint32_t generation, uint32_t index) {
    return (uint64_t)core << 56 | (uint64_t)(generation & 0xffffff) << 32 | index;
}
static inline uint32_t tgw_handle_core(tgw_handle h) {
    return (uint32_t)(h >> 56);
}
static inline uint32_t tgw_handle_generation(tgw_handle h) {
    return (uint32_t)(h >> 32) & 0xffffff;
}
static inline uint32_t tgw_handle_index(tgw_handle h) {
    return (uint32_t)h;
}

/* An address in the IPv6 form; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2). */
struct tgw_endpoint {
    uint8_t addr[16];
    uint16_t port; /* host byte order */
    uint16_t reserved;
};

struct tgw_ident {
    char allocation_id[TGW_ALLOCATION_ID_MAX + 1];
    char session_id[TGW_SESSION_ID_MAX + 1];
    char user_id[TGW_USER_ID_MAX + 1];
    char region[TGW_REGION_MAX + 1];
    char tenant_id[TGW_TENANT_ID_MAX + 1];
    char project_id[TGW_PROJECT_ID_MAX + 1];
    char correlation_id[TGW_CORRELATION_ID_MAX + 1];
    char trace_id[TGW_TRACE_ID_HEX + 1];
};

/* 128 random bits as an id in lower-case hex. */
static inline void tgw_id_text(uint8_t bits[TGW_TRACE_ID_HEX / 2], char out[TGW_TRACE_ID_HEX + 1]) {
    static const char digits[] = "0123456789abcdef";
    bits[0] |= 1; /* an all-zero trace id is not valid (W3C Trace Context 3.2.2.3) */
    for (int i = 0; i < TGW_TRACE_ID_HEX / 2; i++) {
        out[2 * i] = digits[bits[i] >> 4];
        out[2 * i + 1] = digits[bits[i] & 15];
    }
    out[TGW_TRACE_ID_HEX] = 0;
}

/* A byte below 0x21 or above 0x7e, a quote or a backslash among eight. */
static inline bool tgw_text_is_bad(const char *s) {
    const uint64_t ones = UINT64_MAX / 255, tops = ones << 7;
    uint64_t x;
    memcpy(&x, s, sizeof(x));
    uint64_t quote = x ^ '"' * ones, backslash = x ^ '\\' * ones;
    return ((x | (x + ones) | ((x - 0x21 * ones) & ~x) | ((quote - ones) & ~quote) |
             ((backslash - ones) & ~backslash)) &
            tops) != 0;
}

static inline bool tgw_text_valid(const char *s, size_t size) {
    const char *end = memchr(s, 0, size);
    if (!end)
        return false;
    for (; end - s >= 8; s += 8)
        if (tgw_text_is_bad(s))
            return false;
    for (; s < end; s++)
        if ((unsigned char)*s < 0x21 || (unsigned char)*s > 0x7e || *s == '"' || *s == '\\')
            return false;
    return true;
}

/* Every field NUL-terminated printable ASCII without blanks, quotes or backslashes. */
static inline bool tgw_ident_valid(const struct tgw_ident *i) {
    return tgw_text_valid(i->allocation_id, sizeof(i->allocation_id)) &&
           tgw_text_valid(i->session_id, sizeof(i->session_id)) &&
           tgw_text_valid(i->user_id, sizeof(i->user_id)) &&
           tgw_text_valid(i->region, sizeof(i->region)) &&
           tgw_text_valid(i->tenant_id, sizeof(i->tenant_id)) &&
           tgw_text_valid(i->project_id, sizeof(i->project_id)) &&
           tgw_text_valid(i->correlation_id, sizeof(i->correlation_id)) &&
           tgw_text_valid(i->trace_id, sizeof(i->trace_id));
}

#endif
