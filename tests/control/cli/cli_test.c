/* tgwctl whole, in this process, against a control process of the test. */
#include "control/cli/cli.h"
#include "control/cli/stalls.h"
#include "fake.h"
#include "tests/lib/suite.h"
#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OK(result) "{\"id\":%ID%,\"ok\":true,\"result\":" result "}"
#define NO(code, message)                                                                          \
    "{\"id\":%ID%,\"ok\":false,\"code\":\"" code "\",\"message\":\"" message "\"}"

enum { ARGS_MAX = 16 };

static char *out, *err;
static size_t out_len, err_len;

/* Runs "tgwctl LINE", split at spaces; what it wrote is in out and err. */
static enum cli_exit run_with(const char *line, const char *input, char *const envp[]) {
    char copy[512], *argv[ARGS_MAX] = {"tgwctl"}, *rest = NULL;
    int argc = 1;
    snprintf(copy, sizeof(copy), "%s", line);
    for (char *a = strtok_r(copy, " ", &rest); a && argc < ARGS_MAX; a = strtok_r(NULL, " ", &rest))
        argv[argc++] = a;
    free(out);
    free(err);
    FILE *in = fmemopen((void *)input, strlen(input) + 1, "r");
    FILE *o = open_memstream(&out, &out_len), *e = open_memstream(&err, &err_len);
    enum cli_exit status = cli_run(argc, argv, envp, in, o, e);
    fclose(in);
    fclose(o);
    fclose(e);
    return status;
}

static enum cli_exit run(const char *line) {
    return run_with(line, "", NULL);
}

/* One command against one reply; the request line goes to `seen`. */
static char seen[8192];
static enum cli_exit ask_with(const char *line, const char *reply, const char *input) {
    const char *const replies[] = {reply, NULL};
    char socket[160];
    struct fake f;
    if (!fake_start(&f, replies))
        abort();
    snprintf(socket, sizeof(socket), "TGW_SOCKET=%s", f.path);
    char *envp[] = {"HOME=/", socket, NULL};
    enum cli_exit status = run_with(line, input, envp);
    fake_stop(&f);
    memcpy(seen, f.seen, sizeof(seen));
    return status;
}

static enum cli_exit ask(const char *line, const char *reply) {
    return ask_with(line, reply, "");
}

static bool has(const char *text, const char *part) {
    if (!strstr(text, part))
        printf("# no \"%s\" in: %s\n", part, text);
    return strstr(text, part) != NULL;
}

static void wrong_usage_is_one_line_and_2(void) {
    static const char *const rows[][2] = {
        {"", "a command is missing"},
        {"nonsense", "unknown command \"nonsense\""},
        {"capture --session s", "capture: --session ID and -w FILE are needed"},
        {"capture --session s -w f --seconds 601", "--seconds: expected a whole number 1..600"},
        {"status --payload", "status takes no --payload"},
        {"sessions nonsense", "unknown command \"sessions nonsense\""},
        {"token", "token: a subcommand is missing"},
        {"config burn", "unknown command \"config burn\""},
        {"sessions show", "sessions show: an argument is missing"},
        {"sessions kill a b", "sessions kill: too many arguments"},
        {"status now", "status: too many arguments"},
        {"status a b c d", "too many arguments after status"},
        {"status --timeout 3", "status takes no --timeout"},
        {"status --loud", "unknown option --loud"},
        {"drain --timeout", "a value is missing after --timeout"},
        {"drain --timeout soon", "--timeout: expected a whole number 0..86400, not \"soon\""},
        {"drain --timeout -1", "--timeout: expected a whole number"},
        {"drain --timeout 86401", "--timeout: expected a whole number"},
        {"drain --timeout 1 --timeout=2", "given twice: --timeout"},
        {"admit", "admit: an argument is missing"},
        {"admit 101", "admit: expected a whole number 0..100"},
        {"admit 5.5", "admit: expected a whole number"},
        {"admit 0x10", "admit: expected a whole number"},
        {"token mint", "token mint: --allocation ID is missing"},
        {"token mint --allocation a --count 0", "--count: expected a whole number 1..10000"},
        {"token mint --allocation a --ttl x", "--ttl: expected a whole number"},
        {"token inspect -", "token inspect: no token given"},
        {"config check", "config check: --file FILE is missing"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CU_ASSERT_EQUAL(run(rows[i][0]), CLI_USAGE);
        CU_ASSERT_TRUE(has(err, rows[i][1]) && has(err, "tgwctl --help"));
        CU_ASSERT_PTR_EQUAL(strchr(err, '\n'), err + err_len - 1);
        CU_ASSERT_EQUAL(out_len, 0);
    }
    CU_ASSERT_EQUAL(run("--json admit 101"), CLI_USAGE);
    CU_ASSERT_TRUE(has(out, "{\"code\":\"usage\",\"message\":\"admit: expected"));
}

static void help_and_version_need_no_gateway(void) {
    CU_ASSERT_EQUAL(run("--help"), CLI_DONE);
    CU_ASSERT_TRUE(has(out, "token mint --allocation ID") && has(out, "exit status"));
    CU_ASSERT_EQUAL(run("drain -h"), CLI_DONE);
    CU_ASSERT_EQUAL(run("--version"), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "tgwctl " TGW_VERSION "\n");
    CU_ASSERT_EQUAL(run("--version --json"), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "{\"version\":\"" TGW_VERSION "\"}\n");
}

static void no_control_process_is_3(void) {
    CU_ASSERT_EQUAL(run("status --socket /nonexistent/x.sock"), CLI_UNREACHABLE);
    CU_ASSERT_STRING_EQUAL(err, "tgwctl: cannot reach the control process at /nonexistent/x.sock: "
                                "No such file or directory\n");
    CU_ASSERT_EQUAL(run("--socket=/nonexistent/x.sock --json undrain"), CLI_UNREACHABLE);
    CU_ASSERT_TRUE(has(out, "{\"code\":\"unreachable\",\"message\":\"cannot reach"));
    char *envp[] = {"TGW_SOCKET=/nonexistent/env.sock", NULL};
    CU_ASSERT_EQUAL(run_with("ports", "", envp), CLI_UNREACHABLE);
    CU_ASSERT_TRUE(has(err, "/nonexistent/env.sock"));
    char path[256] = "ports --socket /";
    memset(path + strlen(path), 'x', 150);
    CU_ASSERT_EQUAL(run(path), CLI_UNREACHABLE);
    CU_ASSERT_TRUE(has(err, "too long for a socket"));
}

static void a_broken_answer_is_3(void) {
    static const char *const replies[] = {
        NULL,
        "hello",
        "",
        "[]",
        "{\"id\":%ID%}",
        "{\"id\":%ID%,\"ok\":true}",
        "{\"id\":%ID%,\"ok\":false}",
        "{\"id\":999,\"ok\":true,\"result\":{}}",
        OK("7"),
        "{\"id\":%ID%,\"ok\":false,\"code\":1,\"message\":\"x\"}",
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        CU_ASSERT_EQUAL(ask("undrain", replies[i]), CLI_UNREACHABLE);
        CU_ASSERT_TRUE(has(err, i == 0 ? "closed the connection" : "its answer is not one"));
    }
}

static void a_refusal_is_1_in_both_forms(void) {
    static const char reply[] = NO("conflict", "the process is ending");
    CU_ASSERT_EQUAL(ask("undrain", reply), CLI_REFUSED);
    CU_ASSERT_STRING_EQUAL(err, "tgwctl: the process is ending\n");
    CU_ASSERT_EQUAL(out_len, 0);
    CU_ASSERT_EQUAL(ask("undrain --json", reply), CLI_REFUSED);
    CU_ASSERT_STRING_EQUAL(out, "{\"code\":\"conflict\",\"message\":\"the process is ending\"}\n");
    CU_ASSERT_EQUAL(err_len, 0);
}

#define STATUS(draining, ready, reasons)                                                           \
    OK("{\"version\":\"1.2.3\",\"revision\":\"abc\",\"uptime_s\":3725,\"dataplane\":"              \
       "{\"attached\":true,\"pid\":42,\"cores\":2,\"sessions_max\":10000},"                        \
       "\"draining\":" draining ",\"admit_percent\":75,\"sessions\":3,\"pending\":1,"              \
       "\"token_store\":{\"kind\":\"redis\",\"ok\":true},\"ready\":" ready ",\"reasons\":" reasons \
       "}")

static void status_says_whether_it_is_ready(void) {
    CU_ASSERT_EQUAL(ask("status", STATUS("false", "true", "[]")), CLI_DONE);
    CU_ASSERT_TRUE(has(out, "ready        yes\n"));
    CU_ASSERT_TRUE(has(out, "version      1.2.3 abc, up 1h02m\n"));
    CU_ASSERT_TRUE(has(out, "dataplane    attached, pid 42, 2 cores, 10000 sessions at most\n"));
    CU_ASSERT_TRUE(has(out, "sessions     3, 1 being set up\n"));
    CU_ASSERT_TRUE(has(out, "admission    75 %\n") && has(out, "token store  redis, available\n"));
    CU_ASSERT_STRING_EQUAL(seen, "{\"id\":1,\"cmd\":\"status\",\"args\":{}}\n");
    static const char unready[] =
        STATUS("true,\"drain_deadline_s\":27", "false", "[\"draining\",\"no_capacity\"]");
    CU_ASSERT_EQUAL(ask("status", unready), CLI_REFUSED);
    CU_ASSERT_TRUE(has(out, "ready        no: draining, no_capacity\n"));
    CU_ASSERT_TRUE(has(out, "draining     yes, 27s left\n"));
    CU_ASSERT_EQUAL(ask("--json status", unready), CLI_REFUSED);
    cJSON *o = cJSON_Parse(out);
    CU_ASSERT_TRUE(cJSON_IsFalse(cJSON_GetObjectItem(o, "ready")));
    cJSON_Delete(o);
    CU_ASSERT_EQUAL(ask("status", OK("{}")), CLI_REFUSED);
}

static void sessions_stand_in_columns(void) {
    static const char reply[] =
        OK("{\"sessions\":[{\"id\":\"0:7:1\",\"allocation_id\":\"a1\",\"user_id\":\"u\",\"remote\":"
           "\"198.18.0.1:5\",\"mode\":\"raw\",\"age_s\":61,\"idle_s\":2,\"bytes_to_agent\":10,"
           "\"bytes_to_client\":12345},{\"id\":\"1:9:1\",\"allocation_id\":\"\\u001b[31mlong\","
           "\"age_s\":90061,\"bytes_to_agent\":7}],\"truncated\":true}");
    CU_ASSERT_EQUAL(ask("sessions", reply), CLI_DONE);
    CU_ASSERT_TRUE(has(out, "ID     ALLOCATION ID  USER ID  REMOTE        MODE  AGE"));
    CU_ASSERT_TRUE(has(out, "0:7:1  a1             u        198.18.0.1:5  raw   1m01s"));
    CU_ASSERT_TRUE(has(out, "10            12345\n") && has(out, "1d01h"));
    CU_ASSERT_PTR_NULL(strchr(out, '\033')); /* what a client chose does not reach the terminal */
    CU_ASSERT_TRUE(has(out, "?[31mlong") && has(out, "the list is cut"));
    CU_ASSERT_EQUAL(ask("sessions list --json", reply), CLI_DONE);
    CU_ASSERT_TRUE(has(out, "\"truncated\":true}\n"));
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"sessions.list\""));
}

static void a_session_shows_both_legs(void) {
    CU_ASSERT_EQUAL(
        ask("sessions show 0:7:1", OK("{\"id\":\"0:7:1\",\"mode\":\"raw\",\"client\":{\"mss\":1460,"
                                      "\"srtt_us\":250},\"agent\":{\"mss\":8960}}")),
        CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"sessions.show\",\"args\":{\"session\":\"0:7:1\"}"));
    CU_ASSERT_TRUE(has(out, "mode  raw\n") && has(out, "LEG      CLIENT  AGENT\n"));
    CU_ASSERT_TRUE(has(out, "mss        1460   8960\n") && has(out, "srtt_us     250      -\n"));
    CU_ASSERT_EQUAL(ask("sessions kill 0:7:1", OK("{}")), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"sessions.kill\",\"args\":{\"session\":\"0:7:1\"}"));
    CU_ASSERT_EQUAL(ask("sessions kill x", NO("not_found", "no such session")), CLI_REFUSED);
}

static void drain_and_admission(void) {
    CU_ASSERT_EQUAL(ask("drain --timeout 5", OK("{\"deadline_s\":5,\"sessions\":1}")), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"drain\",\"args\":{\"timeout_s\":5}"));
    CU_ASSERT_STRING_EQUAL(out, "draining: 1 session left, closed in 5 s at the latest\n");
    CU_ASSERT_EQUAL(ask("drain", OK("{\"deadline_s\":30,\"sessions\":2}")), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"args\":{}"));
    CU_ASSERT_EQUAL(ask("undrain", OK("{}")), CLI_DONE);
    CU_ASSERT_EQUAL(ask("undrain --json", OK("{}")), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "{}\n");
    CU_ASSERT_EQUAL(ask("admit 0", OK("{}")), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"admit\",\"args\":{\"percent\":0}"));
}

static void mint_prints_a_token_a_line(void) {
    static const char reply[] =
        OK("{\"tokens\":[{\"allocation_id\":\"a\",\"token\":\"T1\",\"expires_at\":9},"
           "{\"allocation_id\":\"a\",\"token\":\"T2\",\"expires_at\":9}]}");
    static const char line[] =
        "token mint --allocation a --count=2 --user u --agent 198.18.1.1:7681 --ttl 60";
    CU_ASSERT_EQUAL(ask(line, reply), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "a T1\na T2\n");
    CU_ASSERT_TRUE(has(seen, "\"args\":{\"allocation_id\":\"a\",\"user_id\":\"u\",\"agent\":"
                             "\"198.18.1.1:7681\",\"count\":2,\"ttl_s\":60}"));
    CU_ASSERT_EQUAL(ask("token mint --allocation a --json", reply), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "{\"allocation_id\":\"a\",\"token\":\"T1\",\"expires_at\":9}\n"
                                "{\"allocation_id\":\"a\",\"token\":\"T2\",\"expires_at\":9}\n");
}

static void a_token_may_begin_with_a_dash_or_come_from_stdin(void) {
    static const char reply[] = OK("{\"state\":\"valid\",\"claims\":{\"allocation_id\":\"a\"}}");
    CU_ASSERT_EQUAL(ask("token inspect -abc", reply), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"token.inspect\",\"args\":{\"token\":\"-abc\"}"));
    CU_ASSERT_STRING_EQUAL(out, "state: valid\nallocation_id  a\n");
    CU_ASSERT_EQUAL(ask("token revoke --json --x", OK("{}")), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"args\":{\"token\":\"--x\"}"));
    CU_ASSERT_EQUAL(ask("token inspect -- --json", reply), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"args\":{\"token\":\"--json\"}"));
    CU_ASSERT_EQUAL(ask_with("token revoke -", OK("{}"), "from-stdin\n"), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"cmd\":\"token.revoke\",\"args\":{\"token\":\"from-stdin\"}"));
    CU_ASSERT_STRING_EQUAL(out, "revoked\n");
}

/* A call for the list, then one a port. */
static void probe_with(const char *first, const char *second, const char *line,
                       enum cli_exit want) {
    const char *const replies[] = {OK("{\"ports\":[{\"name\":\"client\"},{\"name\":\"node\"}]}"),
                                   first, second, NULL};
    char socket[160];
    struct fake f;
    if (!fake_start(&f, replies))
        abort();
    snprintf(socket, sizeof(socket), "TGW_SOCKET=%s", f.path);
    char *envp[] = {"HOME=/", socket, NULL};
    CU_ASSERT_EQUAL(run_with(line, "", envp), want);
    fake_stop(&f);
    memcpy(seen, f.seen, sizeof(seen));
}

#define PASSES                                                                                     \
    OK("{\"neighbour\":\"198.18.0.1:0\",\"checks\":[{\"check\":\"echo\",\"title\":\"round trip\"," \
       "\"state\":\"pass\",\"value\":140}]}")
#define FAILS                                                                                      \
    OK("{\"neighbour\":\"198.18.1.1:0\",\"checks\":[{\"check\":\"mtu\",\"title\":\"MTU\","         \
       "\"state\":"                                                                                \
       "\"fail\",\"value\":1400,\"fix\":\"lower it\"}]}")

static void ports_probe_shows_and_judges(void) {
    probe_with(PASSES, PASSES, "ports probe", CLI_DONE);
    CU_ASSERT_TRUE(has(out, "client  round trip  pass   140 us"));
    CU_ASSERT_TRUE(has(seen, "\"ports.probe\",\"args\":{\"port\":1}"));
    probe_with(PASSES, FAILS, "ports probe", CLI_REFUSED);
    CU_ASSERT_TRUE(has(out, "1400 bytes") && has(out, "node: MTU: lower it"));
    probe_with(PASSES, FAILS, "ports probe --json", CLI_REFUSED);
    CU_ASSERT_TRUE(has(out, "{\"ports\":[{\"name\":\"client\",\"neighbour\""));
    probe_with(OK("{\"checks\":[]}"), PASSES, "ports probe", CLI_DONE);
    CU_ASSERT_TRUE(has(out, "client: nobody to ask"));
    CU_ASSERT_EQUAL(ask("ports probe", OK("{\"ports\":[]}")), CLI_REFUSED);
}

static void a_core_that_was_taken_away_is_told(void) {
    struct stalls old = {0}, now = {0};
    char text[1000] = "";
    stalls_take(&old, "x 1\ndataplane_core_stalls_total{core=\"0\"} 5\n"
                      "dataplane_core_stalls_total{core=\"1\"} 5\n"
                      "dataplane_core_stall_seconds_total{core=\"0\"} 0.5\n"
                      "dataplane_core_stall_seconds_total{core=\"1\"} 0.5\n");
    stalls_take(&now, "x 1\ndataplane_core_stalls_total{core=\"0\"} 5\n"
                      "dataplane_core_stalls_total{core=\"1\"} 9\n"
                      "dataplane_core_stalls_total{core=\"99\"} 9\n"
                      "dataplane_core_stall_seconds_total{core=\"0\"} 0.5\n"
                      "dataplane_core_stall_seconds_total{core=\"1\"} 0.75\n");
    CU_ASSERT_EQUAL(now.cores, 2);
    FILE *to = fmemopen(text, sizeof(text), "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(to);
    stalls_show(to, &old, &now, 2);
    fclose(to);
    const char *quiet = strstr(text, "\ncore 0"), *taken = strstr(text, "\ncore 1");
    CU_ASSERT_PTR_NOT_NULL_FATAL(quiet);
    CU_ASSERT_PTR_NOT_NULL_FATAL(taken);
    CU_ASSERT_PTR_NOT_NULL(strstr(quiet, "0.00 %"));
    CU_ASSERT_PTR_NOT_NULL(strstr(taken, "2.0"));
    CU_ASSERT_PTR_NOT_NULL(strstr(taken, "12.50 %"));
    CU_ASSERT_PTR_NOT_NULL(strstr(taken, "0.750 s"));
}

static void ports_metrics_config_and_top(void) {
    static const char status[] = STATUS("false", "false", "[\"no_capacity\"]");
    CU_ASSERT_EQUAL(
        ask("ports", OK("{\"ports\":[{\"name\":\"client\",\"link_up\":true,\"rx_packets\":"
                        "12},{\"name\":\"n\",\"link_up\":false,\"rx_packets\":1}]}")),
        CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "NAME    LINK UP  RX PACKETS\n"
                                "client  yes              12\n"
                                "n       no                1\n");
    CU_ASSERT_EQUAL(ask("ports", OK("{\"ports\":[]}")), CLI_DONE);
    CU_ASSERT_EQUAL(ask("metrics", OK("{\"text\":\"a 1\\nb 2\\n\"}")), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "a 1\nb 2\n");
    CU_ASSERT_EQUAL(ask("config show", OK("{\"cores\":[\"1\"],\"public_port\":80}")), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, "cores        [\"1\"]\npublic_port  80\n");
    CU_ASSERT_EQUAL(ask("top --json", status), CLI_DONE);
    CU_ASSERT_TRUE(has(out, "\"admit_percent\":75"));
    CU_ASSERT_EQUAL(ask("top", status), CLI_DONE); /* no terminal here: one picture */
    CU_ASSERT_TRUE(has(out, "ready        no: no_capacity\n"));
}

static void config_check_reads_file_and_environment(void) {
    char path[] = "/tmp/tgwctl-test-config-XXXXXX", line[128];
    char *envp[] = {"TERMINAL_GATEWAY_PUBLIC_PORT=0", NULL};
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, "{\"public_port\":81}", 18) == 18);
    snprintf(line, sizeof(line), "config check --file %s", path);
    CU_ASSERT_EQUAL(run(line), CLI_DONE);
    CU_ASSERT_EQUAL(run_with(line, "", envp), CLI_REFUSED);
    CU_ASSERT_TRUE(has(err, "tgwctl: TERMINAL_GATEWAY_PUBLIC_PORT: expected a whole number"));
    CU_ASSERT_FATAL(write(fd, "x", 1) == 1);
    CU_ASSERT_EQUAL(run(line), CLI_REFUSED);
    close(fd);
    unlink(path);
    CU_ASSERT_EQUAL(run("--json config check --file /nonexistent"), CLI_REFUSED);
    CU_ASSERT_TRUE(has(out, "\"code\":\"config_invalid\""));
}

static void config_changes_are_told(void) {
    static const char changed[] =
        OK("{\"version\":3,\"changes\":[{\"key\":\"idle_timeout_seconds\",\"live\":true},"
           "{\"key\":\"public_port\",\"live\":false}]}");
    static const char table[] = "version 3\n"
                                "  idle_timeout_seconds     at once\n"
                                "  public_port              needs a restart\n";
    char path[] = "/tmp/tgwctl-test-config-XXXXXX", line[128];
    int fd = mkstemp(path);
    CU_ASSERT_FATAL(fd >= 0 && write(fd, "{\"public_port\":81}", 18) == 18);
    close(fd);
    snprintf(line, sizeof(line), "config check --file %s", path);
    CU_ASSERT_EQUAL(ask(line, changed), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, table);
    snprintf(line, sizeof(line), "config apply --file %s --why because", path);
    CU_ASSERT_EQUAL(ask(line, changed), CLI_DONE);
    CU_ASSERT_STRING_EQUAL(out, table);
    CU_ASSERT_TRUE(has(seen, "\"config\":\"{\\\"public_port\\\":81}\""));
    CU_ASSERT_TRUE(has(seen, "\"who\":\"") && has(seen, "\"why\":\"because\""));
    unlink(path);
    CU_ASSERT_EQUAL(ask("config rollback --to 2", changed), CLI_DONE);
    CU_ASSERT_TRUE(has(seen, "\"version\":2"));
    CU_ASSERT_EQUAL(ask("config freeze", NO("conflict", "frozen already")), CLI_REFUSED);
    CU_ASSERT_EQUAL(ask("config unfreeze", OK("{}")), CLI_DONE);
}

static void unwritable_output_is_not_success(void) {
    static const char *const replies[] = {
        OK("{\"tokens\":[{\"allocation_id\":\"a\",\"token\":\"T\"}]}"), NULL};
    char *argv[] = {"tgwctl", "token", "mint", "--allocation", "a", "--socket", NULL, NULL};
    struct fake f;
    FILE *full = fopen("/dev/full", "w"), *quiet = fopen("/dev/null", "w");
    CU_ASSERT_FATAL(full && quiet && fake_start(&f, replies));
    argv[6] = f.path;
    CU_ASSERT_EQUAL(cli_run(7, argv, NULL, stdin, full, quiet), CLI_REFUSED);
    fake_stop(&f);
    fclose(full);
    fclose(quiet);
}

static void a_long_answer_is_read_whole(void) {
    enum { TOKENS = 5000, ROW = 80 };
    char *reply = malloc(TOKENS * ROW + 100);
    size_t len = (size_t)sprintf(reply, "{\"id\":%%ID%%,\"ok\":true,\"result\":{\"tokens\":[");
    for (int i = 0; i < TOKENS; i++)
        len += (size_t)sprintf(reply + len, "%s{\"allocation_id\":\"a\",\"token\":\"%043d\"}",
                               i ? "," : "", i);
    sprintf(reply + len, "]}}");
    CU_ASSERT_EQUAL(ask("token mint --allocation a --count 5000", reply), CLI_DONE);
    CU_ASSERT_EQUAL(out_len, TOKENS * (43 + 3));
    free(reply);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"wrong usage is one line and exit 2", wrong_usage_is_one_line_and_2},
        {"help and version need no gateway", help_and_version_need_no_gateway},
        {"no control process is exit 3", no_control_process_is_3},
        {"a broken answer is exit 3", a_broken_answer_is_3},
        {"a refusal is exit 1 in both forms", a_refusal_is_1_in_both_forms},
        {"status says whether it is ready", status_says_whether_it_is_ready},
        {"sessions stand in columns", sessions_stand_in_columns},
        {"a session shows both legs", a_session_shows_both_legs},
        {"drain and admission", drain_and_admission},
        {"mint prints a token a line", mint_prints_a_token_a_line},
        {"a token may begin with a dash or come from stdin",
         a_token_may_begin_with_a_dash_or_come_from_stdin},
        {"ports probe shows and judges", ports_probe_shows_and_judges},
        {"a core that was taken away is told", a_core_that_was_taken_away_is_told},
        {"ports, metrics, config and top", ports_metrics_config_and_top},
        {"config check reads file and environment", config_check_reads_file_and_environment},
        {"config changes are told", config_changes_are_told},
        {"unwritable output is not success", unwritable_output_is_not_success},
        {"a long answer is read whole", a_long_answer_is_read_whole},
    };
    int failed = suite_run("control/cli", cases, sizeof(cases) / sizeof(cases[0]));
    free(out);
    free(err);
    return failed;
}
