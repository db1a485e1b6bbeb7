/* TLS of the rig's browsers: the gateway's own record layer in the client's role, so that
 * a core can hold as many as the gateway can. */
#include "rig.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { THREADS = 1, HANDSHAKES_MAX = 4096 };

static struct stream dial(void *ctx, const struct tgw_endpoint *to,
                          const struct stream_handler *handler, void *user) {
    struct rig *rig = ctx;
    return tcp_connect_from(rig->tcp, rig->now_ns, &rig->dial_from, to, handler, user);
}

static bool start_handshakes(struct rig *rig, char *err, size_t err_bytes) {
    struct tls_context_config *c = calloc(1, sizeof(*c));
    if (!c)
        return false;
    snprintf(c->agent_ca, sizeof(c->agent_ca), "%s", rig->plan.tls_ca);
    rig->tls_context = tls_context_create(c, (uint64_t)time(NULL), err, err_bytes);
    free(c);
    if (rig->tls_context)
        rig->tls_workers = tls_workers_create(rig->tls_context, THREADS, 1, HANDSHAKES_MAX, true);
    return rig->tls_workers != NULL;
}

bool secure_start(struct rig *rig, char *err, size_t err_bytes) {
    const struct tls_env env = {.dial = dial, .ctx = rig};
    struct tls_config c;
    if (!rig->plan.tls_ca[0])
        return true;
    if (!start_handshakes(rig, err, err_bytes))
        return false;
    tls_config_defaults(&c);
    c.connections_max = (uint32_t)rig->plan.sessions * 2 + 65536;
    c.handshakes_max = c.queue_max = HANDSHAKES_MAX;
    c.handshake_timeout_ms = 30000;
    c.counters = rig->counters;
    rig->tls = tls_create(&c, &env, rig->tls_workers, rig->now_ns);
    if (rig->tls)
        rig->ticket = ticket_create(rig);
    return rig->ticket != NULL;
}

bool secure_ready(struct rig *rig) {
    return !rig->ticket || ticket_ready(rig->ticket);
}

void secure_stop(struct rig *rig) {
    ticket_destroy(rig->ticket);
    if (rig->tls)
        tls_destroy(rig->tls);
    tls_workers_destroy(rig->tls_workers);
    tls_context_destroy(rig->tls_context);
}

struct stream secure_connect(struct rig *rig, const struct tgw_endpoint *from,
                             const struct tgw_endpoint *to, const struct stream_handler *handler,
                             void *user) {
    if (!rig->tls)
        return tcp_connect_from(rig->tcp, rig->now_ns, from, to, handler, user);
    rig->dial_from = *from;
    return tls_connect(rig->tls, to, handler, user);
}
