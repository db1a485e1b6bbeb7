/* From the lower stream to plaintext. A record that lies in one span of the lower stream
 * is opened where it lies; the front of one that is not whole is kept here, so that the
 * lower stream's FIN in the middle of a record is seen. What the owner does not read while
 * it stands in the core's buffer is copied only when the buffer is needed again. */
#include "conn.h"
#include <assert.h>

enum { DATALESS_MAX = 32 };

static size_t live_bytes(const struct tls_conn *c) {
    return c->core->live == c ? c->core->live_len : 0;
}

size_t input_unread(const struct tls_conn *c) {
    const struct tls_extra *x = conn_extra(c);
    return (x ? x->in.bytes : 0) + live_bytes(c);
}

static void no_memory(struct tls_conn *c) {
    conn_fail(c, TGW_R_tls_no_memory, TLS_INTERNAL_ERROR, STREAM_END_ERROR);
}

void input_keep_live(struct tls_core *t) {
    struct tls_conn *c = t->live;
    size_t len = t->live_len;
    t->live = NULL; /* all read or not: what is opened next must not pass for it */
    t->live_len = 0;
    if (!c || len == 0)
        return;
    struct tls_extra *x = conn_extra_make(c);
    if (!x || bq_append(&x->in, &t->blocks, t->live_at, len) < len)
        no_memory(c);
}

static bool invalid(struct tls_conn *c, enum tls_alert alert) {
    conn_fail(c, TGW_R_tls_record_invalid, alert, STREAM_END_ERROR);
    return false;
}

/* Move lower bytes to the front of the record until it has `want`. */
static bool gather(struct tls_conn *c, size_t want) {
    const struct stream_ops *lower = c->core->lower_ops;
    struct tls_extra *x = conn_extra_make(c);
    const uint8_t *data;
    size_t n;
    while (x && x->partial.bytes < want && (n = lower->peek(c->lower, &data))) {
        size_t need = want - x->partial.bytes;
        n = n < need ? n : need;
        if (bq_append(&x->partial, &c->core->blocks, data, n) < n)
            x = NULL;
        else
            lower->consume(c->lower, n);
    }
    if (!x)
        no_memory(c);
    return x && x->partial.bytes >= want;
}

/* The front record put together in buffers->cipher. Returns its bytes, 0: not whole. */
static size_t gather_record(struct tls_conn *c) {
    uint8_t header[TLS_HEADER_BYTES];
    enum tls_alert alert;
    if (!gather(c, sizeof(header)))
        return 0;
    struct tls_extra *x = conn_extra(c);
    bq_copy(&x->partial, 0, header, sizeof(header));
    size_t bytes = tls_record_bytes(header, &alert);
    if (bytes == 0)
        invalid(c, alert);
    if (bytes == 0 || !gather(c, bytes))
        return 0;
    bq_copy(&x->partial, 0, c->core->buffers->cipher, bytes);
    bq_clear(&x->partial, &c->core->blocks);
    conn_extra_trim(c);
    return bytes;
}

static bool open_record(struct tls_conn *c, const uint8_t *record, struct tls_plain *plain) {
    struct tls_core *t = c->core;
    enum tls_alert alert = TLS_INTERNAL_ERROR;
    const struct tls_key *key = conn_key(c, TLS_READ);
    if (!key || !tls_record_open(key, c->seq[TLS_READ], record, t->buffers->plain, plain, &alert))
        return invalid(c, alert);
    tgw_count(t->config.counters, TGW_C_tls_records_in, 1);
    if (++c->seq[TLS_READ] == t->config.records_per_key) { /* RFC 8446 section 5.5 */
        c->flags |= TLS_F_KEY_UPDATE_ASK;
        message_key_update_owed(c);
    }
    return true;
}

/* The next whole record, opened. False: there is none, or the connection has failed. */
static bool next_record(struct tls_conn *c, struct tls_plain *plain) {
    struct tls_core *t = c->core;
    const struct stream_ops *lower = t->lower_ops;
    const struct tls_extra *x = conn_extra(c);
    const uint8_t *data;
    enum tls_alert alert;
    size_t n = lower->peek(c->lower, &data);
    if (n >= TLS_HEADER_BYTES && !(x && x->partial.bytes)) {
        size_t bytes = tls_record_bytes(data, &alert);
        if (bytes == 0)
            return invalid(c, alert);
        if (bytes <= n) {
            bool opened = open_record(c, data, plain);
            if (c->lower)
                lower->consume(c->lower, bytes);
            return opened;
        }
    }
    return n && gather_record(c) && open_record(c, t->buffers->cipher, plain);
}

/* RFC 8446 section 6. */
static void take_alert(struct tls_conn *c, const uint8_t *alert, size_t len) {
    if (len != 2)
        invalid(c, TLS_DECODE_ERROR);
    else if (alert[1] == TLS_CLOSE_NOTIFY)
        c->flags |= TLS_F_EOF;
    else if (alert[1] != TLS_USER_CANCELED)
        conn_fail(c, TGW_R_tls_record_invalid, -1, STREAM_END_RESET);
}

static void take_record(struct tls_conn *c, const struct tls_plain *plain) {
    struct tls_core *t = c->core;
    if (plain->type != TLS_HANDSHAKE && message_under_way(c)) { /* section 5.1 */
        invalid(c, TLS_UNEXPECTED_MESSAGE);
    } else if (plain->type == TLS_APPLICATION_DATA && plain->len) {
        c->dataless = 0;
        t->live = c;
        t->live_at = t->buffers->plain;
        t->live_len = plain->len;
    } else if (++c->dataless > DATALESS_MAX) {
        invalid(c, TLS_UNEXPECTED_MESSAGE);
    } else if (plain->type == TLS_HANDSHAKE && plain->len) {
        message_take(c, t->buffers->plain, plain->len);
    } else if (plain->type == TLS_ALERT) {
        take_alert(c, t->buffers->plain, plain->len);
    } else if (plain->type != TLS_APPLICATION_DATA) {
        invalid(c, TLS_UNEXPECTED_MESSAGE);
    }
}

static bool can_open(const struct tls_conn *c) {
    return (c->state == TLS_OPEN || c->state == TLS_LEGACY) && c->lower && !(c->flags & TLS_F_EOF);
}

/* One record, or what OpenSSL has. False: nothing to be had. */
static bool open_one(struct tls_conn *c) {
    struct tls_core *t = c->core;
    struct tls_plain plain;
    if (c->state == TLS_LEGACY) {
        size_t n = legacy_open(c);
        if (n == 0)
            return false;
        t->live = c;
        t->live_at = t->buffers->plain;
        t->live_len = n;
        return true;
    }
    if (!next_record(c, &plain))
        return false;
    take_record(c, &plain);
    return true;
}

bool input_open_more(struct tls_conn *c) {
    const struct tls_core *t = c->core;
    input_keep_live(c->core);
    while (can_open(c)) {
        if (!open_one(c))
            return false;
        if (t->live == c)
            return true;
    }
    return false;
}

bool input_open(struct tls_conn *c) {
    return input_unread(c) || input_open_more(c);
}

/* After close_notify nothing counts; a FIN without one cuts the connection off. */
static void check_end(struct tls_conn *c) {
    const struct stream_ops *lower = c->core->lower_ops;
    if (!c->lower)
        return;
    if (c->flags & TLS_F_EOF)
        lower->consume(c->lower, lower->unread(c->lower));
    else if (lower->at_eof(c->lower) && lower->unread(c->lower) == 0)
        conn_fail(c, TGW_R_tls_truncated, -1, STREAM_END_RESET);
}

void input_deliver(struct tls_conn *c) {
    const bool was_eof = c->flags & TLS_F_EOF;
    bool data = input_open(c);
    check_end(c);
    if (data || (!was_eof && (c->flags & TLS_F_EOF)))
        c->handler->readable(c->user);
}
