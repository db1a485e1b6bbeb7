/* Verdicts with a store that takes its time, against a dataplane of this test's own. */
#include "bench.h"
#include <stdlib.h>

/* A store whose answers this test gives. */
struct slow {
    store_done *done[16];
    void *ctx[16];
    bool inspection[16];
    unsigned asked;
    struct claims claims;
};

static struct slow slow;

static void wait_for_test(store_done *done, void *ctx, bool inspection) {
    slow.done[slow.asked] = done;
    slow.ctx[slow.asked] = ctx;
    slow.inspection[slow.asked++] = inspection;
}

static void slow_consume(void *impl, const uint8_t *hash, const char *allocation_id, uint64_t now_s,
                         store_done *done, void *ctx) {
    (void)impl, (void)hash, (void)allocation_id, (void)now_s;
    wait_for_test(done, ctx, false);
}

static void slow_inspect(void *impl, const uint8_t *hash, uint64_t now_s, store_done *done,
                         void *ctx) {
    (void)impl, (void)hash, (void)now_s;
    wait_for_test(done, ctx, true);
}

static bool slow_is_up(const void *impl) {
    (void)impl;
    return true;
}

static void slow_close(void *impl) {
    (void)impl;
}

static void slow_window(void *impl, uint64_t seconds) {
    (void)impl, (void)seconds;
}

static const struct store_ops slow_ops = {.consume = slow_consume,
                                          .inspect = slow_inspect,
                                          .is_up = slow_is_up,
                                          .set_replay_window = slow_window,
                                          .close = slow_close};

static void begin_slow(const char *more) {
    slow = (struct slow){.claims = {.exp_s = 9999999999}};
    strcpy(slow.claims.ident.allocation_id, "a");
    strcpy(slow.claims.ident.user_id, "ann");
    bench_begin(more, (struct token_store){&slow_ops, &slow});
}

static void tell(unsigned n, enum token_state state) {
    slow.done[n](slow.ctx[n], state, state == TOKEN_VALID ? &slow.claims : NULL);
}

static void request(uint32_t index, uint8_t source) {
    struct tgw_ev_auth e = {.handle = tgw_handle_make(0, 1, index), .allocation_id = "a"};
    e.remote = (struct tgw_endpoint){.addr = {[10] = 0xff, [11] = 0xff, 10, 0, 0, source}};
    bench_say(0, &e.msg, TGW_EV_AUTH, tgw_auth_bytes(&e), 0);
    bench_turn(1000);
}

/* The reason of the next verdict, which is that session's; -1: there is none. */
static int verdict(uint32_t index) {
    union tgw_cmd cmd;
    if (!bench_command(0, TGW_CMD_VERDICT, &cmd))
        return -1;
    CU_ASSERT_EQUAL(cmd.verdict.handle, tgw_handle_make(0, 1, index));
    CU_ASSERT_EQUAL(cmd.verdict.grant[0] != 0, cmd.verdict.reason == TGW_OK);
    CU_ASSERT_EQUAL(cmd.msg.len, tgw_verdict_bytes(&cmd.verdict));
    return cmd.verdict.reason;
}

static void verdicts_come_in_the_stores_order(void) {
    begin_slow("");
    request(1, 1);
    request(2, 1);
    CU_ASSERT_EQUAL(verdict(1), -1);
    tell(1, TOKEN_USED);
    CU_ASSERT_EQUAL(verdict(2), TGW_R_token_replayed);
    bench_turn(3000000);
    tell(0, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(1), TGW_OK);
    CU_ASSERT_TRUE(bench->g.consumed[TGW_OK] == 1 && bench->g.consume_time.sum_us >= 3000);
    request(3, 1);
    tell(2, TOKEN_NO_STORE);
    CU_ASSERT_EQUAL(verdict(3), TGW_R_token_store_unavailable);
    bench_end();
}

/* All of it but the origin must be there. */
static void a_request_that_is_cut_short_is_none(void) {
    union tgw_event e = {.auth = {.handle = tgw_handle_make(0, 1, 1), .allocation_id = "a"}};
    const size_t origin_at = offsetof(struct tgw_ev_auth, origin);
    begin_slow("");
    for (int i = 0; i < 2; i++) {
        bench_say(0, &e.msg, TGW_EV_AUTH, i ? sizeof(e.auth) + 1 : origin_at, 0);
        bench_turn(1000);
        CU_ASSERT_EQUAL(slow.asked, 0);
    }
    bench_say(0, &e.msg, TGW_EV_AUTH, origin_at + 1, 0);
    bench_turn(1000);
    CU_ASSERT_EQUAL(slow.asked, 1);
    tell(0, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(1), TGW_OK);
    bench_end();
}

/* The client left, or the dataplane was started anew, while the store was asked. */
static void nobody_waits_for_some(void) {
    begin_slow("");
    request(1, 1);
    struct tgw_ev_auth_gone gone = {.handle = tgw_handle_make(0, 1, 1)};
    bench_say(0, &gone.msg, TGW_EV_AUTH_GONE, sizeof(gone), 0);
    bench_turn(1000);
    request(1, 1); /* the same handle: another request */
    tell(0, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(1), -1);
    tell(1, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(1), TGW_OK);
    request(2, 1);
    bench->g.bridge.epoch++;
    tell(2, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(2), -1);
    CU_ASSERT_EQUAL(bench->g.waiting.used, 0);
    bench_end();
}

static void users_have_so_many_sessions(void) {
    begin_slow(",\"sessions_per_user\": 1");
    request(1, 1);
    request(2, 2);
    CU_ASSERT_TRUE(slow.inspection[0] && slow.inspection[1]);
    tell(0, TOKEN_VALID); /* looked at: now it is consumed */
    tell(1, TOKEN_VALID); /* no room any more, though the first is not open yet */
    CU_ASSERT_EQUAL(verdict(2), TGW_R_rate_limited);
    CU_ASSERT_TRUE_FATAL(slow.asked == 3 && !slow.inspection[2]);
    tell(2, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(1), TGW_OK);
    request(3, 2);
    tell(3, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(3), TGW_R_rate_limited);
    struct tgw_ev_refused refused = {.handle = tgw_handle_make(0, 1, 1),
                                     .reason = TGW_R_upstream_unavailable};
    bench_say(0, &refused.msg, TGW_EV_REFUSED, sizeof(refused), 0);
    bench_turn(1000);
    request(4, 2); /* the agent refused the first one: there is room */
    tell(4, TOKEN_VALID);
    tell(5, TOKEN_USED); /* somebody else was quicker */
    CU_ASSERT_EQUAL(verdict(4), TGW_R_token_replayed);
    CU_ASSERT_EQUAL(live_count_user(&bench->g.live, "ann"), 0);
    request(5, 2);
    tell(6, TOKEN_USED); /* consumed for its exact reason */
    tell(7, TOKEN_USED);
    CU_ASSERT_EQUAL(verdict(5), TGW_R_token_replayed);
    bench_end();
}

static void users_ask_so_often(void) {
    begin_slow(",\"rate_per_user\": 1, \"rate_burst\": 1");
    request(1, 1);
    tell(0, TOKEN_VALID);
    tell(1, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(1), TGW_OK);
    request(2, 2);
    tell(2, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(2), TGW_R_rate_limited);
    CU_ASSERT_EQUAL(slow.asked, 3); /* not consumed */
    bench_turn(UINT64_C(1100000000));
    request(3, 2);
    tell(3, TOKEN_VALID);
    tell(4, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(3), TGW_OK);
    bench_end();
}

static void sources_have_their_limits_before_any_token(void) {
    begin_slow(",\"sessions_per_source\": 2, \"rate_per_source\": 1, \"rate_burst\": 3");
    request(1, 1);
    request(2, 1);
    request(3, 1); /* two are under way */
    CU_ASSERT_EQUAL(verdict(3), TGW_R_rate_limited);
    CU_ASSERT_EQUAL(slow.asked, 2);
    tell(0, TOKEN_UNKNOWN);
    CU_ASSERT_EQUAL(verdict(1), TGW_R_token_invalid);
    request(4, 1); /* the third of the burst */
    tell(2, TOKEN_VALID);
    CU_ASSERT_EQUAL(verdict(4), TGW_OK);
    tell(1, TOKEN_UNKNOWN);
    CU_ASSERT_EQUAL(verdict(2), TGW_R_token_invalid);
    request(5, 1);
    CU_ASSERT_EQUAL(verdict(5), TGW_R_rate_limited);
    request(6, 2);
    CU_ASSERT_EQUAL(slow.asked, 4);
    tell(3, TOKEN_MISMATCH);
    CU_ASSERT_EQUAL(verdict(6), TGW_R_token_allocation_mismatch);
    CU_ASSERT_EQUAL(
        live_count_source(&bench->g.live,
                          &(struct tgw_endpoint){.addr = {[10] = 0xff, [11] = 0xff, 10, 0, 0, 1}}),
        1);
    bench_end();
}

/* The same allocations are in at every request, and a larger share holds the smaller one. */
static void the_share_is_stable(void) {
    unsigned in[3] = {0};
    begin_slow("");
    for (unsigned n = 0; n < 2000; n++) {
        static const uint32_t percent[] = {10, 30, 100};
        bool before = false;
        for (int p = 0; p < 3; p++) {
            struct tgw_ev_auth e = {.handle = tgw_handle_make(0, 1, n)};
            snprintf(e.allocation_id, sizeof(e.allocation_id), "alloc-%u", n);
            bench->g.state.admit_percent = percent[p];
            slow.asked = 0;
            bench_say(0, &e.msg, TGW_EV_AUTH, sizeof(e), 0);
            bench_turn(1000);
            bool now = slow.asked > 0;
            CU_ASSERT_TRUE(now || !before);
            before = now;
            in[p] += now;
            int v = now ? (tell(0, TOKEN_UNKNOWN), verdict(n)) : verdict(n);
            CU_ASSERT_EQUAL(v, now ? TGW_R_token_invalid : TGW_R_not_admitted);
        }
    }
    CU_ASSERT_TRUE(in[0] > 140 && in[0] < 260 && in[1] > 520 && in[1] < 680 && in[2] == 2000);
    bench_end();
}

int main(void) {
    static const struct suite_case cases[] = {
        {"verdicts come in the store's order", verdicts_come_in_the_stores_order},
        {"a request that is cut short is none", a_request_that_is_cut_short_is_none},
        {"nobody waits for some", nobody_waits_for_some},
        {"users have so many sessions", users_have_so_many_sessions},
        {"users ask so often", users_ask_so_often},
        {"sources have their limits before any token", sources_have_their_limits_before_any_token},
        {"the share is stable", the_share_is_stable},
    };
    return suite_run("control/auth", cases, sizeof(cases) / sizeof(cases[0]));
}
