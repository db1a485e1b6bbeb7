#include "admin.h"
#include "metrics.h"
#include <stdlib.h>
#include <string.h>

static void metrics(struct gateway *g, struct http_request *r) {
    char *text = metrics_text(g);
    if (!text) {
        http_text(r, 500, "text/plain", "no memory\n");
        return;
    }
    const struct http_answer a = {.status = 200,
                                  .content_type = "text/plain; version=0.0.4; charset=utf-8",
                                  .body = text,
                                  .body_len = strlen(text)};
    http_answer(r, &a);
}

static void health(struct gateway *g, struct http_request *r) {
    (void)g;
    http_text(r, 200, "application/json", "{\"status\":\"ok\"}\n");
}

static void readiness(struct gateway *g, struct http_request *r) {
    cJSON *o = cJSON_CreateObject();
    cJSON *reasons = cJSON_CreateArray();
    bool ready = gateway_ready(g, reasons);
    cJSON_AddStringToObject(o, "status", ready ? "ready" : "unavailable");
    cJSON_AddItemToObject(o, "reasons", reasons);
    char *text = cJSON_PrintUnformatted(o);
    http_text(r, ready ? 200 : 503, "application/json", text ? text : "{}");
    free(text);
    cJSON_Delete(o);
}

void admin_handler(void *ctx, struct http_request *r) {
    static const struct {
        const char *path;
        void (*answer)(struct gateway *g, struct http_request *r);
    } pages[] = {{"/metrics", metrics}, {"/healthz", health}, {"/readyz", readiness}};
    for (size_t i = 0; i < sizeof(pages) / sizeof(pages[0]); i++) {
        if (strcmp(r->path, pages[i].path) != 0)
            continue;
        if (strcmp(r->method, "GET") == 0)
            pages[i].answer(ctx, r);
        else
            http_text(r, 405, "text/plain", "GET only\n");
        return;
    }
    http_text(r, 404, "text/plain", "/metrics, /healthz or /readyz\n");
}
