/* A capture on its way from a core of the dataplane to `tgwctl capture`. One at a time. */
#ifndef TGW_CONTROL_CAPTURE_H
#define TGW_CONTROL_CAPTURE_H

#include "contract/event.h"
#include <cjson/cJSON.h>

enum {
    CAPTURE_KEPT_BYTES_MAX = 4 * 1024 * 1024, /* between two reads */
    CAPTURE_SECONDS_MAX = 600,
};

struct capture_box {
    uint32_t seq; /* of the capture; 0: none runs */
    uint32_t last_seq;
    uint32_t core;
    tgw_handle handle;
    uint64_t began_ns, end_ns; /* times of packets count from the beginning */
    cJSON *packets;            /* since the last read */
    uint32_t kept_bytes;
    uint64_t missed; /* for want of room here */
};

/* A packet event; others than the running capture's are ignored. */
void capture_take(struct capture_box *c, const struct tgw_ev_packet *e);
void capture_drop(struct capture_box *c);

#endif
