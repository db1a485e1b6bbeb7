#include "eal.h"
#include "log.h"
#include "ports.h"
#include <errno.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_launch.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <unistd.h>

enum { ARGS_MAX = 64, ARG_BYTES = 400 };

static const long HUGETLBFS_MAGIC_NUMBER = 0x958458f6;

struct args {
    int count;
    char text[ARGS_MAX][ARG_BYTES];
    char *at[ARGS_MAX + 1];
};

__attribute__((format(printf, 2, 3))) static void add(struct args *a, const char *format, ...) {
    if (a->count == ARGS_MAX)
        return;
    va_list v;
    va_start(v, format);
    vsnprintf(a->text[a->count], ARG_BYTES, format, v);
    va_end(v);
    a->at[a->count] = a->text[a->count];
    a->count++;
}

uint32_t eal_cores(const struct config *c, uint32_t cpu[TGW_CORES_MAX]) {
    uint32_t n = 0;
    for (; n < c->cores.count && n < TGW_CORES_MAX; n++)
        cpu[n] = (uint32_t)strtoul(c->cores.item[n], NULL, 10);
    if (n == 0)
        cpu[n++] = (uint32_t)sysconf(_SC_NPROCESSORS_ONLN) - 1;
    return n;
}

static uint64_t huge_free_mb(void) {
    struct statfs fs;
    char line[128];
    uint64_t pages = 0, kb = 0;
    if (statfs("/dev/hugepages", &fs) != 0 || fs.f_type != HUGETLBFS_MAGIC_NUMBER)
        return 0;
    FILE *f = fopen("/proc/meminfo", "re");
    while (f && fgets(line, sizeof(line), f)) {
        sscanf(line, "HugePages_Free: %lu", &pages);
        sscanf(line, "Hugepagesize: %lu", &kb);
    }
    if (f)
        fclose(f);
    return pages * kb / 1024;
}

/* Real devices are not to run slowly unasked: ordinary memory only where it is configured.
 * Ports of software do with what there is. */
static bool add_memory(struct args *a, const struct config *c, bool devices, char *err,
                       size_t err_bytes) {
    uint64_t have_mb = c->huge_pages ? huge_free_mb() : 0;
    bool huge = c->huge_pages && have_mb >= c->memory_mb;
    if (c->huge_pages && !huge && devices) {
        snprintf(err, err_bytes,
                 "huge_pages: %lu MB free on /dev/hugepages, %lu wanted: "
                 "`mount -t hugetlbfs hugetlbfs /dev/hugepages; "
                 "echo %lu >/proc/sys/vm/nr_hugepages`",
                 have_mb, c->memory_mb, c->memory_mb / 2);
        return false;
    }
    if (c->huge_pages && !huge)
        log_line(LOG_WARN, "huge_pages_missing",
                 "%lu MB of huge pages free, %lu wanted: going on with ordinary memory", have_mb,
                 c->memory_mb);
    add(a, huge ? "--single-file-segments" : "--no-huge");
    add(a, "-m");
    add(a, "%lu", c->memory_mb);
    return true;
}

static void add_lcores(struct args *a, const struct config *c) {
    uint32_t cpu[TGW_CORES_MAX], n = eal_cores(c, cpu);
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    char map[ARG_BYTES];
    /* lcore 0, the main thread, floats over every CPU; lcore i+1 is worker i. */
    int len = snprintf(map, sizeof(map), "--lcores=0@(0-%ld)", online - 1);
    for (uint32_t i = 0; i < n; i++)
        len += snprintf(map + len, sizeof(map) - (size_t)len, ",%u@%u", i + 1, cpu[i]);
    add(a, "%s", map);
    add(a, "--main-lcore=0");
}

bool eal_start(const struct config *c, char *err, size_t err_bytes) {
    static struct args a; /* EAL keeps pointers into it */
    uint32_t cpu[TGW_CORES_MAX], n = eal_cores(c, cpu);
    char device[TGW_PORTS_MAX][PORT_ARGS] = {{0}};
    bool devices = false;
    for (uint32_t i = 0; i < n; i++) {
        if ((long)cpu[i] < sysconf(_SC_NPROCESSORS_ONLN))
            continue;
        snprintf(err, err_bytes, "cores[%u]: CPU %u is not on this machine, which has 0..%ld", i,
                 cpu[i], sysconf(_SC_NPROCESSORS_ONLN) - 1);
        return false;
    }
    if (!ports_check(c, n, device, err, err_bytes))
        return false;
    for (uint32_t i = 0; i < c->port_count; i++)
        devices = devices || device[i][0];
    add(&a, "tgw-dataplane");
    add_lcores(&a, c);
    if (!add_memory(&a, c, devices, err, err_bytes))
        return false;
    for (uint32_t i = 0; i < c->port_count; i++) {
        if (device[i][0]) {
            add(&a, "-a"); /* these and no other */
            add(&a, "%s", device[i]);
        }
    }
    if (!devices) {
        add(&a, "--no-pci");
        add(&a, "--iova-mode=va"); /* else EAL chooses what the devices want */
    }
    add(&a, "--file-prefix=tgw%d", (int)getpid());
    add(&a, "--no-telemetry");
    add(&a, "--no-shconf");
    add(&a, "--log-level=error");
    for (uint32_t i = 0; i < c->eal_args.count; i++)
        add(&a, "%s", c->eal_args.item[i]);
    if (rte_eal_init(a.count, a.at) >= 0)
        return true;
    snprintf(err, err_bytes, "eal_args: DPDK did not start: %s", rte_strerror(rte_errno));
    return false;
}

/* On the worker's own thread. A thread that it might start is an ordinary one. */
static int raise_thread(void *priority) {
    const struct sched_param p = {.sched_priority = *(const int *)priority};
    return sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &p) == 0 ? 0 : -errno;
}

bool eal_raise_workers(const struct config *c, char *err, size_t err_bytes) {
    uint32_t cpu[TGW_CORES_MAX], n = eal_cores(c, cpu);
    int priority = (int)c->worker_priority, rc = 0;
    for (uint32_t i = 0; priority && rc == 0 && i < n; i++) {
        rc = rte_eal_remote_launch(raise_thread, &priority, i + 1);
        if (rc == 0)
            rc = rte_eal_wait_lcore(i + 1);
    }
    if (rc != 0)
        snprintf(
            err, err_bytes,
            "worker_priority: the kernel refuses SCHED_FIFO: %s: CAP_SYS_NICE or RLIMIT_RTPRIO "
            "is needed, and in a cgroup of version 1 a share of cpu.rt_runtime_us",
            strerror(-rc));
    return rc == 0;
}
