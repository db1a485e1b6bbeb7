#include "bench.h"
#include "control/log.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct bench *bench;

static const uint64_t SECOND_NS = 1000000000;

void bench_start_dataplane(void) {
    char err[200];
    CU_ASSERT_TRUE_FATAL(
        shm_region_create(&bench->region, bench->g.config.shm_path, BENCH_CORES, err, sizeof(err)));
    bench->region.shm->dataplane_pid = (uint32_t)getpid();
    for (uint32_t i = 0; i < BENCH_CORES; i++) {
        tgw_ring_consumer(&bench->cmd[i], shm_region_cmd_ring(&bench->region, i), TGW_CMD_SLOTS,
                          TGW_CMD_SLOT_BYTES);
        tgw_ring_producer(&bench->event[i], shm_region_event_ring(&bench->region, i),
                          TGW_EVENT_SLOTS, TGW_EVENT_SLOT_BYTES);
    }
    shm_region_publish(&bench->region);
}

const char *bench_config(const char *more) {
    static char json[600];
    snprintf(json, sizeof(json),
             "{\"shm_path\": \"%s/shm\", \"state_dir\": \"%s/state\","
             "\"agent_default\": \"10.0.0.9:1\", \"agent_networks\": [\"10.0.0.0/8\"],"
             "\"agent_secret_file\": \"%s/secret\", \"log_level\": \"ERROR\"%s}",
             bench->dir, bench->dir, bench->dir, more);
    return json;
}

void bench_write(const char *path, const char *text) {
    FILE *f = fopen(path, "w");
    CU_ASSERT_PTR_NOT_NULL_FATAL(f);
    fputs(text, f);
    fclose(f);
}

void bench_start_gateway(struct token_store store) {
    char err[CONFIG_ERROR_BYTES];
    bench->g = (struct gateway){.config_path = bench->file, .store = store};
    CU_ASSERT_TRUE_FATAL(config_load(&bench->g.config, bench->file, NULL, err, sizeof(err)));
    log_set_level("ERROR");
    CU_ASSERT_TRUE_FATAL(gateway_init(&bench->g, err, sizeof(err)));
}

void bench_turn(uint64_t after_ns) {
    bench->now_ns += after_ns;
    gateway_turn(&bench->g, bench->now_ns, 1000000 + bench->now_ns / SECOND_NS);
}

void bench_begin(const char *more, struct token_store store) {
    char path[100];
    bench = calloc(1, sizeof(*bench));
    bench->now_ns = SECOND_NS;
    strcpy(bench->dir, "/tmp/tgw-test-XXXXXX");
    CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(bench->dir));
    snprintf(path, sizeof(path), "%s/secret", bench->dir);
    bench_write(path, "0123456789abcdef0123456789abcdef");
    snprintf(bench->file, sizeof(bench->file), "%s/config.json", bench->dir);
    bench_write(bench->file, bench_config(more));
    bench_start_gateway(store);
    bench_start_dataplane();
    bench_turn(0);
}

void bench_end(void) {
    char command[100];
    gateway_fini(&bench->g);
    shm_region_destroy(&bench->region);
    snprintf(command, sizeof(command), "rm -rf %s", bench->dir);
    CU_ASSERT_EQUAL(system(command), 0);
    free(bench);
}

bool bench_command(uint32_t core, uint16_t type, union tgw_cmd *out) {
    while (tgw_ring_pop(&bench->cmd[core], out))
        if (out->msg.type == type)
            return true;
    return false;
}

void bench_say(uint32_t core, struct tgw_msg *m, uint16_t type, size_t len, uint32_t seq) {
    *m = (struct tgw_msg){.type = type, .len = (uint16_t)len, .seq = seq};
    CU_ASSERT_TRUE(tgw_ring_push(&bench->event[core], m));
}
