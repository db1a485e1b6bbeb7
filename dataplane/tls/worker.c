#include "worker.h"
#include "heap.h"
#include "job.h"
#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct worker {
    struct tls_workers *all;
    pthread_t thread;
    bool running;
    sem_t wake;
};

/* The rings between one worker and one core. */
struct pair {
    struct tgw_ring *to_worker, *to_core;
    struct tgw_ring_end in, out; /* the worker's ends */
};

struct tls_workers {
    struct tls_context *context;
    uint32_t workers, cores, slots;
    struct worker *worker;
    struct pair *pair; /* [worker * cores + core] */
    _Atomic bool stop;
};

static uint32_t power_of_two(uint32_t least) {
    uint32_t n = 1;
    while (n < least)
        n *= 2;
    return n;
}

static bool push(struct tgw_ring_end *e, struct tls_job *job) {
    const struct tls_job_msg m = {.msg = {.len = sizeof(m)}, .job = job};
    return tgw_ring_push(e, &m.msg);
}

static struct tls_job *pop(struct tgw_ring_end *e) {
    struct tls_job_msg m;
    return tgw_ring_pop(e, &m) ? m.job : NULL;
}

void tls_link_push(struct tls_link *l, struct tls_job *job) {
    bool pushed = push(&l->to, job);
    assert(pushed); /* a ring holds every job there is */
    (void)pushed;
    l->load++;
    sem_post(l->wake);
}

struct tls_job *tls_link_pop(struct tls_link *l) {
    struct tls_job *job = pop(&l->from);
    if (job)
        l->load--;
    return job;
}

uint32_t tls_workers_turn(struct tls_workers *w, uint32_t worker) {
    uint32_t n = 0;
    /* One of each core in turn: none of them can keep the others waiting. */
    for (uint32_t core = 0; core < w->cores; core++) {
        struct pair *p = &w->pair[worker * w->cores + core];
        struct tls_job *job = pop(&p->in);
        if (!job)
            continue;
        tls_job_step(w->context, job);
        bool pushed = push(&p->out, job);
        assert(pushed);
        (void)pushed;
        n++;
    }
    return n;
}

static void *run(void *arg) {
    struct worker *me = arg;
    struct tls_workers *w = me->all;
    tls_heap_hide_stack();
    while (!atomic_load(&w->stop)) {
        sem_wait(&me->wake);
        tls_workers_turn(w, (uint32_t)(me - w->worker));
    }
    return NULL;
}

static bool make_ring(const struct tls_workers *w, struct tgw_ring **ring) {
    size_t bytes = (tgw_ring_bytes(w->slots, sizeof(struct tls_job_msg)) + 63) & ~(size_t)63;
    *ring = aligned_alloc(64, bytes);
    if (*ring)
        memset(*ring, 0, bytes);
    return *ring != NULL;
}

static bool make_pair(const struct tls_workers *w, struct pair *p) {
    if (!make_ring(w, &p->to_worker) || !make_ring(w, &p->to_core))
        return false;
    tgw_ring_consumer(&p->in, p->to_worker, w->slots, sizeof(struct tls_job_msg));
    tgw_ring_producer(&p->out, p->to_core, w->slots, sizeof(struct tls_job_msg));
    return true;
}

static bool start(struct tls_workers *w, uint32_t i, bool thread) {
    struct worker *me = &w->worker[i];
    me->all = w;
    for (uint32_t core = 0; core < w->cores; core++)
        if (!make_pair(w, &w->pair[i * w->cores + core]))
            return false;
    if (!thread)
        return true;
    me->running = pthread_create(&me->thread, NULL, run, me) == 0;
    if (me->running) {
        char name[16];
        snprintf(name, sizeof(name), "tgw-tls-%u", i % 1000);
        pthread_setname_np(me->thread, name);
    }
    return me->running;
}

struct tls_workers *tls_workers_create(struct tls_context *x, uint32_t workers, uint32_t cores,
                                       uint32_t handshakes_max, bool threads) {
    struct tls_workers *w = calloc(1, sizeof(*w));
    if (!w)
        return NULL;
    w->context = x;
    w->cores = cores;
    w->slots = power_of_two(handshakes_max);
    w->worker = calloc(workers, sizeof(*w->worker));
    w->pair = calloc((size_t)workers * cores, sizeof(*w->pair));
    bool good = w->worker && w->pair;
    for (; good && w->workers < workers; w->workers++) {
        sem_init(&w->worker[w->workers].wake, 0, 0);
        good = start(w, w->workers, threads);
    }
    if (good)
        return w;
    tls_workers_destroy(w);
    return NULL;
}

void tls_workers_destroy(struct tls_workers *w) {
    if (!w)
        return;
    atomic_store(&w->stop, true);
    for (uint32_t i = 0; i < w->workers; i++) {
        sem_post(&w->worker[i].wake);
        if (w->worker[i].running)
            pthread_join(w->worker[i].thread, NULL);
        sem_destroy(&w->worker[i].wake);
    }
    for (uint32_t i = 0; w->pair && i < w->workers * w->cores; i++) {
        free(w->pair[i].to_worker);
        free(w->pair[i].to_core);
    }
    free(w->pair);
    free(w->worker);
    free(w);
}

uint32_t tls_workers_count(const struct tls_workers *w) {
    return w->workers;
}

bool tls_workers_threaded(const struct tls_workers *w) {
    return w->worker[0].running;
}

struct tls_context *tls_workers_context(const struct tls_workers *w) {
    return w->context;
}

void tls_workers_link(struct tls_workers *w, uint32_t worker, uint32_t core, struct tls_link *out) {
    const struct pair *p = &w->pair[worker * w->cores + core];
    *out = (struct tls_link){.wake = &w->worker[worker].wake};
    tgw_ring_producer(&out->to, p->to_worker, w->slots, sizeof(struct tls_job_msg));
    tgw_ring_consumer(&out->from, p->to_core, w->slots, sizeof(struct tls_job_msg));
}
