/* An agent's answer to our upgrade (RFC 6455 section 4.1). */
#include "http1_priv.h"
#include "web/ws.h"
#include <string.h>

static bool status_line(struct head *h, uint16_t *status) {
    struct text line;
    if (!head_line(h, &line) || line.len < 12 || memcmp(line.at, "HTTP/1.1 ", 9) != 0)
        return false;
    *status = 0;
    for (int i = 9; i < 12; i++) {
        if (line.at[i] < '0' || line.at[i] > '9')
            return false;
        *status = (uint16_t)(*status * 10 + (line.at[i] - '0'));
    }
    return line.len == 12 || line.at[12] == ' ';
}

bool http1_answer_parse(const uint8_t *head, size_t len, const char *ws_key, const char *protocol,
                        struct http1_answer *a) {
    struct head h = {(const char *)head, (const char *)head + len};
    struct text name, value;
    char accept[29];
    bool upgrade = false, connection = false, foreign = false;
    unsigned accepts = 0, accepted = 0;
    int got;
    *a = (struct http1_answer){0};
    if (!status_line(&h, &a->status))
        return false;
    ws_accept(ws_key, strlen(ws_key), accept);
    while ((got = head_field(&h, &name, &value)) > 0) {
        if (text_is_ci(name, "upgrade"))
            upgrade |= text_is_ci(value, "websocket");
        else if (text_is_ci(name, "connection"))
            connection |= list_has_ci(value, "upgrade");
        else if (text_is_ci(name, "sec-websocket-accept"))
            accepts++, accepted += text_is(value, accept);
        else if (text_is_ci(name, "sec-websocket-extensions"))
            foreign = true;
        else if (text_is_ci(name, "sec-websocket-protocol"))
            foreign |= !protocol || !text_is(value, protocol);
    }
    a->upgrade = a->status == 101 && upgrade && connection && accepts == 1 && accepted && !foreign;
    return got == 0;
}
