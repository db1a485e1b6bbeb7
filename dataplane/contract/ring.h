/* Single-producer single-consumer ring of fixed slots in shared memory.
 *
 * Each side keeps its own copy of the geometry and of its own index in private
 * memory (struct tgw_ring_end): nothing that the other side can write is ever
 * trusted. A peer index that is out of range reads as an empty (consumer) or
 * full (producer) ring and is counted in `faults`.
 * Messages go by value; a message is at most slot_bytes long and starts with
 * struct tgw_msg. A full ring never blocks: push returns false. */
#ifndef TGW_CONTRACT_RING_H
#define TGW_CONTRACT_RING_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Head of every message. */
struct tgw_msg {
    uint16_t type;
    uint16_t len; /* bytes, this head included */
    uint32_t seq; /* answers carry the seq of their command; 0: unasked */
};

/* In the shared region. Each index has one writer. */
struct tgw_ring {
    _Alignas(64) _Atomic uint32_t head; /* written by the producer: next slot to fill */
    _Alignas(64) _Atomic uint32_t tail; /* written by the consumer: next slot to take */
    _Alignas(64) unsigned char slots[];
};

/* Private to one side. */
struct tgw_ring_end {
    struct tgw_ring *ring;
    uint32_t slot_bytes;
    uint32_t slots; /* power of two */
    uint32_t own;   /* own index, free-running */
    uint64_t faults;
};

static inline size_t tgw_ring_bytes(uint32_t slots, uint32_t slot_bytes) {
    return sizeof(struct tgw_ring) + (size_t)slots * slot_bytes;
}

/* Attach the producing side, continuing where a predecessor stopped. */
static inline void tgw_ring_producer(struct tgw_ring_end *e, struct tgw_ring *r, uint32_t slots,
                                     uint32_t slot_bytes) {
    *e = (struct tgw_ring_end){.ring = r, .slot_bytes = slot_bytes, .slots = slots};
    e->own = atomic_load_explicit(&r->head, memory_order_relaxed);
}

/* Attach the consuming side, continuing where a predecessor stopped. */
static inline void tgw_ring_consumer(struct tgw_ring_end *e, struct tgw_ring *r, uint32_t slots,
                                     uint32_t slot_bytes) {
    *e = (struct tgw_ring_end){.ring = r, .slot_bytes = slot_bytes, .slots = slots};
    e->own = atomic_load_explicit(&r->tail, memory_order_relaxed);
}

static inline unsigned char *tgw_ring_slot(const struct tgw_ring_end *e, uint32_t i) {
    return e->ring->slots + (size_t)(i & (e->slots - 1)) * e->slot_bytes;
}

/* Copy `msg` (msg->len bytes) in. False: full, or the message is too long. */
static inline bool tgw_ring_push(struct tgw_ring_end *e, const struct tgw_msg *msg) {
    uint32_t used = e->own - atomic_load_explicit(&e->ring->tail, memory_order_acquire);
    if (used >= e->slots || msg->len > e->slot_bytes || msg->len < sizeof(*msg)) {
        e->faults += used > e->slots;
        return false;
    }
    memcpy(tgw_ring_slot(e, e->own), msg, msg->len);
    atomic_store_explicit(&e->ring->head, ++e->own, memory_order_release);
    return true;
}

/* Copy the next message out into `buf` (at least slot_bytes long). Returns its
 * length, 0 when there is none. A message whose length is impossible is skipped
 * and counted. The length is read once, from the private copy. */
static inline uint32_t tgw_ring_pop(struct tgw_ring_end *e, void *buf) {
    for (;;) {
        uint32_t ready = atomic_load_explicit(&e->ring->head, memory_order_acquire) - e->own;
        if (ready == 0 || ready > e->slots) {
            e->faults += ready > e->slots;
            return 0;
        }
        const unsigned char *slot = tgw_ring_slot(e, e->own);
        struct tgw_msg head;
        memcpy(&head, slot, sizeof(head));
        bool good = head.len >= sizeof(head) && head.len <= e->slot_bytes;
        if (good) {
            memcpy(buf, slot, head.len);
            memcpy(buf, &head, sizeof(head));
        }
        atomic_store_explicit(&e->ring->tail, ++e->own, memory_order_release);
        if (good)
            return head.len;
        e->faults++;
    }
}

/* Messages that wait, at most `slots` whatever the other side claims. */
static inline uint32_t tgw_ring_used(const struct tgw_ring_end *e) {
    uint32_t used = atomic_load_explicit(&e->ring->head, memory_order_relaxed) -
                    atomic_load_explicit(&e->ring->tail, memory_order_relaxed);
    return used <= e->slots ? used : e->slots;
}

#endif
