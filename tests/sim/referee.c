#include "tests/sim/referee.h"
#include "tests/sim/frame.h"
#include <stdlib.h>

struct referee {
    uint64_t segments;
};

struct referee *referee_create(void) {
    return calloc(1, sizeof(struct referee));
}

void referee_destroy(struct referee *r) {
    free(r);
}

const char *referee_sent(struct referee *r, unsigned end, const uint8_t *frame, uint32_t len) {
    struct seg s;
    (void)end;
    if (!frame_tcp_at(frame, len))
        return NULL;
    r->segments++;
    return frame_segment(frame, len, &s) ? NULL : "a TCP segment that is malformed";
}
