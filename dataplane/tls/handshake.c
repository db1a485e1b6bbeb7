/* The core's side of a handshake: bytes to a thread and back, a deadline, the hand-over. */
#include "conn.h"
#include <assert.h>
#include <openssl/crypto.h>

static struct tls_hs *hs_of(const struct tls_conn *c) {
    assert(c->state == TLS_HANDSHAKING);
    return pool_at(&c->core->handshakes, c->slot);
}

static uint32_t queued(const struct tls_core *t) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < t->links; i++)
        n += t->link[i].load;
    return n;
}

/* With the queue full there is no use in waiting for the first byte. */
bool handshake_begin(struct tls_conn *c, const struct tgw_endpoint *local,
                     const struct tgw_endpoint *remote) {
    struct tls_core *t = c->core;
    struct tls_hs *hs = queued(t) < t->config.queue_max ? pool_alloc(&t->handshakes) : NULL;
    if (!hs)
        return false;
    *hs = (struct tls_hs){.conn = c, .since_ns = t->now_ns, .local = *local, .remote = *remote};
    c->slot = pool_index(&t->handshakes, hs);
    timer_set(&t->wheel, &hs->timer,
              t->now_ns + (uint64_t)t->config.handshake_timeout_ms * 1000000);
    return true;
}

/* To the thread with the shortest queue. */
static void send_job(struct tls_core *t, struct tls_job *job) {
    struct tls_link *least = &t->link[0];
    for (uint32_t i = 1; i < t->links; i++)
        if (t->link[i].load < least->load)
            least = &t->link[i];
    tls_link_push(least, job);
}

static void release_job(struct tls_core *t, struct tls_job *job) {
    job->hs = NULL;
    job->state = TLS_JOB_RELEASE;
    job->in_len = 0;
    send_job(t, job);
}

/* The end of the handshake, either way: what it held is given back. */
static void finish(struct tls_core *t, struct tls_hs *hs) {
    timer_cancel(&t->wheel, &hs->timer);
    if (hs->job && hs->away)
        hs->job->hs = NULL; /* released when it is back */
    else if (hs->job)
        release_job(t, hs->job);
    pool_free(&t->handshakes, hs);
}

void handshake_cancel(struct tls_conn *c) {
    finish(c->core, hs_of(c));
    c->slot = TLS_NONE;
}

void handshake_refuse(struct tls_core *t, enum tgw_reason reason, const struct tgw_endpoint *remote,
                      uint64_t since_ns) {
    tgw_count_reason(t->config.counters, reason);
    if (t->env.refused)
        t->env.refused(t->env.ctx, reason, remote, since_ns);
}

static void fail(struct tls_conn *c, enum tgw_reason reason, enum stream_end end) {
    struct tls_core *t = c->core;
    const struct tls_hs hs = *hs_of(c);
    tgw_count(t->config.counters, TGW_C_tls_handshakes_failed, 1);
    handshake_cancel(c);
    if (c->flags & TLS_F_CLIENT) {
        tgw_count_reason(t->config.counters, reason);
        conn_end(c, end);
        return;
    }
    handshake_refuse(t, reason, &hs.remote, hs.since_ns);
    if (c->lower)
        c->core->lower_ops->release(c->lower); /* behind the alert, if there is one */
    c->lower = NULL;
    conn_retire(c);
}

void handshake_closed(struct tls_conn *c, enum stream_end end) {
    if (end == STREAM_END_OK)
        end = STREAM_END_RESET;
    fail(c, TGW_R_tls_handshake_failed, end);
}

void handshake_timer(void *core, struct timer *timer) {
    struct tls_conn *c = ((struct tls_hs *)timer)->conn;
    (void)core;
    fail(c, TGW_R_tls_handshake_timeout, STREAM_END_TIMEOUT);
}

static struct tls_job *take_job(struct tls_conn *c, const struct tls_hs *hs) {
    struct tls_core *t = c->core;
    if (queued(t) >= t->config.queue_max)
        return NULL;
    struct tls_job *job = pool_alloc(&t->jobs);
    if (!job)
        return NULL;
    memset(job, 0, offsetof(struct tls_job, in));
    job->client = c->flags & TLS_F_CLIENT;
    memcpy(job->agent_addr, hs->remote.addr, sizeof(job->agent_addr));
    return job;
}

/* Show the thread what has come. It is consumed when the thread says how much of it
 * belonged to the handshake. */
static void send_bytes(struct tls_conn *c, struct tls_hs *hs) {
    struct tls_core *t = c->core;
    if (!hs->job)
        hs->job = take_job(c, hs);
    if (!hs->job) {
        fail(c, TGW_R_tls_overloaded, STREAM_END_ERROR);
        return;
    }
    hs->job->hs = hs;
    hs->job->state = TLS_JOB_RUN;
    hs->job->in_len = (uint16_t)t->lower_ops->copy(c->lower, hs->job->in, TLS_JOB_IN_BYTES);
    hs->away = true;
    send_job(t, hs->job);
}

void handshake_feed(struct tls_conn *c) {
    const struct stream_ops *lower = c->core->lower_ops;
    struct tls_hs *hs = hs_of(c);
    if (hs->away)
        return;
    if (lower->unread(c->lower))
        send_bytes(c, hs);
    else if (lower->at_eof(c->lower))
        fail(c, TGW_R_tls_handshake_failed, STREAM_END_RESET);
}

/* The client speaks first. */
void handshake_connected(struct tls_conn *c) {
    send_bytes(c, hs_of(c));
}

static bool adopt(struct tls_conn *c, const struct tls_job *job) {
    struct tls_core *t = c->core;
    const size_t bytes = tls_secret_bytes(job->suite);
    const int server = 1, client = 0;
    uint8_t *both = pool_alloc(secrets_pool(t, job->suite));
    if (!both)
        return false;
    memcpy(both, job->secrets.secret[job->client ? server : client], bytes); /* TLS_READ */
    memcpy(both + bytes, job->secrets.secret[job->client ? client : server], bytes);
    c->suite = job->suite;
    c->slot = pool_index(secrets_pool(t, job->suite), both);
    c->seq[TLS_READ] = 0;
    c->seq[TLS_WRITE] = job->write_seq;
    c->state = TLS_OPEN;
    return true;
}

static void tell_owner(struct tls_conn *c, const struct tls_hs *hs) {
    struct tls_core *t = c->core;
    conn_due(c); /* what came behind the handshake; and c lives until then */
    if (c->flags & TLS_F_CLIENT) {
        c->handler->connected(c->user);
        return;
    }
    c->handler = t->env.handler;
    c->user =
        t->env.accepted(t->env.ctx, (struct stream){&tls_stream_ops, c}, &hs->local, &hs->remote);
    if (!c->user)
        tls_stream_ops.abort(c);
}

static void done(struct tls_conn *c, struct tls_job *job) {
    struct tls_core *t = c->core;
    struct tgw_counters *counters = t->config.counters;
    const struct tls_hs hs = *hs_of(c); /* where it comes from */
    const bool legacy = job->state == TLS_JOB_DONE12, resumed = job->resumed;
    struct tls_hs *own = hs_of(c);
    c->slot = TLS_NONE;
    bool adopted = legacy ? legacy_adopt(c, job) : adopt(c, job);
    finish(t, own); /* the job's secrets are wiped and its SSL object is freed */
    if (!adopted) {
        tgw_count_reason(counters, TGW_R_tls_no_memory);
        conn_end(c, STREAM_END_ERROR);
        if (!(c->flags & TLS_F_CLIENT))
            conn_retire(c);
        return;
    }
    tgw_count(counters, legacy ? TGW_C_tls_handshakes_12 : TGW_C_tls_handshakes_13, 1);
    tgw_count(counters, TGW_C_tls_resumptions, resumed);
    tell_owner(c, &hs);
}

void handshake_answer(struct tls_core *t, struct tls_job *job) {
    struct tls_hs *hs = job->hs;
    if (job->state == TLS_JOB_RELEASE) {
        pool_free(&t->jobs, job);
        return;
    }
    if (!hs) {
        release_job(t, job);
        return;
    }
    struct tls_conn *c = hs->conn;
    hs->away = false;
    t->lower_ops->consume(c->lower, job->used);
    if (job->out_len && !output_emit(c, job->out, job->out_len))
        fail(c, TGW_R_tls_no_memory, STREAM_END_ERROR);
    else if (job->state == TLS_JOB_FAILED)
        fail(c, job->reason, STREAM_END_ERROR);
    else if (job->state == TLS_JOB_RUN)
        handshake_feed(c);
    else
        done(c, job);
}
