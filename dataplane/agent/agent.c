#include "agent/agent.h"
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <string.h>

static void key_text(const uint8_t key[16], char out[25]) {
    EVP_EncodeBlock((unsigned char *)out, key, 16);
}

static void put_host(struct text_out *o, const struct tgw_endpoint *e) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN];
    if (memcmp(e->addr, mapped, sizeof(mapped)) == 0) {
        for (int i = 12; i < 16; i++) {
            text_put_number(o, e->addr[i]);
            text_put(o, i < 15 ? "." : ":");
        }
    } else {
        text_put(o, "[");
        text_put(o, inet_ntop(AF_INET6, e->addr, text, sizeof(text)));
        text_put(o, "]:");
    }
    text_put_number(o, e->port);
}

void agent_resource_name(const struct tgw_ident *i, char out[512]) {
    struct text_out o = {.at = out, .size = 511};
    text_put(&o, "core42:aicloud:");
    text_put(&o, i->region);
    text_put(&o, ":");
    text_put(&o, i->tenant_id);
    text_put(&o, ":");
    text_put(&o, i->project_id);
    text_put(&o, ":gpuaas/allocation:");
    text_put(&o, i->allocation_id);
    out[o.len] = 0;
}

void agent_write_request(struct text_out *o, const struct agent_request *r) {
    char key[25], resource[512];
    key_text(r->key, key);
    agent_resource_name(r->ident, resource);
    text_put(o, "GET /v1/terminal/");
    text_put(o, r->ident->allocation_id);
    text_put(o, r->mode == TGW_MODE_CHANNEL ? "?mode=channel&cols=" : "?mode=raw&cols=");
    text_put_number(o, r->cols);
    text_put(o, "&rows=");
    text_put_number(o, r->rows);
    text_put(o, " HTTP/1.1\r\nHost: ");
    put_host(o, &r->agent);
    text_put(o, "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                "Sec-WebSocket-Version: 13\r\n");
    text_put_field(o, "Sec-WebSocket-Key", key);
    text_put_field(o, "X-Session-ID", r->ident->session_id);
    text_put_field(o, "X-Correlation-ID", r->ident->correlation_id);
    text_put_field(o, "X-Resource-Name", resource);
    text_put(o, "traceparent: 00-");
    text_put(o, r->ident->trace_id);
    text_put(o, "-");
    text_put_hex(o, r->span_id, sizeof(r->span_id));
    text_put(o, "-01\r\nAuthorization: Bearer ");
    text_put(o, r->grant);
    text_put(o, "\r\n\r\n");
}

enum tgw_reason agent_read_answer(const uint8_t *data, size_t len, const uint8_t key[16],
                                  size_t *head_bytes) {
    struct http1_answer answer;
    char text[25];
    size_t head = http1_head_bytes(data, len, 0);
    *head_bytes = 0;
    if (head == 0)
        return len < AGENT_ANSWER_BYTES_MAX ? TGW_OK : TGW_R_upstream_unavailable;
    if (head > AGENT_ANSWER_BYTES_MAX)
        return TGW_R_upstream_unavailable;
    key_text(key, text);
    if (!http1_answer_parse(data, head, text, NULL, &answer))
        return TGW_R_upstream_unavailable;
    if (answer.status == 404)
        return TGW_R_allocation_not_found;
    if (!answer.upgrade)
        return TGW_R_upstream_unavailable;
    *head_bytes = head;
    return TGW_OK;
}
