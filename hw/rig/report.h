/* What a run measured: gathered as it goes, shown on a line a second, written as JSON. */
#ifndef TGW_RIG_REPORT_H
#define TGW_RIG_REPORT_H

#include "pace.h"
#include "watch.h"

struct point { /* one of the series: since the one before */
    double t_s;
    uint64_t answered, opened, bytes, frames, busy_cycles;
};

struct report {
    struct rig *rig;
    struct watch *watch;
    struct pace *pace;
    struct point *point;
    uint32_t points, points_max;
    uint64_t step_ns, line_ns, begin_ns, end_ns, start_ns;
    uint64_t rss_before, rss_open;
    struct tally last_tally, line_tally, tally_begin, tally_end;
    struct sample last_sample, line_sample, sample_begin, sample_end;
    struct stalls by_rig, by_gateway; /* of the window */
    enum phase phase;
};

bool report_start(struct report *r, struct rig *rig, struct watch *watch, struct pace *pace);
void report_free(struct report *r);
/* Once a turn or less often; cheap when nothing is due. */
void report_turn(struct report *r);
/* Print the summary; write plan.report if it is named. False: it cannot be written. */
bool report_finish(struct report *r, const cJSON *file, char *err, size_t err_bytes);

#endif
