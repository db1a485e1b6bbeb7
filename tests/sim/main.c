/* Deterministic simulation: see docs/testing.md. */
#include "tests/lib/eal_init.h"
#include "tests/sim/scenario.h"
#include <getopt.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

enum { SEEDS_DEFAULT = 1000, SEED_SECONDS_MAX = 60, COMPARE_EVERY = 16 };

struct options {
    uint64_t first, seeds;
    uint64_t stop_after_s; /* 0: when all seeds are through */
    const char *scenario;
    bool verbose, list, long_way;
};

struct tally {
    uint64_t seeds, failed, segments;
    uint64_t tried, got_in; /* under attack */
};

static double seconds_since(const struct timespec *began) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - began->tv_sec) + (double)(now.tv_nsec - began->tv_nsec) / 1e9;
}

/* The seed under way, for the handler of a failed assertion. */
static char replay[200];

static void died(int signal_number) {
    static const char hung[] = "# hangs\n";
    if (signal_number == SIGPROF && write(STDOUT_FILENO, hung, sizeof(hung) - 1) < 0)
        _exit(2);
    if (write(STDOUT_FILENO, replay, strlen(replay)) < 0)
        _exit(2);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

static volatile sig_atomic_t told_to_stop;

/* The tally of what ran is printed still. */
static void stop(int signal_number) {
    (void)signal_number;
    told_to_stop = 1;
}

/* A seed hangs that takes so much of the processor's time; of the day's it may take more,
 * where the machine is busy or the process stopped. 0: none runs. */
static void limit_cpu(time_t seconds) {
    const struct itimerval limit = {.it_value = {.tv_sec = seconds}};
    setitimer(ITIMER_PROF, &limit, NULL);
}

static void catch_signals(void) {
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGPROF};
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        signal(signals[i], died);
}

static uint64_t parse_number(const char *text) {
    char *end;
    uint64_t n = strtoull(text, &end, 0);
    if (*text && !*end)
        return n;
    fprintf(stderr, "sim: not a number: %s\n", text);
    exit(2);
}

static const char usage[] =
    "usage: sim [--seeds N] [--first N] [--stop-after S] [--scenario NAME] [--verbose]\n"
    "       sim --seed N [--scenario NAME] [--verbose]    replay one seed with a packet trace\n"
    "       --long-way                                    without header prediction\n"
    "       sim --list\n";

static struct options parse(int argc, char **argv) {
    static const struct option names[] = {{"seeds", required_argument, NULL, 'n'},
                                          {"seed", required_argument, NULL, 's'},
                                          {"first", required_argument, NULL, 'f'},
                                          {"stop-after", required_argument, NULL, 't'},
                                          {"scenario", required_argument, NULL, 'c'},
                                          {"verbose", no_argument, NULL, 'v'},
                                          {"list", no_argument, NULL, 'l'},
                                          {"long-way", no_argument, NULL, 'w'},
                                          {NULL, 0, NULL, 0}};
    struct options o = {.first = 1, .seeds = SEEDS_DEFAULT};
    for (int c; (c = getopt_long(argc, argv, "", names, NULL)) != -1;) {
        if (c == 'n') {
            o.seeds = parse_number(optarg);
        } else if (c == 's') {
            o.first = parse_number(optarg);
            o.seeds = 1;
        } else if (c == 'f') {
            o.first = parse_number(optarg);
        } else if (c == 't') {
            o.stop_after_s = parse_number(optarg);
        } else if (c == 'c') {
            o.scenario = optarg;
        } else if (c == 'v') {
            o.verbose = true;
        } else if (c == 'l') {
            o.list = true;
        } else if (c == 'w') {
            o.long_way = true;
        } else {
            fputs(usage, stderr);
            exit(2);
        }
    }
    return o;
}

struct way {
    bool verbose;
    bool long_way; /* no header prediction */
};

static bool run_seed(const struct scenario *s, uint64_t seed, struct rte_mempool *const *pools,
                     struct way way, struct tally *t, uint64_t *hash) {
    static struct world w;
    snprintf(replay, sizeof(replay),
             "# replay: build/tests/test-sim --scenario %s --seed %" PRIu64 " --verbose\n", s->name,
             seed);
    limit_cpu(SEED_SECONDS_MAX);
    world_init(&w, s, seed, pools, way.verbose);
    w.long_way = way.long_way;
    s->run(&w);
    world_fini(&w);
    limit_cpu(0);
    t->seeds++;
    t->failed += w.failed;
    t->segments += w.segments;
    t->tried += w.tried;
    t->got_in += w.got_in;
    *hash = w.trace_hash;
    if (way.verbose)
        printf("# %" PRIu64 " segments, %" PRIu64 " events, trace %016" PRIx64 "\n", w.segments,
               w.steps, w.trace_hash);
    return !w.failed;
}

/* A seed runs the same twice, and the same without header prediction, segment by segment. The
 * first one of a scenario shows the one, every sixteenth the other. */
static void compare(const struct scenario *s, uint64_t seed, struct rte_mempool *const *pools,
                    uint64_t hash, struct tally *t) {
    struct tally ignored = {0};
    uint64_t again = hash, slowly = hash;
    if (t->seeds == 1)
        run_seed(s, seed, pools, (struct way){0}, &ignored, &again);
    if (t->seeds % COMPARE_EVERY == 1)
        run_seed(s, seed, pools, (struct way){.long_way = true}, &ignored, &slowly);
    if (again != hash)
        printf("# seed %" PRIu64 " does not run the same twice\n", seed);
    if (slowly != hash)
        printf("# seed %" PRIu64 " runs otherwise without header prediction (--long-way)\n", seed);
    t->failed += again != hash || slowly != hash;
}

/* Every scenario's share of the seeds, as far as it comes in `seconds` (0: all): one case. */
static struct tally run_scenario(const struct options *o, unsigned k, unsigned number,
                                 struct rte_mempool *const *pools, double seconds) {
    struct tally t = {0};
    struct timespec began;
    uint64_t hash = 0;
    const struct way way = {o->verbose, o->long_way};
    clock_gettime(CLOCK_MONOTONIC, &began);
    for (uint64_t seed = o->first; seed < o->first + o->seeds && !told_to_stop; seed++) {
        if (!o->scenario && seed % scenario_count != k)
            continue;
        if (o->stop_after_s && t.seeds && seconds_since(&began) >= seconds)
            break;
        if (run_seed(&scenarios[k], seed, pools, way, &t, &hash) && !o->verbose && !o->long_way)
            compare(&scenarios[k], seed, pools, hash, &t);
    }
    /* Over 99 in 100: a cookie cannot bear a lost last ACK and a forged SYN at once. */
    if (t.tried)
        printf("# %" PRIu64 " of %" PRIu64 " got in\n", t.got_in, t.tried);
    enum { FEW = 3 }; /* of a small number that is more than one in a hundred */
    t.failed += t.tried - t.got_in > t.tried / 100 + FEW;
    printf("%s %u - sim: %s: %" PRIu64 " seeds, %" PRIu64 " segments\n", t.failed ? "not ok" : "ok",
           number, scenarios[k].name, t.seeds, t.segments);
    fflush(stdout);
    return t;
}

static unsigned find(const char *name) {
    for (unsigned k = 0; k < scenario_count; k++)
        if (strcmp(scenarios[k].name, name) == 0)
            return k;
    fprintf(stderr, "sim: no scenario %s; see --list\n", name);
    exit(2);
}

/* Seeds that failed once: one case. */
static struct tally run_finds(unsigned number, struct rte_mempool *const *pools) {
    struct tally t = {0};
    const struct way way = {0};
    uint64_t hash;
    for (unsigned i = 0; i < find_count; i++)
        if (!run_seed(&scenarios[find(finds[i].scenario)], finds[i].seed, pools, way, &t, &hash))
            printf("# again: %s\n", finds[i].what);
    printf("%s %u - sim: %" PRIu64 " seeds that failed once\n", t.failed ? "not ok" : "ok", number,
           t.seeds);
    return t;
}

static void make_pools(struct rte_mempool **pools) {
    test_eal_init(1);
    for (unsigned i = 0; i < WORLD_HOSTS_MAX; i++) {
        char name[16];
        snprintf(name, sizeof(name), "host%u", i);
        pools[i] = rte_pktmbuf_pool_create(name, HOST_MBUFS, 256, 0, RTE_MBUF_DEFAULT_BUF_SIZE,
                                           SOCKET_ID_ANY);
        if (!pools[i]) {
            puts("Bail out! no memory for packets");
            exit(1);
        }
    }
}

static void add(struct tally *to, const struct tally *t) {
    to->seeds += t->seeds;
    to->failed += t->failed;
    to->segments += t->segments;
}

static struct tally run_all(const struct options *o, struct rte_mempool *const *pools,
                            const struct timespec *began) {
    struct tally all = {0};
    unsigned number = 0, cases = 0;
    for (unsigned k = 0; k < scenario_count; k++)
        cases +=
            o->seeds >= scenario_count || (o->first + scenario_count - k) % scenario_count == 0;
    if (o->scenario || o->seeds < scenario_count)
        cases = o->scenario ? 1 : (unsigned)o->seeds;
    bool again = !o->scenario && o->seeds > 1;
    printf("1..%u\n", cases + again);
    for (unsigned k = 0; k < scenario_count; k++) {
        bool mine =
            o->scenario
                ? k == find(o->scenario)
                : (k + scenario_count - o->first % scenario_count) % scenario_count < o->seeds;
        if (!mine)
            continue;
        double left = (double)o->stop_after_s - seconds_since(began);
        struct tally t = run_scenario(o, k, number + 1, pools, left / (cases - number));
        number++;
        add(&all, &t);
    }
    if (again) {
        struct tally t = run_finds(number + 1, pools);
        add(&all, &t);
    }
    return all;
}

int main(int argc, char **argv) {
    struct options o = parse(argc, argv);
    struct rte_mempool *pools[WORLD_HOSTS_MAX];
    struct timespec began;
    if (o.list) {
        for (unsigned k = 0; k < scenario_count; k++)
            printf("%-14s %s\n", scenarios[k].name, scenarios[k].what);
        return 0;
    }
    if (o.scenario)
        find(o.scenario);
    /* Every seed gives all its memory back: keep it for the next. */
    mallopt(M_TRIM_THRESHOLD, INT_MAX);
    mallopt(M_MMAP_THRESHOLD, INT_MAX);
    make_pools(pools);
    catch_signals();
    clock_gettime(CLOCK_MONOTONIC, &began);
    struct tally all = run_all(&o, pools, &began);
    printf("# %" PRIu64 " seeds, %" PRIu64 " failed, %" PRIu64 " simulated segments, %.1f s\n",
           all.seeds, all.failed, all.segments, seconds_since(&began));
    return all.failed != 0;
}
