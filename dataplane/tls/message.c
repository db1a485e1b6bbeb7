/* Handshake messages on an open connection: KeyUpdate both ways, a server's tickets where
 * we are the client (they are of no use to us). Messages may be cut up among records. */
#include "conn.h"

enum { NEW_SESSION_TICKET = 4, KEY_UPDATE = 24, HEADER_BYTES = 4 };

static void refuse(struct tls_conn *c, enum tls_alert alert) {
    conn_fail(c, TGW_R_tls_record_invalid, alert, STREAM_END_ERROR);
}

bool message_under_way(const struct tls_conn *c) {
    const struct tls_extra *x = conn_extra(c);
    return x && (x->message_len || x->message_skip);
}

/* RFC 8446 section 4.6.3. `last`: it ends its record, as it must. */
static void take_key_update(struct tls_conn *c, uint8_t request, bool last) {
    if (!last || request > 1) {
        refuse(c, last ? TLS_DECODE_ERROR : TLS_UNEXPECTED_MESSAGE);
        return;
    }
    tgw_count(c->core->config.counters, TGW_C_tls_key_updates_in, 1);
    conn_next_key(c, TLS_READ);
    if (request && c->state == TLS_OPEN) {
        c->flags |= TLS_F_KEY_UPDATE_OWED;
        message_key_update_owed(c);
    }
}

/* The header is whole. */
static void take_header(struct tls_conn *c, struct tls_extra *x) {
    const uint8_t *h = x->message;
    const uint32_t len = (uint32_t)h[1] << 16 | (uint32_t)h[2] << 8 | h[3];
    if (h[0] == NEW_SESSION_TICKET && (c->flags & TLS_F_CLIENT)) {
        x->message_skip = len;
        x->message_len = 0;
    } else if (h[0] != KEY_UPDATE) {
        refuse(c, TLS_UNEXPECTED_MESSAGE);
    } else if (len != 1) {
        refuse(c, TLS_DECODE_ERROR);
    }
}

static void take_byte(struct tls_conn *c, struct tls_extra *x, uint8_t byte, bool last) {
    x->message[x->message_len++] = byte;
    if (x->message_len == HEADER_BYTES) {
        take_header(c, x);
    } else if (x->message_len > HEADER_BYTES) {
        x->message_len = 0;
        take_key_update(c, byte, last);
    }
}

void message_take(struct tls_conn *c, const uint8_t *data, size_t len) {
    struct tls_extra *x = conn_extra_make(c);
    if (!x) {
        conn_fail(c, TGW_R_tls_no_memory, TLS_INTERNAL_ERROR, STREAM_END_ERROR);
        return;
    }
    for (size_t at = 0; at < len && c->state == TLS_OPEN;) {
        size_t skip = x->message_skip < len - at ? x->message_skip : len - at;
        x->message_skip -= (uint32_t)skip;
        at += skip;
        if (skip == 0) {
            take_byte(c, x, data[at], at + 1 == len);
            at++;
        }
    }
    conn_extra_trim(c);
}

void message_key_update(struct tls_conn *c, bool request) {
    uint8_t message[HEADER_BYTES + 2] = {KEY_UPDATE, 0, 0, 1, request};
    tgw_count(c->core->config.counters, TGW_C_tls_key_updates_out, 1);
    output_record(c, TLS_HANDSHAKE, message, HEADER_BYTES + 1);
    if (c->state == TLS_OPEN)
        conn_next_key(c, TLS_WRITE);
}

/* One answer for however many requests came while none could be sent. */
void message_key_update_owed(struct tls_conn *c) {
    const uint8_t owed = TLS_F_KEY_UPDATE_OWED | TLS_F_KEY_UPDATE_ASK;
    const struct tls_extra *x = conn_extra(c);
    const bool ask = c->flags & TLS_F_KEY_UPDATE_ASK;
    if (!(c->flags & owed) || (c->flags & TLS_F_SHUT) || (x && x->spill.bytes))
        return;
    c->flags &= (uint8_t)~owed;
    output_flush(c->core);
    if (c->state == TLS_OPEN)
        message_key_update(c, ask);
}
