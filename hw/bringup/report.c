#include "bringup.h"
#include <cjson/cJSON.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {"pass", "FAIL", "note"}, *const json_names[] = {"pass", "fail",
                                                                                    "note"};

struct finding *report_add(struct report *r, const char *subject, const char *check,
                           enum bringup_state state, const char *format, ...) {
    struct finding *f = &r->at[r->count < FINDINGS_MAX ? r->count++ : FINDINGS_MAX - 1];
    va_list v;
    *f = (struct finding){.state = state};
    snprintf(f->subject, sizeof(f->subject), "%s", subject);
    snprintf(f->check, sizeof(f->check), "%s", check);
    va_start(v, format);
    vsnprintf(f->detail, sizeof(f->detail), format, v);
    va_end(v);
    return f;
}

void report_fix(struct finding *f, const char *format, ...) {
    va_list v;
    va_start(v, format);
    vsnprintf(f->fix, sizeof(f->fix), format, v);
    va_end(v);
}

bool report_failed(const struct report *r) {
    for (uint32_t i = 0; i < r->count; i++)
        if (r->at[i].state == BRINGUP_FAIL)
            return true;
    return false;
}

static void print_json(const struct report *r, FILE *out) {
    cJSON *root = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(root, "findings");
    cJSON_AddBoolToObject(root, "ok", !report_failed(r));
    for (uint32_t i = 0; i < r->count; i++) {
        const struct finding *f = &r->at[i];
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "subject", f->subject);
        cJSON_AddStringToObject(o, "check", f->check);
        cJSON_AddStringToObject(o, "state", json_names[f->state]);
        cJSON_AddStringToObject(o, "detail", f->detail);
        if (f->fix[0])
            cJSON_AddStringToObject(o, "fix", f->fix);
        cJSON_AddItemToArray(list, o);
    }
    char *text = cJSON_PrintUnformatted(root);
    fprintf(out, "%s\n", text ? text : "{}");
    free(text);
    cJSON_Delete(root);
}

void report_print(const struct report *r, FILE *out, bool json) {
    int subject = 7, check = 5;
    if (json) {
        print_json(r, out);
        return;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        int a = (int)strlen(r->at[i].subject), b = (int)strlen(r->at[i].check);
        subject = a > subject ? a : subject;
        check = b > check ? b : check;
    }
    for (uint32_t i = 0; i < r->count; i++) {
        const struct finding *f = &r->at[i];
        fprintf(out, "%s  %-*s  %-*s  %s\n", names[f->state], subject, f->subject, check, f->check,
                f->detail);
        if (f->fix[0])
            fprintf(out, "      fix: %s\n", f->fix);
    }
}
