#include "capture.h"
#include "audit.h"
#include "command.h"
#include <openssl/evp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

enum { SECONDS_STANDARD = 10, LINGER_NS = 100000000 };

/* Far from the numbers that queries count up from 1. */
static const uint32_t SEQ_FIRST = UINT32_C(1) << 31;

void capture_drop(struct capture_box *c) {
    cJSON_Delete(c->packets);
    *c = (struct capture_box){.last_seq = c->last_seq};
}

static bool is_valid(const struct tgw_ev_packet *e) {
    return e->kept <= sizeof(e->data) && e->out <= 1 && e->iface < TGW_PORTS_MAX &&
           e->msg.len == offsetof(struct tgw_ev_packet, data) + e->kept;
}

void capture_take(struct capture_box *c, const struct tgw_ev_packet *e) {
    char text[(TGW_PACKET_BYTES_MAX + 2) / 3 * 4 + 1];
    if (!c->seq || e->msg.seq != c->seq || !is_valid(e))
        return;
    cJSON *o = c->kept_bytes + e->kept < CAPTURE_KEPT_BYTES_MAX ? cJSON_CreateObject() : NULL;
    if (!o) {
        c->missed++;
        return;
    }
    uint64_t after_ns = e->at_ns > c->began_ns ? e->at_ns - c->began_ns : 0;
    EVP_EncodeBlock((unsigned char *)text, e->data, e->kept);
    cJSON_AddNumberToObject(o, "t_us", (double)(after_ns / 1000));
    cJSON_AddNumberToObject(o, "port", e->iface);
    cJSON_AddBoolToObject(o, "out", e->out);
    cJSON_AddNumberToObject(o, "bytes", e->frame_bytes);
    cJSON_AddStringToObject(o, "data", text);
    cJSON_AddItemToArray(c->packets, o);
    c->kept_bytes += e->kept;
}

static bool send_command(struct gateway *g, uint32_t duration_ms, bool payload) {
    const struct capture_box *c = &g->capture;
    const struct tgw_cmd_capture cmd = {
        .msg = {.type = TGW_CMD_CAPTURE, .len = sizeof(cmd), .seq = c->seq},
        .handle = c->handle,
        .duration_ms = duration_ms,
        .payload = payload};
    return bridge_send(&g->bridge, c->core, &cmd.msg);
}

static void add_ports(const struct gateway *g, cJSON *result) {
    cJSON *list = cJSON_AddArrayToObject(result, "ports");
    for (uint32_t i = 0; i < g->bridge.shm->port_count && i < TGW_PORTS_MAX; i++) {
        char name[sizeof(g->bridge.shm->port[i].name)];
        snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, g->bridge.shm->port[i].name);
        cJSON_AddItemToArray(list,
                             cJSON_CreateString(tgw_text_valid(name, sizeof(name)) ? name : ""));
    }
}

/* The session is known now: its core is told to look. */
static void begin(struct request *r, tgw_handle handle, uint32_t seconds, bool payload) {
    struct gateway *g = r->gateway;
    struct capture_box *c = &g->capture;
    capture_drop(c);
    uint32_t seq = c->last_seq < SEQ_FIRST ? SEQ_FIRST : c->last_seq + 1;
    *c = (struct capture_box){.seq = seq,
                              .last_seq = seq,
                              .core = tgw_handle_core(handle),
                              .handle = handle,
                              .began_ns = g->now_ns,
                              .end_ns = g->now_ns + seconds * UINT64_C(1000000000),
                              .packets = cJSON_CreateArray()};
    if (!send_command(g, seconds * 1000, payload)) {
        capture_drop(c);
        request_refuse(r, "unavailable", "the command ring is full");
        return;
    }
    audit(g, "capture_started", &(struct change_order){"operator", ""},
          payload ? "with payload" : "headers only");
    cJSON_AddNumberToObject(r->result, "capture", c->seq);
    cJSON_AddNumberToObject(r->result, "seconds", seconds);
    add_ports(g, r->result);
}

static void on_session(void *ctx, cJSON *result, const char *code, const char *message) {
    struct request *r = ctx;
    uint32_t seconds;
    const char *id = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(result, "id"));
    bool payload = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(r->args, "payload"));
    if (code)
        request_refuse(r, code, "%s", message);
    else if (id && request_number(r, "seconds", SECONDS_STANDARD, 1, CAPTURE_SECONDS_MAX, &seconds))
        begin(r, strtoull(id, NULL, 16), seconds, payload);
    cJSON_Delete(result);
    request_finish(r);
}

bool command_capture_start(struct request *r) {
    struct gateway *g = r->gateway;
    char session[TGW_SESSION_ID_MAX + 1];
    if (!request_text(r, "session", session, sizeof(session), NULL))
        return true;
    query_start(&g->queries, &g->bridge, QUERY_SHOW, session, g->now_ns, on_session, r);
    return false;
}

static bool is_current(struct request *r) {
    uint32_t seq;
    if (!request_number(r, "capture", 0, 0, UINT32_MAX, &seq))
        return false;
    if (seq && seq == r->gateway->capture.seq)
        return true;
    request_refuse(r, "not_found", "that capture was ended or another one was begun");
    return false;
}

/* What has come since the last read. */
bool command_capture_read(struct request *r) {
    struct gateway *g = r->gateway;
    struct capture_box *c = &g->capture;
    if (!is_current(r))
        return true;
    cJSON_AddItemToObject(r->result, "packets", c->packets);
    cJSON_AddNumberToObject(r->result, "missed", (double)c->missed);
    /* A moment longer than the core looks: its last events are still on their way. */
    cJSON_AddBoolToObject(r->result, "done", g->now_ns >= c->end_ns + LINGER_NS);
    c->packets = cJSON_CreateArray();
    c->kept_bytes = 0;
    return true;
}

bool command_capture_stop(struct request *r) {
    if (!is_current(r))
        return true;
    send_command(r->gateway, 0, false);
    capture_drop(&r->gateway->capture);
    return true;
}
