/* The course of a run: sessions are opened at the plan's rate, the load begins, settles,
 * is measured, ends; then everything is taken down. */
#ifndef TGW_RIG_PACE_H
#define TGW_RIG_PACE_H

#include "rig.h"

enum phase { PHASE_WAIT, PHASE_RAMP, PHASE_SETTLE, PHASE_MEASURE, PHASE_DOWN, PHASE_DONE };

struct pace {
    struct rig *rig;
    enum phase phase;
    uint64_t phase_ns;      /* when the phase began */
    uint64_t load_ns, next; /* open loop: start, number of the next keystroke */
    uint32_t cursor;        /* ramp, load's start, taking down */
    uint32_t typing;        /* sessions that type */
    uint64_t random;
    bool starved, interrupted; /* tokens ran out; SIGINT */
};

void pace_init(struct pace *p, struct rig *rig);
void pace_turn(struct pace *p);
extern const char *const phase_names[];

#endif
