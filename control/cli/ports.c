/* Ports: what they count, and what a probe of them finds. */
#include "command.h"
#include "table.h"
#include <string.h>

static const char *text(const cJSON *o, const char *key) {
    const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, key));
    return s ? s : "-";
}

enum cli_exit run_ports(struct cli *c, const char *const *arg) {
    (void)arg;
    return cli_call_and_show(c, "ports", NULL, show_ports, NULL);
}

/* What the number of a check counts. */
static void add_value(struct table *t, const cJSON *check) {
    static const struct {
        const char *check, *unit;
    } units[] = {{"link", "Mbit/s"}, {"echo", "us"}, {"tcp", "us"}, {"mtu", "bytes"}};
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(check, "value");
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (strcmp(units[i].check, text(check, "check")) != 0 || !cJSON_IsNumber(v) ||
            v->valuedouble <= 0)
            continue;
        table_add(t, "%.0f %s", v->valuedouble, units[i].unit);
        return;
    }
    table_add(t, "-");
}

static void add_rows(struct table *t, const char *port, const cJSON *checks) {
    const cJSON *check;
    cJSON_ArrayForEach(check, checks) {
        table_add(t, "%s", port);
        table_add(t, "%s", text(check, "title"));
        table_add(t, "%s", text(check, "state"));
        add_value(t, check);
    }
}

/* Below the table: a cell is too short for them. */
static void print_fixes(FILE *out, const char *port, const cJSON *checks) {
    const cJSON *check;
    cJSON_ArrayForEach(check, checks) {
        char line[512];
        if (!cJSON_HasObjectItem(check, "fix"))
            continue;
        snprintf(line, sizeof(line), "%.40s: %.60s: %.350s", port, text(check, "title"),
                 text(check, "fix"));
        text_sanitize(line);
        fprintf(out, "%s\n", line);
    }
}

static bool has_failed(const cJSON *checks) {
    const cJSON *check;
    cJSON_ArrayForEach(check, checks) {
        if (strcmp(text(check, "state"), "fail") == 0)
            return true;
    }
    return false;
}

/* Probe each port of `list` and put what comes of it there. */
static enum cli_exit probe_each(struct cli *c, cJSON *list) {
    enum cli_exit status = CLI_DONE, worst = CLI_DONE;
    int n = 0;
    cJSON *port;
    cJSON_ArrayForEach(port, list) {
        const cJSON *result;
        cJSON *args = cJSON_CreateObject();
        cJSON_AddNumberToObject(args, "port", n++);
        cJSON *reply = cli_call(c, "ports.probe", args, &result, &status);
        if (!reply)
            return status;
        const cJSON *item;
        cJSON_ArrayForEach(item, result) {
            cJSON_AddItemToObject(port, item->string, cJSON_Duplicate(item, true));
        }
        if (has_failed(cJSON_GetObjectItemCaseSensitive(result, "checks")))
            worst = CLI_REFUSED;
        cJSON_Delete(reply);
    }
    return worst;
}

static void show(FILE *out, const cJSON *list) {
    struct table t;
    const cJSON *port;
    table_init(&t, 4);
    table_add(&t, "PORT");
    table_add(&t, "CHECK");
    table_add(&t, "STATE");
    table_add(&t, "VALUE");
    cJSON_ArrayForEach(port, list) {
        add_rows(&t, text(port, "name"), cJSON_GetObjectItemCaseSensitive(port, "checks"));
    }
    table_print(&t, out);
    cJSON_ArrayForEach(port, list) {
        if (!cJSON_HasObjectItem(port, "neighbour"))
            fprintf(out, "%s: nobody to ask: give the port a gateway, or an agent on its network\n",
                    text(port, "name"));
        print_fixes(out, text(port, "name"), cJSON_GetObjectItemCaseSensitive(port, "checks"));
    }
}

enum cli_exit run_ports_probe(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    const cJSON *result;
    (void)arg;
    cJSON *reply = cli_call(c, "ports", NULL, &result, &status);
    if (!reply)
        return status;
    cJSON *list = cJSON_GetObjectItemCaseSensitive(result, "ports");
    bool told = cJSON_GetArraySize(list) == 0;
    status = told ? cli_refused(c, "unavailable", "no ports: the dataplane is not attached")
                  : probe_each(c, list);
    told = told ||
           (cJSON_GetArraySize(list) &&
            !cJSON_HasObjectItem(cJSON_GetArrayItem(list, cJSON_GetArraySize(list) - 1), "checks"));
    if (!told && c->inv.json)
        cli_print_json(c, result);
    else if (!told)
        show(c->out, list);
    cJSON_Delete(reply);
    return status;
}
