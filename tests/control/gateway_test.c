/* The control process's gateway on virtual time, against a dataplane of this test's own
 * behind the real shared region. */
#include "control/gateway.h"
#include "control/log.h"
#include "control/metrics.h"
#include "control/versions.h"
#include "dataplane/shm_region.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { CORES = 2, SECOND = 1000000000 };

struct bench {
    struct gateway g;
    struct shm_region region;
    struct tgw_ring_end cmd[CORES], event[CORES];
    uint64_t now_ns;
    char dir[64], file[80];
};

static struct bench *b;

static void start_dataplane(void) {
    char err[200];
    CU_ASSERT_TRUE_FATAL(
        shm_region_create(&b->region, b->g.config.shm_path, CORES, err, sizeof(err)));
    b->region.shm->dataplane_pid = (uint32_t)getpid();
    for (uint32_t i = 0; i < CORES; i++) {
        tgw_ring_consumer(&b->cmd[i], shm_region_cmd_ring(&b->region, i), TGW_CMD_SLOTS,
                          TGW_CMD_SLOT_BYTES);
        tgw_ring_producer(&b->event[i], shm_region_event_ring(&b->region, i), TGW_EVENT_SLOTS,
                          TGW_EVENT_SLOT_BYTES);
    }
}

/* The configuration with `more` behind its keys. */
static const char *config_with(const char *more) {
    static char json[600];
    snprintf(json, sizeof(json),
             "{\"shm_path\": \"%s/shm\", \"state_dir\": \"%s/state\","
             "\"agent_secret_file\": \"%s/secret\", \"log_level\": \"ERROR\"%s}",
             b->dir, b->dir, b->dir, more);
    return json;
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

static void start_gateway(void) {
    char err[CONFIG_ERROR_BYTES];
    b->g = (struct gateway){.config_path = b->file};
    CU_ASSERT_TRUE_FATAL(config_load(&b->g.config, b->file, NULL, err, sizeof(err)));
    log_set_level("ERROR");
    CU_ASSERT_TRUE_FATAL(gateway_init(&b->g, err, sizeof(err)));
}

static void turn(uint64_t after_ns) {
    b->now_ns += after_ns;
    gateway_turn(&b->g, b->now_ns, 1000000 + b->now_ns / SECOND);
}

static void begin(void) {
    char path[100];
    b = calloc(1, sizeof(*b));
    b->now_ns = SECOND;
    strcpy(b->dir, "/tmp/tgw-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(b->dir));
    snprintf(path, sizeof(path), "%s/secret", b->dir);
    write_file(path, "0123456789abcdef0123456789abcdef");
    snprintf(b->file, sizeof(b->file), "%s/config.json", b->dir);
    write_file(b->file, config_with(""));
    start_gateway();
    start_dataplane();
    turn(0);
}

static void end(void) {
    char command[100];
    gateway_fini(&b->g);
    shm_region_destroy(&b->region);
    snprintf(command, sizeof(command), "rm -rf %s", b->dir);
    CU_ASSERT_EQUAL(system(command), 0);
    free(b);
}

/* The next command of that type; older ones of other types are dropped. */
static bool next_command(uint32_t core, uint16_t type, union tgw_cmd *out) {
    while (tgw_ring_pop(&b->cmd[core], out))
        if (out->msg.type == type)
            return true;
    return false;
}

static void say(uint32_t core, struct tgw_msg *m, uint16_t type, size_t len, uint32_t seq) {
    *m = (struct tgw_msg){.type = type, .len = (uint16_t)len, .seq = seq};
    CU_ASSERT_TRUE(tgw_ring_push(&b->event[core], m));
}

static tgw_handle say_session(uint32_t core, uint32_t index, uint32_t seq, const char *session_id) {
    struct tgw_ev_session e = {.handle = tgw_handle_make(core, 1, index), .age_us = 5000000};
    snprintf(e.ident.session_id, sizeof(e.ident.session_id), "%s", session_id);
    strcpy(e.ident.user_id, "ann");
    strcpy(e.client.state, "ESTABLISHED");
    say(core, &e.msg, TGW_EV_SESSION, sizeof(e), seq);
    return e.handle;
}

static void say_list_end(uint32_t core, uint32_t seq) {
    struct tgw_ev_list_end e = {.core = core};
    say(core, &e.msg, TGW_EV_LIST_END, sizeof(e), seq);
}

static void say_done(uint32_t core, uint32_t seq, enum tgw_reason r) {
    struct tgw_ev_done e = {.reason = (uint16_t)r};
    say(core, &e.msg, TGW_EV_DONE, sizeof(e), seq);
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
    query_start(&b->g.queries, &b->g.bridge, kind, session, b->now_ns, on_done, got);
}

static void take_sync_lists(void) {
    union tgw_cmd cmd;
    for (uint32_t i = 0; i < CORES; i++)
        CU_ASSERT_TRUE(next_command(i, TGW_CMD_LIST, &cmd));
}

static void a_list_gathers_every_core(void) {
    struct got got = {0};
    union tgw_cmd cmd;
    begin();
    take_sync_lists();
    ask(QUERY_LIST, "", &got);
    for (uint32_t i = 0; i < CORES; i++) {
        CU_ASSERT_TRUE_FATAL(next_command(i, TGW_CMD_LIST, &cmd));
        say_session(i, 7, cmd.msg.seq, "s");
        say_list_end(i, cmd.msg.seq);
    }
    CU_ASSERT_EQUAL(got.calls, 0);
    turn(1000);
    CU_ASSERT_EQUAL_FATAL(got.calls, 1);
    const cJSON *list = cJSON_GetObjectItem(got.result, "sessions");
    CU_ASSERT_EQUAL(cJSON_GetArraySize(list), 2);
    CU_ASSERT_EQUAL(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 0), "age_s")->valueint, 5);
    CU_ASSERT_TRUE(cJSON_IsFalse(cJSON_GetObjectItem(got.result, "truncated")));
    cJSON_Delete(got.result);
    end();
}

static void a_session_is_found_by_its_id(void) {
    struct got got = {0};
    union tgw_cmd cmd;
    begin();
    take_sync_lists();
    ask(QUERY_KILL, "wanted", &got);
    CU_ASSERT_TRUE_FATAL(next_command(0, TGW_CMD_LIST, &cmd));
    say_session(0, 1, cmd.msg.seq, "other");
    say_list_end(0, cmd.msg.seq);
    tgw_handle h = say_session(1, 2, cmd.msg.seq, "wanted");
    say_list_end(1, cmd.msg.seq);
    turn(1000);
    CU_ASSERT_TRUE_FATAL(next_command(1, TGW_CMD_KILL, &cmd));
    CU_ASSERT_EQUAL(cmd.session.handle, h);
    say_done(1, cmd.msg.seq, TGW_OK);
    turn(1000);
    CU_ASSERT_TRUE(got.calls == 1 && got.code[0] == 0);
    cJSON_Delete(got.result);
    end();
}

static void a_handle_goes_straight_to_its_core(void) {
    struct got got = {0};
    union tgw_cmd cmd;
    char text[20];
    begin();
    take_sync_lists();
    snprintf(text, sizeof(text), "%016lx", tgw_handle_make(1, 1, 3));
    ask(QUERY_SHOW, text, &got);
    CU_ASSERT_TRUE_FATAL(next_command(1, TGW_CMD_SHOW, &cmd));
    say_session(1, 3, cmd.msg.seq, "s");
    turn(1000);
    CU_ASSERT_EQUAL_FATAL(got.calls, 1);
    const cJSON *client = cJSON_GetObjectItem(got.result, "client");
    CU_ASSERT_STRING_EQUAL(cJSON_GetObjectItem(client, "state")->valuestring, "ESTABLISHED");
    cJSON_Delete(got.result);
    end();
}

static void what_does_not_answer_is_named(void) {
    struct got unknown = {0}, silent = {0}, full = {0};
    union tgw_cmd cmd;
    begin();
    take_sync_lists();
    ask(QUERY_KILL, "nobody", &unknown);
    CU_ASSERT_TRUE_FATAL(next_command(0, TGW_CMD_LIST, &cmd));
    say_list_end(0, cmd.msg.seq);
    say_list_end(1, cmd.msg.seq);
    turn(1000);
    CU_ASSERT_STRING_EQUAL(unknown.code, "not_found");
    for (int i = 0; i < QUERIES_MAX; i++)
        ask(QUERY_LIST, "", &silent);
    ask(QUERY_LIST, "", &full);
    CU_ASSERT_STRING_EQUAL(full.code, "unavailable");
    turn((uint64_t)3 * SECOND);
    CU_ASSERT_EQUAL(silent.calls, QUERIES_MAX);
    CU_ASSERT_STRING_EQUAL(silent.code, "unavailable");
    say_done(0, cmd.msg.seq, TGW_OK); /* late: nobody waits */
    turn(1000);
    CU_ASSERT_EQUAL(unknown.calls, 1);
    end();
}

static void live_sessions_are_learnt_again(void) {
    union tgw_cmd cmd;
    begin();
    CU_ASSERT_TRUE_FATAL(next_command(0, TGW_CMD_LIST, &cmd));
    tgw_handle h = say_session(0, 1, cmd.msg.seq, "s");
    say_session(1, 1, cmd.msg.seq, "t");
    turn(1000);
    CU_ASSERT_EQUAL(live_count_user(&b->g.live, "ann"), 2);
    struct tgw_ev_closed e = {.handle = h, .reason = TGW_R_client_closed};
    say(0, &e.msg, TGW_EV_CLOSED, sizeof(e), 0);
    turn(1000);
    CU_ASSERT_EQUAL(live_count_user(&b->g.live, "ann"), 1);
    /* Events that were shed: a new list. */
    tgw_count(shm_region_counters(&b->region, 0), TGW_C_events_lost, 3);
    turn(2 * (uint64_t)SECOND);
    CU_ASSERT_TRUE(next_command(0, TGW_CMD_LIST, &cmd));
    CU_ASSERT_EQUAL(live_count_user(&b->g.live, "ann"), 0);
    end();
}

static void a_restart_keeps_drain_and_share(void) {
    union tgw_cmd cmd;
    begin();
    gateway_admit(&b->g, 10);
    gateway_drain(&b->g, 60, false, "test");
    gateway_fini(&b->g);
    start_gateway();
    turn((uint64_t)20 * SECOND);
    CU_ASSERT_TRUE(b->g.draining);
    CU_ASSERT_EQUAL(b->g.state.admit_percent, 10);
    bool found = false;
    while (next_command(0, TGW_CMD_POLICY, &cmd))
        found |= cmd.policy.draining && cmd.policy.drain_deadline_ms > 39000 &&
                 cmd.policy.drain_deadline_ms < 41001 && cmd.policy.admit_percent == 10;
    CU_ASSERT_TRUE(found);
    /* Another dataplane owes nothing to that drain. */
    gateway_fini(&b->g);
    b->region.shm->dataplane_pid = (uint32_t)getppid();
    start_gateway();
    turn(SECOND);
    CU_ASSERT_FALSE(b->g.draining);
    end();
}

static const struct change_order order = {"ann", "a test"};

static bool apply(const char *text, struct change_result *out) {
    return versions_apply(&b->g, text, strlen(text), &order, out);
}

static void a_new_configuration_is_taken_where_it_can_be(void) {
    struct change_result c;
    begin();
    CU_ASSERT_EQUAL(b->g.state.config_version, 1);
    CU_ASSERT_TRUE(apply(config_with(",\"idle_timeout_seconds\":7,\"public_port\":99"), &c));
    CU_ASSERT_TRUE(c.version == 2 && c.changes == 2);
    CU_ASSERT_STRING_EQUAL(c.change[0].key, "public_port");
    CU_ASSERT_TRUE(!c.change[0].live && c.change[1].live);
    CU_ASSERT_EQUAL(b->g.config.idle_timeout_seconds, 7);
    CU_ASSERT_EQUAL(b->g.config.public_port, 80);
    /* What does not hold up changes nothing, not even the number. */
    CU_ASSERT_FALSE(apply(config_with(",\"idle_timeout_seconds\":-1"), &c));
    CU_ASSERT_PTR_NOT_NULL(strstr(c.error, "idle_timeout_seconds"));
    CU_ASSERT_EQUAL(b->g.config.idle_timeout_seconds, 7);
    CU_ASSERT_EQUAL(b->g.state.config_newest, 2);
    end();
}

static void a_rollback_goes_back_version_by_version(void) {
    struct change_result c;
    begin();
    CU_ASSERT_TRUE(apply(config_with(",\"idle_timeout_seconds\":7"), &c));
    CU_ASSERT_TRUE(apply(config_with(",\"idle_timeout_seconds\":8"), &c));
    CU_ASSERT_TRUE(versions_rollback(&b->g, 0, &order, &c));
    CU_ASSERT_TRUE(c.version == 2 && b->g.config.idle_timeout_seconds == 7);
    CU_ASSERT_TRUE(versions_rollback(&b->g, 0, &order, &c));
    CU_ASSERT_TRUE(c.version == 1 && b->g.config.idle_timeout_seconds == 3600);
    CU_ASSERT_FALSE(versions_rollback(&b->g, 0, &order, &c));
    CU_ASSERT_FALSE(versions_rollback(&b->g, 9, &order, &c));
    CU_ASSERT_TRUE(versions_rollback(&b->g, 3, &order, &c));
    CU_ASSERT_EQUAL(b->g.config.idle_timeout_seconds, 8);
    /* A restart finds the version in the file; an edit is a version of its own. */
    gateway_fini(&b->g);
    start_gateway();
    CU_ASSERT_TRUE(b->g.state.config_version == 3 && b->g.config.idle_timeout_seconds == 8);
    gateway_fini(&b->g);
    write_file(b->file, config_with(",\"idle_timeout_seconds\":9"));
    start_gateway();
    CU_ASSERT_EQUAL(b->g.state.config_version, 4);
    end();
}

static void a_frozen_configuration_stays(void) {
    struct change_result c;
    begin();
    CU_ASSERT_TRUE(versions_freeze(&b->g, true, &order));
    CU_ASSERT_FALSE(versions_freeze(&b->g, true, &order));
    CU_ASSERT_FALSE(apply(config_with(",\"idle_timeout_seconds\":7"), &c));
    CU_ASSERT_FALSE(versions_rollback(&b->g, 1, &order, &c));
    CU_ASSERT_FALSE(versions_reload(&b->g, &c));
    gateway_fini(&b->g);
    start_gateway();
    CU_ASSERT_TRUE(b->g.state.frozen);
    CU_ASSERT_TRUE(versions_freeze(&b->g, false, &order));
    CU_ASSERT_TRUE(apply(config_with(",\"idle_timeout_seconds\":7"), &c));
    end();
}

static void metrics_tell_what_happened(void) {
    begin();
    struct tgw_counters *c = shm_region_counters(&b->region, 1);
    tgw_count_reason(c, TGW_R_token_replayed);
    tgw_count(c, TGW_C_tcp_rto, 5);
    b->region.shm->port_count = 1;
    strcpy(b->region.shm->port[0].name, "client");
    atomic_store(&c->cycles[TGW_STAGE_idle], 250);
    atomic_store(&c->cycles[TGW_STAGE_tcp], 750);
    turn(2 * (uint64_t)SECOND);
    char *text = metrics_text(&b->g);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\nterminal_token_replay_rejected_total 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "{outcome=\"rejected\",reason=\"token_replayed\"} 1\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ntcp_rto_total 5\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndataplane_port_link_up{port=\"client\"} 0\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "\ndataplane_core_busy_ratio{core=\"1\"} 0.7500\n"));
    free(text);
    end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"a list gathers every core", a_list_gathers_every_core},
        {"a session is found by its id", a_session_is_found_by_its_id},
        {"a handle goes straight to its core", a_handle_goes_straight_to_its_core},
        {"what does not answer is named", what_does_not_answer_is_named},
        {"live sessions are learnt again", live_sessions_are_learnt_again},
        {"a restart keeps drain and share", a_restart_keeps_drain_and_share},
        {"a new configuration is taken where it can be",
         a_new_configuration_is_taken_where_it_can_be},
        {"a rollback goes back version by version", a_rollback_goes_back_version_by_version},
        {"a frozen configuration stays", a_frozen_configuration_stays},
        {"metrics tell what happened", metrics_tell_what_happened},
    };
    return suite_run("control/gateway", cases, sizeof(cases) / sizeof(cases[0]));
}
