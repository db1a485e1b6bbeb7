#include "control/claims.h"
#include "control/gateway.h"
#include "control/limit.h"
#include "tests/lib/suite.h"
#include <stdlib.h>

static bool parse(const char *json, struct claims *c) {
    return claims_parse(json, strlen(json), c);
}

static void what_is_printed_is_read(void) {
    struct claims c = {.exp_s = 2000000000, .has_agent = true, .session_ttl_s = 7}, got;
    strcpy(c.ident.allocation_id, "a");
    strcpy(c.ident.session_id, "s");
    strcpy(c.ident.user_id, "u");
    strcpy(c.ident.region, "r");
    strcpy(c.ident.tenant_id, "t");
    strcpy(c.ident.project_id, "p");
    strcpy(c.ident.correlation_id, "correlation");
    strcpy(c.ident.trace_id, "0af7651916cd43dd8448eb211c80319c");
    c.idle_timeout_s = 9;
    CU_ASSERT_TRUE(endpoint_parse("[fd18::1]:7681", &c.agent));
    char *json = claims_print(&c);
    CU_ASSERT_TRUE_FATAL(json && parse(json, &got));
    CU_ASSERT_EQUAL(memcmp(&c, &got, sizeof(c)), 0);
    free(json);
}

static void what_another_service_writes_is_checked(void) {
    static const char *const bad[] = {
        "",
        "7",
        "[]",
        "{}",
        "{\"exp\": 5}",
        "{\"allocation_id\": \"a\"}",
        "{\"allocation_id\": \"a\", \"exp\": 0}",
        "{\"allocation_id\": \"a\", \"exp\": -1}",
        "{\"allocation_id\": \"a\", \"exp\": \"5\"}",
        "{\"allocation_id\": \"a b\", \"exp\": 5}",
        "{\"allocation_id\": \"a\\\"\", \"exp\": 5}",
        "{\"allocation_id\": 1, \"exp\": 5}",
        "{\"allocation_id\": \"a\", \"exp\": 5, \"user_id\": []}",
        "{\"allocation_id\": \"a\", \"exp\": 5, \"agent\": \"host\"}",
        "{\"allocation_id\": \"a\", \"exp\": 5, \"agent\": 7}",
        "{\"allocation_id\": \"a\", \"exp\": 5, \"session_ttl_s\": 1e12}",
        "{\"allocation_id\": \"a\", \"exp\": 5, \"region\": \"012345678901234567890123456789012\"}",
    };
    struct claims c;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CU_ASSERT_FALSE(parse(bad[i], &c));
    CU_ASSERT_TRUE(parse("{\"allocation_id\":\"a\",\"exp\":5,\"more\":{},\"user_id\":null,"
                         "\"traceparent\":\"00-zz\"}",
                         &c));
    CU_ASSERT_TRUE(c.ident.trace_id[0] == 0 && c.ident.user_id[0] == 0 && c.exp_s == 5);
    CU_ASSERT_TRUE(parse("{\"allocation_id\":\"a\",\"exp\":5,\"traceparent\":"
                         "\"00-00000000000000000000000000000000-b7ad6b7169203331-01\"}",
                         &c));
    CU_ASSERT_EQUAL(c.ident.trace_id[0], 0);
}

static void a_limit_lets_the_burst_and_the_rate_through(void) {
    const uint64_t second = 1000000000;
    struct limit l = {0};
    uint64_t now_ns = 5 * second;
    for (int i = 0; i < 3; i++)
        CU_ASSERT_TRUE(limit_take(&l, 7, 2, 3, now_ns));
    CU_ASSERT_FALSE(limit_take(&l, 7, 2, 3, now_ns));
    CU_ASSERT_TRUE(limit_take(&l, 8, 2, 3, now_ns)); /* another's */
    CU_ASSERT_FALSE(limit_take(&l, 7, 2, 3, now_ns + second / 2 - 1000000));
    CU_ASSERT_TRUE(limit_take(&l, 7, 2, 3, now_ns + second / 2)); /* asking costs nothing */
    CU_ASSERT_FALSE(limit_take(&l, 7, 2, 3, now_ns + second / 2));
    unsigned passed = 0;
    for (uint64_t ms = 1; ms <= 10000; ms++)
        passed += limit_take(&l, 7, 2, 3, now_ns + second / 2 + ms * 1000000);
    CU_ASSERT_TRUE(passed == 20);
    CU_ASSERT_TRUE(limit_take(&l, 9, 2, 3, now_ns + 30 * second));
    CU_ASSERT_EQUAL(l.bucket.used, 1); /* the full ones are gone */
    limit_free(&l);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"what is printed is read", what_is_printed_is_read},
        {"what another service writes is checked", what_another_service_writes_is_checked},
        {"a limit lets the burst and the rate through",
         a_limit_lets_the_burst_and_the_rate_through},
    };
    return suite_run("control/claims", cases, sizeof(cases) / sizeof(cases[0]));
}
