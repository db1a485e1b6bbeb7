#include "command.h"
#include "table.h"
#include <ctype.h>
#include <string.h>

static const cJSON *at(const cJSON *o, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static double number(const cJSON *o, const char *key) {
    const cJSON *v = at(o, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static const char *text(const cJSON *o, const char *key) {
    const char *s = cJSON_GetStringValue(at(o, key));
    return s ? s : "-";
}

static void duration(double s, char out[32]) {
    unsigned long n = s > 0 && s < 1e12 ? (unsigned long)s : 0;
    if (n < 60)
        snprintf(out, 32, "%lus", n);
    else if (n < 3600)
        snprintf(out, 32, "%lum%02lus", n / 60, n % 60);
    else if (n < 86400)
        snprintf(out, 32, "%luh%02lum", n / 3600, n / 60 % 60);
    else
        snprintf(out, 32, "%lud%02luh", n / 86400, n / 3600 % 24);
}

static void add_duration(struct table *t, const cJSON *value) {
    char out[32];
    if (cJSON_IsNumber(value))
        duration(value->valuedouble, out);
    table_add(t, "%s", cJSON_IsNumber(value) ? out : "-");
}

static void add_dataplane(struct table *t, const cJSON *d) {
    table_add(t, "dataplane");
    if (cJSON_IsTrue(at(d, "attached")))
        table_add(t, "attached, pid %.0f, %.0f cores, %.0f sessions at most", number(d, "pid"),
                  number(d, "cores"), number(d, "sessions_max"));
    else
        table_add(t, "not attached");
}

static void add_ready(struct table *t, const cJSON *s) {
    char reasons[TABLE_CELL_BYTES - 8];
    json_text(at(s, "reasons"), reasons, sizeof(reasons));
    table_add(t, "ready");
    if (cJSON_IsTrue(at(s, "ready")))
        table_add(t, "yes");
    else
        table_add(t, "no: %s", reasons);
}

static void add_draining(struct table *t, const cJSON *s) {
    char left[32];
    const cJSON *deadline = at(s, "drain_deadline_s");
    table_add(t, "draining");
    if (!cJSON_IsTrue(at(s, "draining"))) {
        table_add(t, "no");
    } else if (!cJSON_IsNumber(deadline)) {
        table_add(t, "yes");
    } else {
        duration(deadline->valuedouble, left);
        table_add(t, "yes, %s left", left);
    }
}

void show_status(FILE *out, const cJSON *s) {
    struct table t;
    char up[32];
    const char *revision = cJSON_GetStringValue(at(s, "revision"));
    const cJSON *store = at(s, "token_store");
    table_init(&t, 2);
    add_ready(&t, s);
    duration(number(s, "uptime_s"), up);
    table_add(&t, "version");
    table_add(&t, "%s%s%s, up %s", text(s, "version"), revision ? " " : "",
              revision ? revision : "", up);
    add_dataplane(&t, at(s, "dataplane"));
    table_add(&t, "sessions");
    table_add(&t, "%.0f, %.0f being set up", number(s, "sessions"), number(s, "pending"));
    add_draining(&t, s);
    table_add(&t, "admission");
    table_add(&t, "%.0f %%", number(s, "admit_percent"));
    table_add(&t, "token store");
    table_add(&t, "%s, %s", text(store, "kind"),
              cJSON_IsTrue(at(store, "ok")) ? "available" : "unavailable");
    table_print(&t, out);
}

/* Headings in capitals; a key's unit says how the value is shown. */
static void add_heading(struct table *t, const char *key) {
    char heading[TABLE_CELL_BYTES];
    size_t n = 0;
    for (; key[n] && n + 1 < sizeof(heading); n++)
        heading[n] = (char)(key[n] == '_' ? ' ' : toupper((unsigned char)key[n]));
    heading[n] = 0;
    table_add(t, "%s", heading);
}

void show_sessions(FILE *out, const cJSON *result) {
    static const char *const keys[] = {"id",     "allocation_id",  "user_id",
                                       "remote", "mode",           "age_s",
                                       "idle_s", "bytes_to_agent", "bytes_to_client"};
    enum { COLUMNS = sizeof(keys) / sizeof(keys[0]) };
    struct table t;
    const cJSON *session;
    table_init(&t, COLUMNS);
    for (size_t i = 0; i < COLUMNS; i++) {
        bool age = strcmp(keys[i], "age_s") == 0, idle = strcmp(keys[i], "idle_s") == 0;
        add_heading(&t, age ? "age" : idle ? "idle" : keys[i]);
    }
    cJSON_ArrayForEach(session, at(result, "sessions")) {
        for (size_t i = 0; i < COLUMNS; i++) {
            if (strcmp(keys[i], "age_s") == 0 || strcmp(keys[i], "idle_s") == 0)
                add_duration(&t, at(session, keys[i]));
            else
                table_add_json(&t, at(session, keys[i]));
        }
    }
    table_print(&t, out);
    if (cJSON_IsTrue(at(result, "truncated")))
        fputs("(there are more: the list is cut)\n", out);
}

static void show_pairs(FILE *out, const cJSON *object) {
    struct table t;
    const cJSON *v;
    table_init(&t, 2);
    cJSON_ArrayForEach(v, object) {
        if (cJSON_IsObject(v))
            continue;
        table_add(&t, "%s", v->string);
        table_add_json(&t, v);
    }
    table_print(&t, out);
}

void show_session(FILE *out, const cJSON *s) {
    const cJSON *client = at(s, "client"), *agent = at(s, "agent"), *v;
    const cJSON *fields = cJSON_IsObject(client) ? client : agent;
    struct table t;
    show_pairs(out, s);
    if (!cJSON_IsObject(fields))
        return;
    table_init(&t, 3);
    table_add(&t, "LEG");
    table_add(&t, "CLIENT");
    table_add(&t, "AGENT");
    cJSON_ArrayForEach(v, fields) {
        table_add(&t, "%s", v->string);
        table_add_json(&t, at(client, v->string));
        table_add_json(&t, at(agent, v->string));
    }
    fputc('\n', out);
    table_print(&t, out);
}

/* The columns are the first port's keys: a new counter shows without a change here. */
void show_ports(FILE *out, const cJSON *result) {
    const cJSON *ports = at(result, "ports"), *first = cJSON_GetArrayItem(ports, 0), *port, *v;
    struct table t;
    if (!first) {
        fputs("no ports: the dataplane is not attached\n", out);
        return;
    }
    table_init(&t, (size_t)cJSON_GetArraySize(first));
    size_t n = 0;
    for (v = first->child; v && n < t.columns; v = v->next, n++)
        add_heading(&t, v->string);
    cJSON_ArrayForEach(port, ports) {
        n = 0;
        for (v = first->child; v && n < t.columns; v = v->next, n++)
            table_add_json(&t, at(port, v->string));
    }
    table_print(&t, out);
}

/* Not a table: a list of origins may be longer than a cell. */
void show_config(FILE *out, const cJSON *config) {
    size_t width = 0;
    const cJSON *v;
    cJSON_ArrayForEach(v, config) {
        width = strlen(v->string) > width ? strlen(v->string) : width;
    }
    cJSON_ArrayForEach(v, config) {
        char *value = cJSON_PrintUnformatted(v);
        if (value)
            text_sanitize(value);
        fprintf(out, "%-*s  %s\n", (int)width, v->string, value ? value : "-");
        cJSON_free(value);
    }
}

void show_token(FILE *out, const cJSON *result) {
    fprintf(out, "state: ");
    char state[32];
    snprintf(state, sizeof(state), "%s", text(result, "state"));
    text_sanitize(state);
    fprintf(out, "%s\n", state);
    if (cJSON_IsObject(at(result, "claims")))
        show_pairs(out, at(result, "claims"));
}
