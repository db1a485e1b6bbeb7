#include "config/config.h"
#include "tests/lib/suite.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct config c;
static char err[CONFIG_ERROR_BYTES];

static bool parse(const char *json, char *const envp[]) {
    err[0] = 0;
    return config_parse(&c, json, strlen(json), envp, err, sizeof(err));
}

static void defaults_are_good(void) {
    CU_ASSERT_TRUE_FATAL(parse("{}", NULL));
    CU_ASSERT_EQUAL(c.public_port, 80);
    CU_ASSERT_TRUE(c.huge_pages && c.allow_missing_origin);
    CU_ASSERT_STRING_EQUAL(c.token_store, "memory");
    CU_ASSERT_STRING_EQUAL(c.control_socket, "/run/tgw/control.sock");
}

static void bad_input_is_named(void) {
    static const struct {
        const char *json, *named;
    } rows[] = {
        {"{\"publik_port\":80}", "publik_port: unknown key"},
        {"{\"public_port\":0}", "public_port: expected a whole number 1..65535"},
        {"{\"public_port\":80.5}", "public_port: expected a whole number"},
        {"{\"public_port\":\"80\"}", "public_port: expected a whole number"},
        {"{\"public_port\":1,\"public_port\":2}", "public_port: given twice"},
        {"{\"huge_pages\":1}", "huge_pages: expected true or false"},
        {"{\"shm_path\":\"\"}", "shm_path: must not be empty"},
        {"{\"shm_path\":7}", "shm_path: expected a text"},
        {"{\"cores\":\"1\"}", "cores: expected a list"},
        {"{\"cores\":[1]}", "cores[0]: expected a text"},
        {"{\"token_store\":\"file\"}", "token_store: \"file\" is none of memory, redis"},
        {"{\"token_store\":\"redis\"}", "redis_url: needed"},
        {"{\"agent_default\":\"node\"}", "agent_default: expected ADDRESS:PORT"},
        {"{\"agent_networks\":[\"198.18.1.0/33\"]}", "agent_networks[0]: not a network"},
        {"{\"ports\":[{\"driver\":\"tap\",\"colour\":1}]}", "ports[0].colour: unknown key"},
        {"{\"ports\":[{\"device\":\"x\"}]}", "ports[0].driver: missing"},
        {"{\"ports\":[{\"driver\":\"tap\",\"mtu\":100}]}", "ports[0].mtu: expected 0 or 576"},
        {"{\"ports\":{}}", "ports: expected a list"},
        {"{\"worker_priority\":100}", "worker_priority: expected a whole number 0..99"},
        {"{\"worker_priority\":1,\"idle_mode\":\"spin\"}",
         "worker_priority: with idle_mode \"spin\""},
        {"{\"worker_priority\":1,\"idle_mode\":\"pause\"}",
         "worker_priority: with idle_mode \"pause\""},
        {"[]", "must be one JSON object"},
        {"{\"public_port\":80} x", "not JSON near byte 19"},
        {"{", "not JSON near byte"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_FALSE(parse(rows[i].json, NULL));
        if (!strstr(err, rows[i].named))
            printf("# %s gave: %s\n", rows[i].json, err);
        CU_ASSERT_PTR_NOT_NULL(strstr(err, rows[i].named));
    }
}

static void priority_goes_with_modes_that_sleep(void) {
    CU_ASSERT_TRUE_FATAL(parse("{}", NULL));
    CU_ASSERT_EQUAL(c.worker_priority, 0);
    CU_ASSERT_TRUE(parse("{\"worker_priority\":0,\"idle_mode\":\"spin\"}", NULL));
    CU_ASSERT_TRUE(parse("{\"worker_priority\":1}", NULL));
    CU_ASSERT_TRUE_FATAL(parse("{\"worker_priority\":99,\"idle_mode\":\"interrupt\"}", NULL));
    CU_ASSERT_EQUAL(c.worker_priority, 99);
}

static void the_environment_wins(void) {
    char *envp[] = {"HOME=/",
                    "TERMINAL_GATEWAY_DRAIN_TIMEOUT_SECONDS=7",
                    "TERMINAL_GATEWAY_ALLOWED_ORIGINS=https://a.example,https://b.example",
                    "TERMINAL_GATEWAY_HUGE_PAGES=false",
                    "TERMINAL_GATEWAY_PORTS=[{\"driver\":\"tap\",\"device\":\"t0\"}]",
                    NULL};
    CU_ASSERT_TRUE_FATAL(parse("{\"drain_timeout_seconds\":99}", envp));
    CU_ASSERT_EQUAL(c.drain_timeout_seconds, 7);
    CU_ASSERT_EQUAL(c.allowed_origins.count, 2);
    CU_ASSERT_STRING_EQUAL(c.allowed_origins.item[1], "https://b.example");
    CU_ASSERT_FALSE(c.huge_pages);
    CU_ASSERT_STRING_EQUAL(c.ports[0].name, "t0");
    char *unknown[] = {"TERMINAL_GATEWAY_NONSENSE=1", NULL};
    CU_ASSERT_FALSE(parse("{}", unknown));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "TERMINAL_GATEWAY_NONSENSE: unknown key"));
    char *wrong[] = {"TERMINAL_GATEWAY_PUBLIC_PORT=eighty", NULL};
    CU_ASSERT_FALSE(parse("{}", wrong));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "TERMINAL_GATEWAY_PUBLIC_PORT"));
}

static void secrets_are_redacted(void) {
    CU_ASSERT_TRUE_FATAL(parse("{\"redis_url\":\"redis://u:hunter2@127.0.0.1:6379/0\"}", NULL));
    char *text = config_json(&c);
    CU_ASSERT_PTR_NOT_NULL_FATAL(text);
    CU_ASSERT_PTR_NULL(strstr(text, "hunter2"));
    CU_ASSERT_PTR_NOT_NULL(strstr(text, "redis://u:***@127.0.0.1:6379/0"));
    free(text);
}

static void differences_are_listed(void) {
    static struct config other;
    struct config_change change[4];
    CU_ASSERT_TRUE_FATAL(parse("{}", NULL));
    other = c;
    CU_ASSERT_TRUE_FATAL(parse("{\"public_port\":81,\"rate_burst\":9}", NULL));
    CU_ASSERT_EQUAL(config_diff(&other, &c, change, 4), 2);
    CU_ASSERT_STRING_EQUAL(change[0].key, "public_port");
    CU_ASSERT_FALSE(change[0].live);
    CU_ASSERT_TRUE(change[1].live);
}

static void a_missing_file_is_said(void) {
    CU_ASSERT_FALSE(config_load(&c, "/nonexistent/tgw.json", NULL, err, sizeof(err)));
    CU_ASSERT_PTR_NOT_NULL(strstr(err, "/nonexistent/tgw.json: No such file"));
}

int main(void) {
    static const struct suite_case cases[] = {
        {"defaults are good", defaults_are_good},
        {"bad input is named", bad_input_is_named},
        {"a priority goes with modes that sleep", priority_goes_with_modes_that_sleep},
        {"the environment wins", the_environment_wins},
        {"secrets are redacted", secrets_are_redacted},
        {"differences are listed", differences_are_listed},
        {"a missing file is said", a_missing_file_is_said},
    };
    return suite_run("config", cases, sizeof(cases) / sizeof(cases[0]));
}
