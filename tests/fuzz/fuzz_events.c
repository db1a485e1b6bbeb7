/* Events from a dataplane that is broken or hostile, through the real shared region, at the
 * control process. An act: what it does, then for an event a template's bytes written over. */
#include "control/gateway.h"
#include "control/log.h"
#include "control/metrics.h"
#include "dataplane/shm_region.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Making a control process takes long: one serves many inputs. */
enum { ACTS_MAX = 64, PATCH_MAX = 32, SERVES = 500, SECOND = 1000000000 };

struct bench {
    struct gateway g;
    struct shm_region region;
    uint64_t now_ns;
    unsigned served;
    char dir[64];
};

struct input {
    const uint8_t *at;
    size_t left;
};

static uint32_t take(struct input *in, int bytes) {
    uint32_t n = 0;
    while (bytes--) {
        n = n << 8 | (in->left ? *in->at : 0);
        in->at += in->left > 0;
        in->left -= in->left > 0;
    }
    return n;
}

static void must(bool good) {
    if (!good)
        abort();
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    must(f && fputs(text, f) >= 0 && fclose(f) == 0);
}

static void clean_up(void) {
    char command[100];
    snprintf(command, sizeof(command), "rm -rf /tmp/tgw-fuzz-%d", (int)getpid());
    if (system(command) != 0)
        _exit(1);
}

static void begin(struct bench *b) {
    char path[100], json[400], err[CONFIG_ERROR_BYTES];
    snprintf(b->dir, sizeof(b->dir), "/tmp/tgw-fuzz-%d", (int)getpid());
    if (access(b->dir, F_OK) != 0) {
        snprintf(path, sizeof(path), "mkdir -m 700 %s", b->dir);
        must(system(path) == 0);
        atexit(clean_up);
    }
    snprintf(path, sizeof(path), "%s/secret", b->dir);
    write_file(path, "0123456789abcdef0123456789abcdef");
    snprintf(json, sizeof(json),
             "{\"shm_path\":\"%s/shm\",\"state_dir\":\"%s/state\",\"agent_secret_file\":"
             "\"%s/secret\",\"log_level\":\"ERROR\"}",
             b->dir, b->dir, b->dir);
    snprintf(path, sizeof(path), "%s/config.json", b->dir);
    write_file(path, json);
    must(config_load(&b->g.config, path, NULL, err, sizeof(err)));
    log_set_level("ERROR");
    must(shm_region_create(&b->region, b->g.config.shm_path, 1, err, sizeof(err)));
    b->region.shm->dataplane_pid = (uint32_t)getpid();
}

static uint32_t plausible_len(uint16_t type) {
    static const size_t len[] = {[TGW_EV_AUTH] = sizeof(struct tgw_ev_auth),
                                 [TGW_EV_AUTH_GONE] = sizeof(struct tgw_ev_auth_gone),
                                 [TGW_EV_OPEN] = sizeof(struct tgw_ev_open),
                                 [TGW_EV_CLOSED] = sizeof(struct tgw_ev_closed),
                                 [TGW_EV_REFUSED] = sizeof(struct tgw_ev_refused),
                                 [TGW_EV_SESSION] = sizeof(struct tgw_ev_session),
                                 [TGW_EV_LIST_END] = sizeof(struct tgw_ev_list_end),
                                 [TGW_EV_DONE] = sizeof(struct tgw_ev_done),
                                 [TGW_EV_DRAIN_STATE] = sizeof(struct tgw_ev_drain_state),
                                 [TGW_EV_PACKET] = sizeof(struct tgw_ev_packet)};
    size_t n = type < sizeof(len) / sizeof(len[0]) ? len[type] : 0;
    return n ? (uint32_t)n : 8;
}

static void ident(struct tgw_ident *i) {
    strcpy(i->allocation_id, "alloc-1");
    strcpy(i->session_id, "session-1");
    strcpy(i->correlation_id, "correlation-1");
    strcpy(i->trace_id, "0123456789abcdef0123456789abcdef");
}

static void template(union tgw_event *e, tgw_handle h) {
    switch (e->msg.type) {
    case TGW_EV_AUTH:
        e->auth.handle = h;
        strcpy(e->auth.allocation_id, "alloc-1");
        break;
    case TGW_EV_OPEN:
        e->open.handle = h;
        ident(&e->open.ident);
        break;
    case TGW_EV_CLOSED:
        e->closed.handle = h;
        e->closed.reason = TGW_R_session_ttl;
        ident(&e->closed.ident);
        break;
    case TGW_EV_REFUSED:
        e->refused.reason = TGW_R_draining;
        ident(&e->refused.ident);
        break;
    case TGW_EV_SESSION:
        e->session.handle = h;
        ident(&e->session.ident);
        break;
    default:
        break;
    }
}

static void write_event(struct bench *b, struct input *in) {
    struct tgw_ring *ring = shm_region_event_ring(&b->region, 0);
    union tgw_event *e =
        (union tgw_event *)(ring->slots +
                            (atomic_load(&ring->head) % TGW_EVENT_SLOTS) * TGW_EVENT_SLOT_BYTES);
    uint32_t what = take(in, 1);
    memset(e, 0, sizeof(*e));
    e->msg = (struct tgw_msg){.type = (uint16_t)(what % 16)};
    e->msg.seq = what & 64 ? UINT32_MAX : take(in, 1);
    e->msg.len = (uint16_t)(what & 128 ? take(in, 2) : plausible_len(e->msg.type));
    template(e, take(in, 1));
    for (uint32_t patches = what >> 4 & 3; patches--;) {
        uint32_t at = take(in, 2), n = take(in, 1) % PATCH_MAX;
        while (n-- && in->left)
            e->slot[sizeof(e->msg) + at++ % (sizeof(*e) - sizeof(e->msg))] = (uint8_t)take(in, 1);
    }
    atomic_fetch_add(&ring->head, 1);
}

static void on_done(void *ctx, cJSON *result, const char *code, const char *message) {
    (void)ctx;
    (void)code;
    (void)message;
    cJSON_Delete(result);
}

static void act(struct bench *b, struct input *in) {
    uint32_t what = take(in, 1);
    struct tgw_ring *ring = shm_region_event_ring(&b->region, 0);
    uint32_t *counters = (uint32_t *)shm_region_counters(&b->region, 0);
    switch (what % 8) {
    case 0:
        b->now_ns += (uint64_t)take(in, 1) * SECOND / 16;
        break;
    case 1:
        atomic_store(&ring->head, take(in, 4));
        break;
    case 2:
        counters[take(in, 2) % (sizeof(struct tgw_counters) / 4)] = take(in, 4);
        break;
    case 3:
        query_start(&b->g.queries, &b->g.bridge, what >> 3 & 1 ? QUERY_LIST : QUERY_SHOW,
                    "session-1", b->now_ns, on_done, NULL);
        break;
    default:
        write_event(b, in);
    }
    b->now_ns += 1000000;
    gateway_turn(&b->g, b->now_ns, 1000000 + b->now_ns / SECOND);
}

/* As a new process would find it. */
static void reset(struct bench *b) {
    struct config config = b->g.config;
    struct tgw_ring *rings[2] = {shm_region_event_ring(&b->region, 0),
                                 shm_region_cmd_ring(&b->region, 0)};
    char err[300];
    for (int i = 0; i < 2; i++) {
        atomic_store(&rings[i]->head, 0);
        atomic_store(&rings[i]->tail, 0);
    }
    memset(shm_region_counters(&b->region, 0), 0, sizeof(struct tgw_counters));
    if (b->served++ % SERVES) {
        bridge_detach(&b->g.bridge);
        b->now_ns += SECOND;
        return;
    }
    if (b->served > 1)
        gateway_fini(&b->g);
    b->g = (struct gateway){.config = config, .config_path = ""};
    b->now_ns = SECOND;
    must(gateway_init(&b->g, err, sizeof(err)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct bench b;
    struct input in = {data, size};
    if (!b.now_ns)
        begin(&b);
    reset(&b);
    for (int i = 0; in.left && i < ACTS_MAX; i++)
        act(&b, &in);
    char *text = metrics_text(&b.g);
    must(text && text[0]);
    free(text);
    b.now_ns += UINT64_C(3) * SECOND; /* unanswered questions end */
    gateway_turn(&b.g, b.now_ns, 1000000 + b.now_ns / SECOND);
    return 0;
}
