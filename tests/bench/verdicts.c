/* What a verdict costs the control process: token from the memory store, ident, grant, over
 * the real rings; the dataplane is played here. Prints cycles a verdict.
 *
 *   bench-verdicts ROUNDS */
#include "control/gateway.h"
#include "control/log.h"
#include "dataplane/shm_region.h"
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BATCH = 256 };
static const uint64_t SECOND_NS = 1000000000;

struct bench {
    struct gateway g;
    struct shm_region region;
    struct tgw_ring_end cmd, event;
    uint64_t now_ns;
    char dir[64], file[80], err[CONFIG_ERROR_BYTES];
};

static void check(bool good, const char *what) {
    if (good)
        return;
    fprintf(stderr, "bench-verdicts: %s\n", what);
    exit(2);
}

static void write_file(const char *path, const char *text) {
    FILE *f = fopen(path, "we");
    check(f && fputs(text, f) >= 0 && fclose(f) == 0, path);
}

static void start(struct bench *b) {
    char json[600], path[100];
    strcpy(b->dir, "/tmp/tgw-verdicts-XXXXXX");
    check(mkdtemp(b->dir) != NULL, b->dir);
    snprintf(path, sizeof(path), "%s/secret", b->dir);
    write_file(path, "0123456789abcdef0123456789abcdef");
    snprintf(b->file, sizeof(b->file), "%s/config.json", b->dir);
    snprintf(json, sizeof(json),
             "{\"shm_path\": \"%s/shm\", \"state_dir\": \"%s/state\","
             "\"agent_secret_file\": \"%s/secret\", \"log_level\": \"ERROR\","
             "\"agent_default\": \"198.18.1.1:7681\", \"agent_networks\": [\"198.18.1.0/24\"]}",
             b->dir, b->dir, b->dir);
    write_file(b->file, json);
    b->g = (struct gateway){.config_path = b->file};
    b->now_ns = SECOND_NS;
    check(config_load(&b->g.config, b->file, NULL, b->err, sizeof(b->err)), b->err);
    log_set_level("ERROR");
    check(gateway_init(&b->g, b->err, sizeof(b->err)), b->err);
    check(shm_region_create(&b->region, b->g.config.shm_path, 1, b->err, sizeof(b->err)), b->err);
    shm_region_publish(&b->region);
    b->region.shm->dataplane_pid = (uint32_t)getpid();
    tgw_ring_consumer(&b->cmd, shm_region_cmd_ring(&b->region, 0), TGW_CMD_SLOTS,
                      TGW_CMD_SLOT_BYTES);
    tgw_ring_producer(&b->event, shm_region_event_ring(&b->region, 0), TGW_EVENT_SLOTS,
                      TGW_EVENT_SLOT_BYTES);
}

__attribute__((noinline)) uint64_t measured_turn(struct bench *b);
uint64_t measured_turn(struct bench *b) {
    uint64_t from = rte_rdtsc();
    gateway_turn(&b->g, b->now_ns, b->now_ns / SECOND_NS);
    return rte_rdtsc() - from;
}

/* Tokens in, requests in, verdicts out; returns the good ones. */
static uint32_t batch(struct bench *b, uint64_t *number, uint64_t *cycles) {
    union tgw_cmd cmd;
    uint32_t good = 0;
    for (int i = 0; i < BATCH; i++, ++*number) {
        struct claims c = {.exp_s = UINT32_MAX};
        struct tgw_ev_auth e = {.msg = {.type = TGW_EV_AUTH, .len = sizeof(e)},
                                .handle = *number + 1,
                                .cols = 80,
                                .rows = 24};
        uint64_t spread = *number * 0x9e3779b97f4a7c15u;
        memcpy(e.token_hash, &spread, sizeof(spread));
        snprintf(e.allocation_id, sizeof(e.allocation_id), "bench-%lu", *number % 1000);
        strcpy(c.ident.allocation_id, e.allocation_id);
        strcpy(c.ident.user_id, "user");
        memory_store_put(b->g.store.impl, e.token_hash, &c, b->now_ns / SECOND_NS);
        check(tgw_ring_push(&b->event, &e.msg), "event ring full");
    }
    *cycles = measured_turn(b);
    while (tgw_ring_pop(&b->cmd, &cmd))
        good += cmd.msg.type == TGW_CMD_VERDICT && cmd.verdict.reason == TGW_OK;
    return good;
}

static int by_value(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

int main(int argc, char **argv) {
    static struct bench b;
    unsigned rounds = argc == 2 ? (unsigned)atoi(argv[1]) : 0;
    uint64_t number = 0, *v = calloc(rounds + 1, sizeof(*v)), good = 0;
    check(rounds > 0 && v, "usage: bench-verdicts ROUNDS");
    start(&b);
    measured_turn(&b); /* attaches */
    for (unsigned i = 0; i < rounds; i++)
        good += batch(&b, &number, &v[i]);
    qsort(v, rounds, sizeof(*v), by_value);
    printf("verdicts %lu of %lu  cycles min %lu median %lu\n", good, number, v[0] / BATCH,
           v[rounds / 2] / BATCH);
    gateway_fini(&b.g);
    shm_region_destroy(&b.region);
    free(v);
    char command[100];
    snprintf(command, sizeof(command), "rm -rf %s", b.dir);
    return system(command) != 0 || good != number;
}
