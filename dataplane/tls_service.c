#include "tls_service.h"
#include "eal.h"
#include "log.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>

enum { QUEUE_SHARE = 4, EXPIRES_SOON_S = 14 * 86400, NICE_BESIDE_A_CORE = 10 };

static uint64_t unix_s(void) {
    return (uint64_t)time(NULL);
}

static void publish(const struct tls_service *s, struct tgw_shm *shm) {
    uint64_t end_s = tls_context_not_after_s(s->context);
    atomic_store(&shm->tls_not_after_s, end_s);
    atomic_fetch_add(&shm->tls_loads, 1);
    if (end_s && end_s < unix_s() + EXPIRES_SOON_S)
        log_line(LOG_WARN, "certificate_expires", "a certificate expires in %lu hours",
                 (end_s - unix_s()) / 3600);
}

/* The paths were checked with the configuration. */
static struct tls_context_config *context_config(const struct config *c) {
    struct tls_context_config *out = calloc(1, sizeof(*out));
    if (!out)
        return NULL;
    if (c->tls_port)
        out->certificates = c->tls_certificates.count;
    for (uint32_t i = 0; i < out->certificates; i++)
        tls_certificate_parse(c->tls_certificates.item[i], &out->certificate[i]);
    if (c->tls_agent_certificate[0])
        tls_certificate_parse(c->tls_agent_certificate, &out->agent);
    out->tls12_max = (uint32_t)c->tls12_sessions_max;
    out->ticket_period_s = (uint32_t)c->tls_ticket_seconds;
    snprintf(out->ticket_file, sizeof(out->ticket_file), "%s", c->tls_ticket_file);
    snprintf(out->agent_ca, sizeof(out->agent_ca), "%s", c->tls_agent_ca);
    return out;
}

/* Handshake threads inherit where this thread may run, and how urgently. They keep off the
 * polled CPUs; where every CPU is polled, they give way. */
static struct tls_workers *create_threads(const struct tls_service *s, const struct config *c,
                                          uint32_t cores) {
    uint32_t cpu[TGW_CORES_MAX], polled = eal_cores(c, cpu);
    cpu_set_t before, rest;
    bool known = sched_getaffinity(0, sizeof(before), &before) == 0;
    rest = before;
    for (uint32_t i = 0; known && i < polled; i++)
        if (cpu[i] < CPU_SETSIZE)
            CPU_CLR(cpu[i], &rest);
    bool apart = known && CPU_COUNT(&rest) && sched_setaffinity(0, sizeof(rest), &rest) == 0;
    if (!apart)
        setpriority(PRIO_PROCESS, 0, NICE_BESIDE_A_CORE);
    struct tls_workers *w = tls_workers_create(s->context, (uint32_t)c->tls_handshake_threads,
                                               cores, (uint32_t)c->tls_handshakes_max, true);
    if (apart)
        sched_setaffinity(0, sizeof(before), &before);
    else
        setpriority(PRIO_PROCESS, 0, 0);
    return w;
}

bool tls_service_start(struct tls_service *s, const struct config *c, uint32_t cores,
                       struct tgw_shm *shm, char *err, size_t err_bytes) {
    char why[CONFIG_ERROR_BYTES - 32] = "no memory";
    if (!tls_service_port(c) && !c->tls_agent_ca[0])
        return true;
    struct tls_context_config *config = context_config(c);
    if (config)
        s->context = tls_context_create(config, unix_s(), why, sizeof(why));
    free(config);
    if (s->context)
        s->workers = create_threads(s, c, cores);
    if (s->workers) {
        publish(s, shm);
        return true;
    }
    snprintf(err, err_bytes, "tls_certificates: %s", s->context ? "no memory" : why);
    tls_service_stop(s);
    return false;
}

void tls_service_stop(struct tls_service *s) {
    tls_workers_destroy(s->workers);
    tls_context_destroy(s->context);
    *s = (struct tls_service){0};
}

uint16_t tls_service_port(const struct config *c) {
    return c->tls_certificates.count ? (uint16_t)c->tls_port : 0;
}

void tls_service_fill(const struct config *c, uint32_t cores, uint32_t core,
                      struct tgw_counters *counters, struct tls_config *out) {
    uint32_t sessions = (uint32_t)(c->sessions_max / cores) + 1;
    tls_config_defaults(out);
    out->core = core;
    out->connections_max = sessions * 4; /* as many as TCP has */
    out->handshakes_max = (uint32_t)c->tls_handshakes_max;
    out->queue_max = out->handshakes_max / QUEUE_SHARE;
    out->huge_pages = c->huge_pages;
    out->counters = counters;
}

static void tell(struct tgw_shm *shm, const struct tls_service *s, bool loaded, const char *err) {
    if (loaded) {
        publish(s, shm);
        log_line(LOG_INFO, "certificates_loaded", "new certificates are in use");
        return;
    }
    atomic_fetch_add(&shm->tls_load_failures, 1);
    log_line(LOG_WARN, "certificates_refused", "the old ones stay in use: %s", err);
}

/* The control process has checked the file; it may have been edited since. */
static bool reconfigure(struct tls_service *s, char *err, size_t err_bytes) {
    struct config *c = malloc(sizeof(*c));
    struct tls_context_config *out = NULL;
    bool good = false;
    snprintf(err, err_bytes, "no memory");
    if (c && config_load(c, s->config_path, s->envp, err, err_bytes))
        out = context_config(c);
    if (out)
        good = tls_context_configure(s->context, out, err, err_bytes);
    free(out);
    free(c);
    return good;
}

void tls_service_watch(struct tls_service *s, struct tgw_shm *shm) {
    char err[CONFIG_ERROR_BYTES];
    const uint32_t applied = atomic_load(&shm->control_applied);
    bool asked = applied != s->applied;
    s->applied = applied;
    if (!s->context)
        return;
    tls_context_tick(s->context, unix_s());
    if (asked)
        tell(shm, s, reconfigure(s, err, sizeof(err)), err);
    else if (tls_context_changed(s->context))
        tell(shm, s, tls_context_load(s->context, err, sizeof(err)), err);
}
