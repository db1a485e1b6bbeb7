/* Which keystrokes neither the rig nor the gateway was held up over. A stall is a turn of
 * the rig's loop, or by its own count a stretch of the gateway's, that took longer than the
 * work in it could: the machine under it had the CPU. What was due before it ended is
 * disturbed, and what is due behind it until the queue that it left is gone: for some times
 * its length, and for as long as more keystrokes are under way than there were before (rings
 * overflow, and what is lost takes a timeout to come again). */
#ifndef TGW_RIG_CALM_H
#define TGW_RIG_CALM_H

#include "contract/counters.h"
#include "contract/limits.h"
#include <stdbool.h>

enum {
    CALM_STALL_US = 50,   /* a turn may take so long, */
    CALM_SEGMENT_US = 1,  /* and so much longer for each segment in or out */
    CALM_RECOVERY = 4,    /* times its length is what a stall's queue has to go: up to 80 % load */
    CALM_QUEUE_MORE = 16, /* under way, above twice as many as before the stall: still a queue */
};

struct stalls {
    uint64_t count, total_ns, longest_ns;
};

struct calm {
    const struct tgw_counters *gateway[TGW_CORES_MAX]; /* none: out of sight */
    uint32_t cores;
    uint64_t tsc_hz;            /* the gateway's */
    uint64_t count, ticks;      /* of its stalls, last seen */
    uint64_t looked_ns;         /* in the turn of */
    uint64_t turn_ns, segments; /* when the rig's turn began; of its stack until then */
    bool by_kernel;             /* of the rig's turns only those without a segment can be stalls */
    uint64_t release_ns;        /* what was due before is disturbed */
    double under_way;           /* keystrokes, while nothing is disturbed */
    struct stalls rig, by_gateway; /* since calm_clear */
};

void calm_init(struct calm *c);
/* Count from now on; what is past still disturbs. */
void calm_clear(struct calm *c, uint64_t now_ns);
/* A turn of the rig begins; its stack has seen so many segments, so many keystrokes are under
 * way. */
void calm_turn(struct calm *c, uint64_t now_ns, uint64_t segments, uint64_t under_way);
/* An answer is here to what was due at due_ns: was it undisturbed? */
bool calm_kept(struct calm *c, uint64_t now_ns, uint64_t due_ns);

#endif
