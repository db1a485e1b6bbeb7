/* What two threads see of the shared region, after the litmus tests of weakly ordered
 * machines (message passing; coherence of one location). On x86-64, and under an emulator
 * there, the machine itself hides a missing barrier: ThreadSanitizer does not, and runs this
 * too (tests/run.sh). With the argument "relaxed" the ring's index is published without
 * order, and ThreadSanitizer must say so. */
#include "contract/shm.h"
#include "tests/lib/suite.h"
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

enum { SLOTS = 4, SLOT_BYTES = 64, WORDS = SLOT_BYTES / 4 - 2, MESSAGES = 200000, REGIONS = 2000 };

struct message {
    struct tgw_msg msg;
    uint32_t word[WORDS];
};

struct pipe {
    struct tgw_ring *ring;
    uint32_t wrong, fill; /* fullest that the producer saw it */
};

static struct tgw_ring *new_ring(void) {
    struct tgw_ring *r = aligned_alloc(64, tgw_ring_bytes(SLOTS, SLOT_BYTES));
    memset(r, 0, tgw_ring_bytes(SLOTS, SLOT_BYTES));
    return r;
}

/* Lengths and words follow from the number, so that a torn or an old one shows. */
static struct message message(uint32_t seq) {
    struct message m = {.msg = {.type = 1, .seq = seq}};
    uint32_t words = 1 + seq % WORDS;
    m.msg.len = (uint16_t)(sizeof(m.msg) + words * 4);
    for (uint32_t i = 0; i < words; i++)
        m.word[i] = seq * 2654435761u + i;
    return m;
}

static void *produce(void *arg) {
    struct pipe *p = arg;
    struct tgw_ring_end e;
    tgw_ring_producer(&e, p->ring, SLOTS, SLOT_BYTES);
    for (uint32_t seq = 1; seq <= MESSAGES;) {
        struct message m = message(seq);
        if (tgw_ring_push(&e, &m.msg))
            seq++;
        else
            sched_yield();
        uint32_t used = tgw_ring_used(&e);
        p->fill = used > p->fill ? used : p->fill;
    }
    p->wrong += e.faults != 0;
    return NULL;
}

static void *consume(void *arg) {
    struct pipe *p = arg;
    struct tgw_ring_end e;
    struct message got;
    tgw_ring_consumer(&e, p->ring, SLOTS, SLOT_BYTES);
    for (uint32_t seq = 1; seq <= MESSAGES; seq++) {
        uint32_t len;
        while (!(len = tgw_ring_pop(&e, &got)))
            sched_yield();
        struct message want = message(seq);
        p->wrong += len != want.msg.len || memcmp(&got, &want, len) != 0;
    }
    p->wrong += e.faults != 0;
    return NULL;
}

static void two_threads(void *(*a)(void *), void *a_arg, void *(*b)(void *), void *b_arg) {
    pthread_t one, two;
    CU_ASSERT_EQUAL_FATAL(pthread_create(&one, NULL, a, a_arg), 0);
    CU_ASSERT_EQUAL_FATAL(pthread_create(&two, NULL, b, b_arg), 0);
    pthread_join(one, NULL);
    pthread_join(two, NULL);
}

static void a_message_is_whole_before_its_index_shows(void) {
    struct pipe to = {.ring = new_ring()}, from = {.ring = to.ring};
    two_threads(produce, &to, consume, &from);
    CU_ASSERT_EQUAL(to.wrong + from.wrong, 0);
    CU_ASSERT_EQUAL(to.fill, SLOTS); /* the full ring was met as well */
    free(to.ring);
}

/* A region is filled in plainly and shows by its magic: shm_region.c and bridge.c. */
struct regions {
    struct tgw_shm *at[REGIONS];
    uint32_t wrong;
};

static void *make_regions(void *arg) {
    struct regions *r = arg;
    for (uint32_t i = 0; i < REGIONS; i++) {
        struct tgw_shm *s = r->at[i];
        s->version = TGW_SHM_VERSION;
        s->layout = tgw_shm_layout();
        s->core_count = i;
        tgw_shm_publish(s);
    }
    return NULL;
}

static void *see_regions(void *arg) {
    struct regions *r = arg;
    for (uint32_t i = 0; i < REGIONS; i++) {
        struct tgw_shm *s = r->at[i];
        while (!tgw_shm_is_published(s))
            sched_yield();
        r->wrong +=
            s->version != TGW_SHM_VERSION || s->layout != tgw_shm_layout() || s->core_count != i;
    }
    return NULL;
}

static void a_region_is_whole_before_its_magic_shows(void) {
    static struct regions r;
    for (uint32_t i = 0; i < REGIONS; i++) {
        r.at[i] = aligned_alloc(64, sizeof(struct tgw_shm));
        memset(r.at[i], 0, sizeof(struct tgw_shm));
    }
    two_threads(make_regions, &r, see_regions, &r);
    CU_ASSERT_EQUAL(r.wrong, 0);
    for (uint32_t i = 0; i < REGIONS; i++)
        free(r.at[i]);
}

struct counting {
    struct tgw_counters counters;
    uint32_t wrong;
};

static void *count_up(void *arg) {
    struct counting *c = arg;
    for (uint32_t i = 0; i < MESSAGES; i++) {
        tgw_count(&c->counters, 0, UINT64_C(0x100000001));
        tgw_count_reason(&c->counters, 1);
    }
    return NULL;
}

/* Halves are never apart, and no counter runs backwards. */
static void *watch_counters(void *arg) {
    struct counting *c = arg;
    for (uint64_t last = 0; (uint32_t)last < MESSAGES;) {
        uint64_t v = tgw_counter_get(&c->counters, 0);
        c->wrong += v >> 32 != (v & UINT32_MAX) || v < last;
        last = v;
        sched_yield();
    }
    return NULL;
}

static void counters_are_whole_and_run_forward(void) {
    static struct counting c;
    two_threads(count_up, &c, watch_counters, &c);
    CU_ASSERT_EQUAL(c.wrong, 0);
    CU_ASSERT_EQUAL(c.counters.reason[1], MESSAGES);
}

/* The proof that the sanitizer looks: a ring as it must not be. */
static void *produce_relaxed(void *arg) {
    struct pipe *p = arg;
    struct message m = message(1);
    memcpy(p->ring->slots, &m, m.msg.len);
    atomic_store_explicit(&p->ring->head, 1, memory_order_relaxed);
    return NULL;
}

static void *consume_one(void *arg) {
    struct pipe *p = arg;
    struct tgw_ring_end e;
    struct message got;
    tgw_ring_consumer(&e, p->ring, SLOTS, SLOT_BYTES);
    while (!tgw_ring_pop(&e, &got))
        sched_yield();
    return NULL;
}

static int relaxed(void) {
    struct pipe p = {.ring = new_ring()};
    pthread_t one, two;
    if (pthread_create(&two, NULL, consume_one, &p) ||
        pthread_create(&one, NULL, produce_relaxed, &p))
        return 1;
    pthread_join(one, NULL);
    pthread_join(two, NULL);
    free(p.ring);
    return 0;
}

int main(int argc, char **argv) {
    static const struct suite_case cases[] = {
        {"a message is whole before its index shows", a_message_is_whole_before_its_index_shows},
        {"a region is whole before its magic shows", a_region_is_whole_before_its_magic_shows},
        {"counters are whole and run forward", counters_are_whole_and_run_forward},
    };
    if (argc == 2 && strcmp(argv[1], "relaxed") == 0)
        return relaxed();
    return suite_run("contract/order", cases, sizeof(cases) / sizeof(cases[0]));
}
