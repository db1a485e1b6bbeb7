#include "agent/agent.h"
#include <arpa/inet.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

static void key_text(const uint8_t key[16], char out[25]) {
    EVP_EncodeBlock((unsigned char *)out, key, 16);
}

static void put_host(struct text_out *o, const struct tgw_endpoint *e) {
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    char text[INET6_ADDRSTRLEN];
    if (memcmp(e->addr, mapped, sizeof(mapped)) == 0)
        text_printf(o, "%s:%u", inet_ntop(AF_INET, e->addr + 12, text, sizeof(text)), e->port);
    else
        text_printf(o, "[%s]:%u", inet_ntop(AF_INET6, e->addr, text, sizeof(text)), e->port);
}

void agent_resource_name(const struct tgw_ident *i, char out[512]) {
    snprintf(out, 512, "core42:aicloud:%s:%s:%s:gpuaas/allocation:%s", i->region, i->tenant_id,
             i->project_id, i->allocation_id);
}

void agent_write_request(struct text_out *o, const struct agent_request *r) {
    char key[25], resource[512];
    key_text(r->key, key);
    agent_resource_name(r->ident, resource);
    text_printf(o, "GET /v1/terminal/%s?mode=%s&cols=%u&rows=%u HTTP/1.1\r\nHost: ",
                r->ident->allocation_id, r->mode == TGW_MODE_CHANNEL ? "channel" : "raw", r->cols,
                r->rows);
    put_host(o, &r->agent);
    text_printf(o,
                "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: %s\r\nX-Session-ID: %s\r\nX-Correlation-ID: %s\r\n"
                "X-Resource-Name: %s\r\ntraceparent: 00-%s-",
                key, r->ident->session_id, r->ident->correlation_id, resource, r->ident->trace_id);
    for (size_t i = 0; i < sizeof(r->span_id); i++)
        text_printf(o, "%02x", r->span_id[i]);
    text_printf(o, "-01\r\nAuthorization: Bearer %s\r\n\r\n", r->grant);
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
