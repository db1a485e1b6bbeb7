/* A TLS connection as a stream end, and as the owner of the one below. */
#include "conn.h"
#include <assert.h>

static size_t op_peek(void *s, const uint8_t **data) {
    struct tls_conn *c = s;
    if (!input_open(c))
        return 0;
    const struct tls_extra *x = conn_extra(c);
    if (x && x->in.bytes)
        return bq_peek(&x->in, data);
    *data = c->core->live_at;
    return c->core->live_len;
}

static size_t op_copy(void *s, void *dst, size_t len) {
    struct tls_conn *c = s;
    while (input_unread(c) < len && input_open_more(c))
        continue;
    struct tls_extra *x = conn_extra(c);
    size_t n = x ? x->in.bytes : 0, rest = input_unread(c) - n;
    n = n < len ? n : len;
    if (n)
        bq_copy(&x->in, 0, dst, n);
    rest = rest < len - n ? rest : len - n;
    if (rest)
        memcpy((uint8_t *)dst + n, c->core->live_at, rest);
    return n + rest;
}

static void op_consume(void *s, size_t n) {
    struct tls_conn *c = s;
    struct tls_core *t = c->core;
    struct tls_extra *x = conn_extra(c);
    assert(n <= input_unread(c));
    if (x && x->in.bytes) {
        size_t kept = n < x->in.bytes ? n : x->in.bytes;
        bq_consume(&x->in, &t->blocks, kept);
        conn_extra_trim(c);
        n -= kept;
    }
    if (n) {
        t->live_at += n;
        t->live_len -= n;
    }
    if (input_unread(c))
        return;
    /* More may lie below that no event will tell of again; or the end is to be told now. */
    if (c->state == TLS_ENDED || (c->lower && t->lower_ops->unread(c->lower)))
        if (c->state != TLS_RETIRED)
            conn_due(c);
}

static size_t op_unread(void *s) {
    input_open(s);
    return input_unread(s);
}

/* A close_notify may stand behind records that nobody has opened yet. */
static bool op_at_eof(void *s) {
    struct tls_conn *c = s;
    while (!(c->flags & TLS_F_EOF) && input_unread(c) < TLS_PLAIN_BYTES_MAX && input_open_more(c))
        continue;
    return c->flags & TLS_F_EOF;
}

static size_t op_room(void *s) {
    return output_room(s);
}

static size_t op_write(void *s, const void *data, size_t len) {
    return output_write(s, data, len);
}

static void op_shutdown(void *s) {
    output_shutdown(s);
}

static void op_release(void *s) {
    struct tls_conn *c = s;
    struct tls_core *t = c->core;
    if (c->state == TLS_HANDSHAKING) {
        c->core->lower_ops->abort(c->lower);
        c->lower = NULL;
        handshake_cancel(c);
    }
    output_shutdown(c);
    const struct tls_extra *x = conn_extra(c);
    if (c->lower && !(x && x->spill.bytes)) {
        t->lower_ops->release(c->lower);
        c->lower = NULL;
    }
    conn_retire(c);
}

static void op_abort(void *s) {
    struct tls_conn *c = s;
    if (c->state == TLS_HANDSHAKING)
        handshake_cancel(c);
    if (c->lower)
        c->core->lower_ops->abort(c->lower);
    c->lower = NULL;
    conn_retire(c);
}

static void op_inspect(void *s, struct tgw_leg_state *out) {
    const struct tls_conn *c = s;
    if (c->lower)
        c->core->lower_ops->inspect(c->lower, out);
    else
        *out = (struct tgw_leg_state){.state = "CLOSED"};
    out->unread_bytes += (uint32_t)input_unread(c);
}

const struct stream_ops tls_stream_ops = {.peek = op_peek,
                                          .copy = op_copy,
                                          .consume = op_consume,
                                          .unread = op_unread,
                                          .at_eof = op_at_eof,
                                          .room = op_room,
                                          .write = op_write,
                                          .shutdown = op_shutdown,
                                          .release = op_release,
                                          .abort = op_abort,
                                          .inspect = op_inspect};

static void lower_connected(void *user) {
    handshake_connected(user);
}

static void lower_readable(void *user) {
    struct tls_conn *c = user;
    const struct stream_ops *lower = c->core->lower_ops;
    if (c->state == TLS_HANDSHAKING)
        handshake_feed(c);
    else if (c->state == TLS_RETIRED)
        lower->consume(c->lower, lower->unread(c->lower));
    else
        input_deliver(c);
}

static void lower_writable(void *user) {
    struct tls_conn *c = user;
    const struct stream_ops *lower = c->core->lower_ops;
    if (!output_push_spill(c) || c->state == TLS_HANDSHAKING)
        return;
    if (c->state == TLS_RETIRED) {
        lower->release(c->lower);
        c->lower = NULL;
        conn_retire(c);
        return;
    }
    message_key_update_owed(c);
    if (c->flags & TLS_F_SHUT) {
        lower->shutdown(c->lower);
    } else if (c->flags & TLS_F_WANT_WRITE) {
        c->flags &= (uint8_t)~TLS_F_WANT_WRITE;
        c->handler->writable(c->user);
    }
}

static void lower_closed(void *user, enum stream_end end) {
    struct tls_conn *c = user;
    c->lower = NULL;
    if (c->state == TLS_HANDSHAKING) {
        handshake_closed(c, end);
    } else if (c->state == TLS_RETIRED) {
        conn_retire(c);
    } else {
        bool cut = end == STREAM_END_OK && !(c->flags & TLS_F_EOF);
        if (cut)
            tgw_count_reason(c->core->config.counters, TGW_R_tls_truncated);
        conn_end(c, cut ? STREAM_END_RESET : end);
    }
}

const struct stream_handler tls_lower_handler = {lower_connected, lower_readable, lower_writable,
                                                 lower_closed};

void tls_set_owner(struct stream s, const struct stream_handler *handler, void *user) {
    struct tls_conn *c = s.impl;
    c->handler = handler;
    c->user = user;
}

void *tls_accept(struct tls_core *t, struct stream lower, const struct tgw_endpoint *local,
                 const struct tgw_endpoint *remote) {
    struct tls_conn *c = conn_alloc(t, lower.impl);
    assert(!t->lower_ops || t->lower_ops == lower.ops);
    t->lower_ops = lower.ops;
    if (c && handshake_begin(c, local, remote))
        return c;
    handshake_refuse(t, TGW_R_tls_overloaded, remote, t->now_ns);
    if (c) {
        c->lower = NULL;
        conn_retire(c);
    }
    return NULL;
}

struct stream tls_connect(struct tls_core *t, const struct tgw_endpoint *remote,
                          const struct stream_handler *handler, void *user) {
    struct stream none = {&tls_stream_ops, NULL};
    struct tls_conn *c = conn_alloc(t, NULL);
    if (!c || !handshake_begin(c, remote, remote)) {
        if (c)
            conn_retire(c);
        return none;
    }
    struct stream lower = t->env.dial(t->env.ctx, remote, &tls_lower_handler, c);
    if (!lower.impl) {
        handshake_cancel(c);
        conn_retire(c);
        return none;
    }
    t->lower_ops = lower.ops;
    c->lower = lower.impl;
    c->flags |= TLS_F_CLIENT;
    c->handler = handler;
    c->user = user;
    return (struct stream){&tls_stream_ops, c};
}
