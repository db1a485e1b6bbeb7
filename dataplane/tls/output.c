/* From what owners write to records. What one owner writes in a turn stands together in
 * the core's stage until another one writes or the turn ends, and is sealed as one record:
 * a keystroke is a small record, bulk makes large ones. */
#include "conn.h"
#include <assert.h>
#include <string.h>

enum {
    /* While the lower stream holds next to nothing, a record fits in one first flight
     * (RFC 6928: ten segments), so that the peer can open it before the next round trip. */
    RECORD_FIRST_BYTES = 4096,
    BULK_BYTES = 16384,
};

/* room() counts on it: a record of more than the room less STREAM_ROOM_LOW always makes
 * a short write, and so a writable() of the lower stream. */
_Static_assert((int)TLS_OVERHEAD_BYTES > (int)STREAM_ROOM_LOW,
               "who is told of no room gets writable");

static size_t spilled(const struct tls_conn *c) {
    const struct tls_extra *x = conn_extra(c);
    return x ? x->spill.bytes : 0;
}

bool output_emit(struct tls_conn *c, const uint8_t *data, size_t len) {
    struct tls_core *t = c->core;
    size_t took = spilled(c) ? 0 : t->lower_ops->write(c->lower, data, len);
    if (took == len)
        return true;
    struct tls_extra *x = conn_extra_make(c);
    return x && bq_append(&x->spill, &t->blocks, data + took, len - took) == len - took;
}

bool output_push_spill(struct tls_conn *c) {
    struct tls_core *t = c->core;
    struct tls_extra *x = conn_extra(c);
    const uint8_t *data;
    size_t n;
    while (x && (n = bq_peek(&x->spill, &data))) {
        size_t took = t->lower_ops->write(c->lower, data, n);
        bq_consume(&x->spill, &t->blocks, took);
        if (took < n)
            return false;
    }
    conn_extra_trim(c);
    return true;
}

static void seal(struct tls_conn *c, enum tls_content type, uint8_t *data, size_t len) {
    struct tls_core *t = c->core;
    const struct tls_key *key = conn_key(c, TLS_WRITE);
    if (key && tls_record_seal(key, c->seq[TLS_WRITE], type, data, len, t->buffers->sealed) &&
        output_emit(c, t->buffers->sealed, len + TLS_OVERHEAD_BYTES))
        c->seq[TLS_WRITE]++;
    else
        conn_fail(c, TGW_R_tls_no_memory, -1, STREAM_END_ERROR);
}

void output_record(struct tls_conn *c, enum tls_content type, uint8_t *data, size_t len) {
    struct tls_core *t = c->core;
    if (!c->lower)
        return;
    tgw_count(t->config.counters, TGW_C_tls_records_out, 1);
    if (c->state == TLS_LEGACY) {
        legacy_record(c, data, len);
        return;
    }
    /* RFC 8446 section 5.5: a key protects so many records and no more. */
    if (type == TLS_APPLICATION_DATA && c->seq[TLS_WRITE] >= t->config.records_per_key)
        message_key_update(c, false);
    if (c->lower)
        seal(c, type, data, len);
}

void output_alert(struct tls_conn *c, uint8_t level, enum tls_alert alert) {
    uint8_t message[3] = {level, (uint8_t)alert};
    output_record(c, TLS_ALERT, message, 2);
}

void output_flush(struct tls_core *t) {
    struct tls_conn *c = t->staged;
    size_t len = t->staged_len;
    t->staged = NULL;
    t->staged_len = 0;
    if (c && len)
        output_record(c, TLS_APPLICATION_DATA, t->buffers->staged, len);
}

static bool can_write(const struct tls_conn *c) {
    return (c->state == TLS_OPEN || c->state == TLS_LEGACY) && c->lower && !(c->flags & TLS_F_SHUT);
}

/* Plaintext up to the lower room, overhead not counted: what goes over it is spilled, a
 * header and a tag a record at most, and then there is no room until the spill is out. */
size_t output_room(struct tls_conn *c) {
    struct tls_core *t = c->core;
    if (!can_write(c) || spilled(c)) {
        c->flags |= TLS_F_WANT_WRITE;
        return 0;
    }
    size_t room = t->lower_ops->room(c->lower);
    size_t staged = t->staged == c ? t->staged_len : 0;
    t->room_most = room > t->room_most ? room : t->room_most;
    room = room > staged ? room - staged : 0;
    if (room < STREAM_ROOM_LOW)
        c->flags |= TLS_F_WANT_WRITE;
    return room;
}

size_t output_write(struct tls_conn *c, const uint8_t *data, size_t len) {
    struct tls_core *t = c->core;
    const size_t room = output_room(c), take = len < room ? len : room;
    const bool bulk = room + BULK_BYTES <= t->room_most;
    const size_t most = bulk ? TLS_PLAIN_BYTES_MAX : RECORD_FIRST_BYTES;
    size_t done = 0;
    if (take < len)
        c->flags |= TLS_F_WANT_WRITE;
    if (take && t->staged != c)
        output_flush(t);
    while (done < take && can_write(c)) {
        if (t->staged_len >= most)
            output_flush(t);
        size_t n = most - t->staged_len;
        n = n < take - done ? n : take - done;
        t->staged = c;
        memcpy(t->buffers->staged + t->staged_len, data + done, n);
        t->staged_len += n;
        done += n;
    }
    return done;
}

void output_shutdown(struct tls_conn *c) {
    struct tls_core *t = c->core;
    if (!can_write(c))
        return;
    output_flush(t);
    if (!can_write(c))
        return;
    c->flags |= TLS_F_SHUT;
    if (c->state == TLS_LEGACY)
        legacy_shutdown(c);
    else
        output_alert(c, 1, TLS_CLOSE_NOTIFY);
    if (c->lower && !spilled(c))
        t->lower_ops->shutdown(c->lower);
}
