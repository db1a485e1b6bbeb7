/* The named reasons of reason.def as an enum and a table. */
#ifndef TGW_CONTRACT_REASON_H
#define TGW_CONTRACT_REASON_H

#include <stddef.h>
#include <stdint.h>

enum tgw_reason_kind { TGW_KIND_NONE, TGW_KIND_REFUSE, TGW_KIND_CLOSE, TGW_KIND_DROP };

enum tgw_reason {
    TGW_OK = 0,
#define TGW_REASON(kind, id, http, code, close, message) TGW_R_##id,
#include "contract/reason.def"
#undef TGW_REASON
    TGW_REASON_COUNT
};

struct tgw_reason_info {
    const char *label;
    const char *code;
    const char *message;
    uint16_t http_status;
    uint16_t close_code;
    uint8_t kind; /* enum tgw_reason_kind */
};

/* Information about `r`; for a value outside the enum, that of internal_error. */
static inline const struct tgw_reason_info *tgw_reason_info(unsigned r) {
    static const struct tgw_reason_info table[TGW_REASON_COUNT] = {
        {"ok", "ok", "ok", 200, 0, TGW_KIND_NONE},
#define TGW_REASON(kind, id, http, code, close, message)                                           \
    {#id, #code, message, http, close, TGW_KIND_##kind},
#include "contract/reason.def"
#undef TGW_REASON
    };
    return &table[r < TGW_REASON_COUNT ? r : TGW_R_internal_error];
}

#endif
