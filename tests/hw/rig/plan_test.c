#include "hw/rig/plan.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <string.h>

#define MACHINE                                                                                    \
    "\"machine\":{\"ports\":[{\"name\":\"client\",\"driver\":\"sim\",\"addresses\":"               \
    "[\"198.18.0.1/24\"]}]},\"region\":\"/dev/shm/x\",\"verdicts\":true"

static struct plan p;
static char err[300];

static bool parse(const char *keys, char *const overrides[]) {
    char text[2000];
    cJSON *file = NULL;
    snprintf(text, sizeof(text), "{%s%s%s}", MACHINE, keys[0] ? "," : "", keys);
    bool good = plan_parse(&p, text, overrides, &file, err, sizeof(err));
    cJSON_Delete(file);
    return good;
}

static void defaults_stand(void) {
    CU_ASSERT_TRUE_FATAL(parse("", NULL));
    CU_ASSERT_EQUAL(p.scenario, SCENARIO_echo);
    CU_ASSERT_EQUAL(p.play, PLAY_both);
    CU_ASSERT_EQUAL(p.sessions, 100);
    CU_ASSERT_EQUAL(p.window, 1);
    CU_ASSERT_STRING_EQUAL(p.clients, "10.64.0.0/16");
    CU_ASSERT_EQUAL(p.machine.port_count, 1);
}

static void overrides_win(void) {
    char *const o[] = {"sessions=7", "scenario=flood", "name=night run", NULL};
    CU_ASSERT_TRUE_FATAL(parse("\"sessions\":9", o));
    CU_ASSERT_EQUAL(p.sessions, 7);
    CU_ASSERT_EQUAL(p.scenario, SCENARIO_flood);
    CU_ASSERT_STRING_EQUAL(p.name, "night run");
}

static void a_mixed_run_types_five_times_a_second(void) {
    CU_ASSERT_TRUE_FATAL(parse("\"scenario\":\"mixed\",\"sessions\":1000", NULL));
    CU_ASSERT_EQUAL(p.rate_per_s, 5000);
    CU_ASSERT_TRUE_FATAL(parse("\"scenario\":\"mixed\",\"rate_per_s\":10", NULL));
    CU_ASSERT_EQUAL(p.rate_per_s, 10);
}

static void faults_are_named(void) {
    static const struct {
        const char *keys, *says;
    } rows[] = {
        {"\"sesions\":1", "sesions: unknown key"},
        {"\"sessions\":0", "sessions: expected 1..4000000"},
        {"\"sessions\":\"ten\"", "sessions: expected 1..4000000"},
        {"\"scenario\":\"dance\"", "scenario: no such value"},
        {"\"gateway\":\"198.18.0.2\"", "gateway: expected ADDRESS:PORT"},
        {"\"clients\":\"10.64.0.1/16\"", "clients: expected a network"},
        {"\"verdicts\":1", "verdicts: expected true or false"},
        {"\"verdicts\":false", "tokens: needed"},
        {"\"region\":\"\"", "verdicts: needs region"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_FALSE(parse(rows[i].keys, NULL));
        CU_ASSERT_PTR_NOT_NULL(strstr(err, rows[i].says));
    }
    char *const bad[] = {"sessions", NULL};
    CU_ASSERT_FALSE(parse("", bad));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "expected KEY=VALUE"));
}

static void endpoints_are_read(void) {
    struct ip_addr a;
    uint16_t port;
    CU_ASSERT_TRUE(plan_endpoint("[fd18::2]:443", &a, &port));
    CU_ASSERT_EQUAL(port, 443);
    CU_ASSERT_EQUAL(a.b[15], 2);
    CU_ASSERT_FALSE(plan_endpoint("198.18.0.2:0", &a, &port));
    CU_ASSERT_FALSE(plan_endpoint("nowhere:80", &a, &port));
}

int main(void) {
    static const struct suite_case cases[] = {
        {"defaults stand", defaults_stand},
        {"overrides win", overrides_win},
        {"a mixed run types five times a second", a_mixed_run_types_five_times_a_second},
        {"faults are named", faults_are_named},
        {"endpoints are read", endpoints_are_read},
    };
    return suite_run("rig/plan", cases, sizeof(cases) / sizeof(cases[0]));
}
