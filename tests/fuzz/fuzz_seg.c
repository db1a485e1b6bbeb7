/* A TCP header and what follows, straight into the parser: no checksum to get past. */
#include "net/net_priv.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds) {
    if (!holds)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct seg s = {0};
    if (size > 65535)
        return 0;
    enum tgw_reason why = seg_parse(&s, data, (uint32_t)size);
    if (why != TGW_OK) {
        check(why == TGW_R_tcp_malformed);
        return 0;
    }
    bool syn = s.flags & SEG_SYN;
    check(s.payload >= data + 20 && s.payload + s.len == data + size);
    check(s.sport && s.dport && !(syn && (s.flags & (SEG_FIN | SEG_RST))));
    check(s.sack_count <= SEG_SACK_BLOCKS_MAX && !(syn && s.sack_count));
    check(s.wscale <= 14 && (syn || (!s.has_wscale && !s.sack_permitted && !s.mss)));
    return 0;
}
