/* The control process's gateway on virtual time, against a dataplane of this test's own
 * behind the real shared region. */
#include "bench.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/versions.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CORES = BENCH_CORES, SECOND = 1000000000 };

static const struct token_store embedded = {0};
static const struct change_order order = {"ann", "a test"};

static void begin(void) {
    bench_begin("", embedded);
}

static tgw_handle say_session(uint32_t core, uint32_t index, uint32_t seq, const char *session_id) {
    struct tgw_ev_session e = {.handle = tgw_handle_make(core, 1, index), .age_us = 5000000};
    snprintf(e.ident.session_id, sizeof(e.ident.session_id), "%s", session_id);
    strcpy(e.ident.user_id, "ann");
    strcpy(e.client.state, "ESTABLISHED");
    bench_say(core, &e.msg, TGW_EV_SESSION, sizeof(e), seq);
    return e.handle;
}

static void say_list_end(uint32_t core, uint32_t seq) {
    struct tgw_ev_list_end e = {.core = core};
    bench_say(core, &e.msg, TGW_EV_LIST_END, sizeof(e), seq);
}

static void say_done(uint32_t core, uint32_t seq, enum tgw_reason r) {
    struct tgw_ev_done e = {.reason = (uint16_t)r};
    bench_say(core, &e.msg, TGW_EV_DONE, sizeof(e), seq);
}

struct got {
    unsigned calls;
    cJSON *result;
    char code[32];
};

static void on_done(void *ctx, cJSON *result, const char *code, const char *message) {
    struct got *got = ctx;
    (void)message;
    got->calls++;
    cJSON_Delete(got->result);
    got->result = result;
    snprintf(got->code, sizeof(got->code), "%s", code ? code : "");
}

static void ask(enum query_kind kind, const char *session, struct got *got) {
    query_start(&bench->g.queries, &bench->g.bridge, kind, session, bench->now_ns, on_done, got);
}

static void take_sync_lists(void) {
    union tgw_cmd cmd;
    for (uint32_t i = 0; i < CORES; i++)
        CU_ASSERT_TRUE(bench_command(i, TGW_CMD_LIST, &cmd));
}

static void a_list_gathers_every_core(void) {
    struct got got = {0};
    union tgw_cmd cmd;
    begin();
    take_sync_lists();
    ask(QUERY_LIST, "", &got);
    for (uint32_t i = 0; i < CORES; i++) {
        CU_ASSERT_TRUE_FATAL(bench_command(i, TGW_CMD_LIST, &cmd));
        say_session(i, 7, cmd.msg.seq, "s");
        say_list_end(i, cmd.msg.seq);
    }
    CU_ASSERT_EQUAL(got.calls, 0);
    bench_turn(1000);
    CU_ASSERT_EQUAL_FATAL(got.calls, 1);
    const cJSON *list = cJSON_GetObjectItem(got.result, "sessions");
    CU_ASSERT_EQUAL(cJSON_GetArraySize(list), 2);
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "age_s")->valueint, 5);
    CU_ASSERT_TRUE(cJSON_IsFalse(cJSON_GetObjectItem(got.result, "truncated")));
    cJSON_Delete(got.result);
    bench_end();
}

static void a_session_is_found_by_its_id(void) {
    struct got got = {0};
    union tgw_cmd cmd;
    begin();
    take_sync_lists();
    ask(QUERY_KILL, "wanted", &got);
    CU_ASSERT_TRUE_FATAL(bench_command(0, TGW_CMD_LIST, &cmd));
    say_session(0, 1, cmd.msg.seq, "other");
    say_list_end(0, cmd.msg.seq);
    tgw_handle h = say_session(1, 2, cmd.msg.seq, "wanted");
    say_list_end(1, cmd.msg.seq);
    bench_turn(1000);
    CU_ASSERT_TRUE_FATAL(bench_command(1, TGW_CMD_KILL, &cmd));
    CU_ASSERT_EQUAL(cmd.session.handle, h);
    say_done(1, cmd.msg.seq, TGW_OK);
    bench_turn(1000);
    CU_ASSERT_TRUE(got.calls == 1 && got.code[0] == 0);
    cJSON_Delete(got.result);
    bench_end();
}

static void a_handle_goes_straight_to_its_core(void) {
    struct got got = {0};
    union tgw_cmd cmd;
    char text[20];
    begin();
    take_sync_lists();
    snprintf(text, sizeof(text), "%016lx", tgw_handle_make(1, 1, 3));
    ask(QUERY_SHOW, text, &got);
    CU_ASSERT_TRUE_FATAL(bench_command(1, TGW_CMD_SHOW, &cmd));
    say_session(1, 3, cmd.msg.seq, "s");
    bench_turn(1000);
    CU_ASSERT_EQUAL_FATAL(got.calls, 1);
    const cJSON *client = cJSON_GetObjectItem(got.result, "client");
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItem(client, "state")->valuestring, "ESTABLISHED");
    cJSON_Delete(got.result);
    bench_end();
}

static void what_does_not_answer_is_named(void) {
    struct got unknown = {0}, silent = {0}, full = {0};
    union tgw_cmd cmd;
    begin();
    take_sync_lists();
    ask(QUERY_KILL, "nobody", &unknown);
    CU_ASSERT_TRUE_FATAL(bench_command(0, TGW_CMD_LIST, &cmd));
    say_list_end(0, cmd.msg.seq);
    say_list_end(1, cmd.msg.seq);
    bench_turn(1000);
    CU_ASSERT_STRING_EQUAL(unknown.code, "not_found");
    for (int i = 0; i < QUERIES_MAX; i++)
        ask(QUERY_LIST, "", &silent);
    ask(QUERY_LIST, "", &full);
    CU_ASSERT_STRING_EQUAL(full.code, "unavailable");
    bench_turn((uint64_t)3 * SECOND);
    CU_ASSERT_EQUAL(silent.calls, QUERIES_MAX);
    CU_ASSERT_STRING_EQUAL(silent.code, "unavailable");
    say_done(0, cmd.msg.seq, TGW_OK); /* late: nobody waits */
    bench_turn(1000);
    CU_ASSERT_EQUAL(unknown.calls, 1);
    bench_end();
}

static void live_sessions_are_learnt_again(void) {
    union tgw_cmd cmd;
    begin();
    CU_ASSERT_TRUE_FATAL(bench_command(0, TGW_CMD_LIST, &cmd));
    tgw_handle h = say_session(0, 1, cmd.msg.seq, "s");
    say_session(1, 1, cmd.msg.seq, "t");
    bench_turn(1000);
    CU_ASSERT_EQUAL(live_count_user(&bench->g.live, "ann"), 2);
    struct tgw_ev_closed e = {.handle = h, .reason = TGW_R_client_closed};
    bench_say(0, &e.msg, TGW_EV_CLOSED, sizeof(e), 0);
    bench_turn(1000);
    CU_ASSERT_EQUAL(live_count_user(&bench->g.live, "ann"), 1);
    /* Events that were shed: a new list. */
    tgw_count(shm_region_counters(&bench->region, 0), TGW_C_events_lost, 3);
    bench_turn(2 * (uint64_t)SECOND);
    CU_ASSERT_TRUE(bench_command(0, TGW_CMD_LIST, &cmd));
    CU_ASSERT_EQUAL(live_count_user(&bench->g.live, "ann"), 0);
    bench_end();
}

static char last_line[2048];

static void keep_line(void *ctx, const char *line) {
    (void)ctx;
    snprintf(last_line, sizeof(last_line), "%s", line);
}

static void a_dead_connections_last_events_are_logged(void) {
    struct tgw_ev_trace e = {.remote = {.addr = {[10] = 0xff, 0xff, 198, 18, 0, 1}, .port = 1234},
                             .timeout = 1};
    begin();
    log_set_sink(keep_line, NULL);
    log_set_level("WARN");
    memset(e.text, 'x', sizeof(e.text)); /* not terminated */
    e.text[3] = '\n';
    bench_say(0, &e.msg, TGW_EV_TRACE, sizeof(e), 0);
    bench_turn(1000);
    CU_ASSERT_PTR_NOT_NULL(strstr(last_line, "\"event\":\"connection_trace\""));
    CU_ASSERT_PTR_NOT_NULL(strstr(last_line, "198.18.0.1:1234"));
    CU_ASSERT_PTR_NOT_NULL(strstr(last_line, "timed out: xxx?xxx"));
    log_set_level("ERROR");
    bench_end();
}

static void a_restart_keeps_drain_and_share(void) {
    union tgw_cmd cmd;
    begin();
    gateway_admit(&bench->g, 10, &order);
    gateway_drain(&bench->g, 60, DRAIN_STAYS, &order);
    gateway_fini(&bench->g);
    bench_start_gateway(embedded);
    bench_turn((uint64_t)20 * SECOND);
    CU_ASSERT_TRUE(bench->g.draining);
    CU_ASSERT_EQUAL(bench->g.state.admit_percent, 10);
    bool found = false;
    while (bench_command(0, TGW_CMD_POLICY, &cmd))
        found |= cmd.policy.draining && cmd.policy.drain_deadline_ms > 39000 &&
                 cmd.policy.drain_deadline_ms < 41001 && cmd.policy.admit_percent == 10;
    CU_ASSERT_TRUE(found);
    /* Another dataplane owes nothing to that drain. */
    gateway_fini(&bench->g);
    bench->region.shm->dataplane_pid = (uint32_t)getppid();
    bench_start_gateway(embedded);
    bench_turn(SECOND);
    CU_ASSERT_FALSE(bench->g.draining);
    bench_end();
}

static bool apply(const char *text, struct change_result *out) {
    return versions_apply(&bench->g, text, strlen(text), &order, out);
}

static void a_new_configuration_is_taken_where_it_can_be(void) {
    struct change_result c;
    begin();
    CU_ASSERT_EQUAL(bench->g.state.config_version, 1);
    CU_ASSERT_TRUE(apply(bench_config(",\"idle_timeout_seconds\":7,\"public_port\":99"), &c));
    CU_ASSERT_TRUE(c.version == 2 && c.changes == 2);
    CU_ASSERT_STRING_EQUAL(c.change[0].key, "public_port");
    CU_ASSERT_TRUE(!c.change[0].live && c.change[1].live);
    CU_ASSERT_EQUAL(bench->g.config.idle_timeout_seconds, 7);
    CU_ASSERT_EQUAL(bench->g.config.public_port, 80);
    /* What does not hold up changes nothing, not even the number. */
    CU_ASSERT_FALSE(apply(bench_config(",\"idle_timeout_seconds\":-1"), &c));
    CU_ASSERT_PTR_NOT_NULL(strstr(c.error, "idle_timeout_seconds"));
    CU_ASSERT_EQUAL(bench->g.config.idle_timeout_seconds, 7);
    CU_ASSERT_EQUAL(bench->g.state.config_newest, 2);
    bench_end();
}

static void a_rollback_goes_back_version_by_version(void) {
    struct change_result c;
    begin();
    CU_ASSERT_TRUE(apply(bench_config(",\"idle_timeout_seconds\":7"), &c));
    CU_ASSERT_TRUE(apply(bench_config(",\"idle_timeout_seconds\":8"), &c));
    CU_ASSERT_TRUE(versions_rollback(&bench->g, 0, &order, &c));
    CU_ASSERT_TRUE(c.version == 2 && bench->g.config.idle_timeout_seconds == 7);
    CU_ASSERT_TRUE(versions_rollback(&bench->g, 0, &order, &c));
    CU_ASSERT_TRUE(c.version == 1 && bench->g.config.idle_timeout_seconds == 3600);
    CU_ASSERT_FALSE(versions_rollback(&bench->g, 0, &order, &c));
    CU_ASSERT_FALSE(versions_rollback(&bench->g, 9, &order, &c));
    CU_ASSERT_TRUE(versions_rollback(&bench->g, 3, &order, &c));
    CU_ASSERT_EQUAL(bench->g.config.idle_timeout_seconds, 8);
    /* A restart finds the version in the file; an edit is a version of its own. */
    gateway_fini(&bench->g);
    bench_start_gateway(embedded);
    CU_ASSERT_TRUE(bench->g.state.config_version == 3 && bench->g.config.idle_timeout_seconds == 8);
    gateway_fini(&bench->g);
    bench_write(bench->file, bench_config(",\"idle_timeout_seconds\":9"));
    bench_start_gateway(embedded);
    CU_ASSERT_EQUAL(bench->g.state.config_version, 4);
    bench_end();
}

static void a_frozen_configuration_stays(void) {
    struct change_result c;
    begin();
    CU_ASSERT_TRUE(versions_freeze(&bench->g, true, &order));
    CU_ASSERT_FALSE(versions_freeze(&bench->g, true, &order));
    CU_ASSERT_FALSE(apply(bench_config(",\"idle_timeout_seconds\":7"), &c));
    CU_ASSERT_FALSE(versions_rollback(&bench->g, 1, &order, &c));
    CU_ASSERT_FALSE(versions_reload(&bench->g, &c));
    gateway_fini(&bench->g);
    bench_start_gateway(embedded);
    CU_ASSERT_TRUE(bench->g.state.frozen);
    CU_ASSERT_TRUE(versions_freeze(&bench->g, false, &order));
    CU_ASSERT_TRUE(apply(bench_config(",\"idle_timeout_seconds\":7"), &c));
    bench_end();
}

static void metrics_tell_what_happened(void) {
    begin();
    struct tgw_counters *c = shm_region_counters(&bench->region, 1);
    tgw_count_reason(c, TGW_R_token_replayed);
    tgw_count(c, TGW_C_tcp_rto, 5);
    bench->region.shm->port_count = 1;
    strcpy(bench->region.shm->port[0].name, "client");
    atomic_store(&c->cycles[TGW_STAGE_idle], 250);
    atomic_store(&c->cycles[TGW_STAGE_tcp], 750);
    bench->region.shm->tsc_hz = 2000;
    tgw_count(c, TGW_C_stalls, 3);
    tgw_count(c, TGW_C_stall_ticks, 500);
    bench_turn(2 * (uint64_t)SECOND);
    char *text = metrics_text(&bench->g);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndataplane_core_stalls_total{core=\"1\"} 3\n"));
    CU_ASSERT_PTR_NOT_NULL(
        strstr(text, "\ndataplane_core_stall_seconds_total{core=\"1\"} 0.250000\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nterminal_token_replay_rejected_total 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "{outcome=\"rejected\",reason=\"token_replayed\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntcp_rto_total 5\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndataplane_port_link_up{port=\"client\"} 0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndataplane_core_busy_ratio{core=\"1\"} 0.7500\n"));
    free(text);
    bench_end();
}

/* The dataplane names its ports and limits between the two. */
static void a_region_is_attached_when_it_is_published(void) {
    const char *path = "/tmp/tgw-unpublished-test";
    struct shm_region r;
    struct bridge seen;
    char err[200];
    CU_ASSERT_TRUE_FATAL(shm_region_create(&r, path, CORES, err, sizeof(err)));
    CU_ASSERT_FALSE(bridge_view(&seen, path, err, sizeof(err)));
    shm_region_publish(&r);
    CU_ASSERT_TRUE(bridge_view(&seen, path, err, sizeof(err)));
    CU_ASSERT_TRUE(bridge_is_current(&seen));
    tgw_shm_withdraw(r.shm);
    CU_ASSERT_FALSE(bridge_is_current(&seen));
    bridge_detach(&seen);
    shm_region_destroy(&r);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a region is attached when it is published", a_region_is_attached_when_it_is_published},
        {"a list gathers every core", a_list_gathers_every_core},
        {"a session is found by its id", a_session_is_found_by_its_id},
        {"a handle goes straight to its core", a_handle_goes_straight_to_its_core},
        {"what does not answer is named", what_does_not_answer_is_named},
        {"live sessions are learnt again", live_sessions_are_learnt_again},
        {"a dead connection's last events are logged", a_dead_connections_last_events_are_logged},
        {"a restart keeps drain and share", a_restart_keeps_drain_and_share},
        {"a new configuration is taken where it can be",
         a_new_configuration_is_taken_where_it_can_be},
        {"a rollback goes back version by version", a_rollback_goes_back_version_by_version},
        {"a frozen configuration stays", a_frozen_configuration_stays},
        {"metrics tell what happened", metrics_tell_what_happened},
    };
    return suite_run("control/gateway", cases, sizeof(cases) / sizeof(cases[0]));
}
