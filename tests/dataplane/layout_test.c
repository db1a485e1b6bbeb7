/* False sharing: what two threads (or processes) write lies in different cache lines. */
#include "core/lines.h"
#include "session/session.h"
#include "shm_region.h"
#include "tcp/tcp.h"
#include "tests/lib/suite.h"
#include "worker.h"
#include <stddef.h>
#include <unistd.h>

enum { LINE = 64, CORES = 3 };

#define END(type, field) (offsetof(type, field) + sizeof(((type *)0)->field))

static bool apart(size_t first_end, size_t second_start) {
    return (first_end - 1) / LINE < second_start / LINE;
}

static void the_regions_writers_are_apart(void) {
    /* Set once; the main thread; the control process; set once. */
    CU_ASSERT_TRUE(
        apart(END(struct tgw_shm, sessions_max), offsetof(struct tgw_shm, dataplane_beat_ns)));
    CU_ASSERT_TRUE(apart(END(struct tgw_shm, port), offsetof(struct tgw_shm, control_epoch)));
    CU_ASSERT_TRUE(apart(END(struct tgw_shm, control_applied), offsetof(struct tgw_shm, core)));
}

static void a_rings_ends_are_apart(void) {
    CU_ASSERT_TRUE(apart(END(struct tgw_ring, head), offsetof(struct tgw_ring, tail)));
    CU_ASSERT_TRUE(apart(END(struct tgw_ring, tail), offsetof(struct tgw_ring, slots)));
}

static void signals_are_apart_from_answers(void) {
    CU_ASSERT_TRUE(
        apart(END(struct worker_signals, stop), offsetof(struct worker_signals, sessions_left)));
    CU_ASSERT_EQUAL(sizeof(struct worker_signals) % LINE, 0); /* an array of them */
}

/* Each begins a pair of lines and has all of its last: nothing of another core's is in it. */
static void lines_are_whole(void) {
    uint8_t *a = lines_zalloc(3, 50), *b = lines_zalloc(1, 1);
    CU_ASSERT_PTR_NOT_NULL_FATAL(a);
    CU_ASSERT_PTR_NOT_NULL_FATAL(b);
    CU_ASSERT_EQUAL((uintptr_t)a % LINES_BYTES, 0);
    CU_ASSERT_EQUAL((uintptr_t)b % LINES_BYTES, 0);
    CU_ASSERT_EQUAL(a[149], 0);
    CU_ASSERT_PTR_NULL(lines_zalloc(SIZE_MAX / 4, 8));
    free(a);
    free(b);
}

/* As two workers have them, one made after the other. */
static void two_cores_rooms_are_apart(void) {
    const struct session_config sc = {.sessions_max = 10};
    const struct session_env env = {0};
    struct tcp_config tc;
    tcp_config_defaults(&tc);
    tc.connections_max = 10;
    for (int core = 0; core < 2; core++) {
        struct session_table *sessions = session_table_create(&sc, &env, 0);
        struct tcp_stack *tcp = tcp_create(&tc, NULL, 0);
        CU_ASSERT_PTR_NOT_NULL_FATAL(sessions);
        CU_ASSERT_PTR_NOT_NULL_FATAL(tcp);
        CU_ASSERT_EQUAL((uintptr_t)sessions % LINES_BYTES, 0);
        CU_ASSERT_EQUAL((uintptr_t)tcp % LINES_BYTES, 0);
        session_table_destroy(sessions);
        tcp_destroy(tcp);
    }
}

/* Counters, command ring and event ring of all cores: none begins in another's last line. */
static void the_cores_parts_are_apart(void) {
    struct shm_region r;
    char path[64], err[200] = "";
    snprintf(path, sizeof(path), "/tmp/tgw-layout.%d", (int)getpid());
    CU_ASSERT_TRUE_FATAL(shm_region_create(&r, path, CORES, err, sizeof(err)));
    uint64_t last_end = sizeof(struct tgw_shm);
    for (uint32_t i = 0; i < CORES; i++) {
        const struct tgw_shm_core *c = &r.shm->core[i];
        CU_ASSERT_TRUE(apart(last_end, c->counters_off));
        CU_ASSERT_TRUE(apart(c->counters_off + sizeof(struct tgw_counters), c->cmd_ring_off));
        CU_ASSERT_TRUE(apart(c->cmd_ring_off + tgw_ring_bytes(TGW_CMD_SLOTS, TGW_CMD_SLOT_BYTES),
                             c->event_ring_off));
        last_end = c->event_ring_off + tgw_ring_bytes(TGW_EVENT_SLOTS, TGW_EVENT_SLOT_BYTES);
        CU_ASSERT_TRUE(last_end <= r.bytes);
    }
    CU_ASSERT_EQUAL((uintptr_t)r.shm % LINE, 0);
    shm_region_destroy(&r);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"the region's writers are apart", the_regions_writers_are_apart},
        {"a ring's ends are apart", a_rings_ends_are_apart},
        {"signals are apart from answers", signals_are_apart_from_answers},
        {"lines are whole", lines_are_whole},
        {"two cores' rooms are apart", two_cores_rooms_are_apart},
        {"the cores' parts are apart", the_cores_parts_are_apart},
    };
    return suite_run("dataplane/layout", cases, sizeof(cases) / sizeof(cases[0]));
}
