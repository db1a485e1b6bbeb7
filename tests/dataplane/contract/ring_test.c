#include "contract/shm.h"
#include "tests/lib/suite.h"
#include <stdlib.h>

enum { SLOTS = 4, SLOT_BYTES = 64 };

struct fixture {
    struct tgw_ring *ring;
    struct tgw_ring_end in, out;
};

static struct fixture setup(void) {
    struct fixture f;
    f.ring = aligned_alloc(64, tgw_ring_bytes(SLOTS, SLOT_BYTES));
    memset(f.ring, 0, tgw_ring_bytes(SLOTS, SLOT_BYTES));
    tgw_ring_producer(&f.in, f.ring, SLOTS, SLOT_BYTES);
    tgw_ring_consumer(&f.out, f.ring, SLOTS, SLOT_BYTES);
    return f;
}

static struct tgw_msg message(uint32_t seq) {
    return (struct tgw_msg){.type = 1, .len = sizeof(struct tgw_msg), .seq = seq};
}

static void keeps_order_and_refuses_when_full(void) {
    struct fixture f = setup();
    struct tgw_msg m, got[SLOT_BYTES / sizeof(struct tgw_msg)];
    for (uint32_t i = 0; i < SLOTS; i++) {
        m = message(i);
        CU_ASSERT_TRUE(tgw_ring_push(&f.in, &m));
    }
    m = message(99);
    CU_ASSERT_FALSE(tgw_ring_push(&f.in, &m));
    for (uint32_t i = 0; i < SLOTS; i++) {
        CU_ASSERT_EQUAL(tgw_ring_pop(&f.out, got), sizeof(struct tgw_msg));
        CU_ASSERT_EQUAL(got[0].seq, i);
    }
    CU_ASSERT_EQUAL(tgw_ring_pop(&f.out, got), 0);
    CU_ASSERT_EQUAL(f.in.faults + f.out.faults, 0);
    free(f.ring);
}

static void survives_a_hostile_peer(void) {
    struct fixture f = setup();
    struct tgw_msg m = message(7), got[SLOT_BYTES / sizeof(struct tgw_msg)];
    atomic_store(&f.ring->head, 1000); /* the producer claims more than the ring holds */
    CU_ASSERT_EQUAL(tgw_ring_pop(&f.out, got), 0);
    CU_ASSERT_EQUAL(f.out.faults, 1);
    atomic_store(&f.ring->tail, 12345); /* the consumer claims to be ahead */
    CU_ASSERT_FALSE(tgw_ring_push(&f.in, &m));
    CU_ASSERT_EQUAL(f.in.faults, 1);
    free(f.ring);
}

static void skips_impossible_lengths(void) {
    struct fixture f = setup();
    struct tgw_msg m = message(1), got[SLOT_BYTES / sizeof(struct tgw_msg)];
    CU_ASSERT_TRUE(tgw_ring_push(&f.in, &m));
    CU_ASSERT_TRUE(tgw_ring_push(&f.in, &m));
    uint16_t wild = 60000;
    memcpy(f.ring->slots + offsetof(struct tgw_msg, len), &wild, sizeof(wild));
    CU_ASSERT_EQUAL(tgw_ring_pop(&f.out, got), sizeof(struct tgw_msg));
    CU_ASSERT_EQUAL(f.out.faults, 1);
    CU_ASSERT_EQUAL(tgw_ring_pop(&f.out, got), 0);
    m.len = SLOT_BYTES + 1;
    CU_ASSERT_FALSE(tgw_ring_push(&f.in, &m));
    free(f.ring);
}

static void a_new_side_goes_on_where_the_old_one_stopped(void) {
    struct fixture f = setup();
    struct tgw_msg m = message(1), got[SLOT_BYTES / sizeof(struct tgw_msg)];
    CU_ASSERT_TRUE(tgw_ring_push(&f.in, &m));
    m.seq = 2;
    CU_ASSERT_TRUE(tgw_ring_push(&f.in, &m));
    CU_ASSERT_EQUAL(tgw_ring_pop(&f.out, got), sizeof(struct tgw_msg));
    struct tgw_ring_end next;
    tgw_ring_consumer(&next, f.ring, SLOTS, SLOT_BYTES);
    CU_ASSERT_EQUAL(tgw_ring_pop(&next, got), sizeof(struct tgw_msg));
    CU_ASSERT_EQUAL(got[0].seq, 2);
    free(f.ring);
}

static void a_text_is_checked_at_every_place(void) {
    char text[24] = "abcdefghijklmnopqrs";
    CU_ASSERT_TRUE(tgw_text_valid(text, sizeof(text)) && !tgw_text_valid(text, 19));
    for (int at = 0; at < 19; at++) {
        char was = text[at];
        for (int c = 1; c < 256; c++) {
            text[at] = (char)c;
            CU_ASSERT_EQUAL(tgw_text_valid(text, sizeof(text)),
                            c >= 0x21 && c <= 0x7e && c != '"' && c != '\\');
        }
        text[at] = was;
    }
}

int main(void) {
    static const struct suite_case cases[] = {
        {"keeps order and refuses when full", keeps_order_and_refuses_when_full},
        {"survives a hostile peer", survives_a_hostile_peer},
        {"skips impossible lengths", skips_impossible_lengths},
        {"a new side goes on where the old one stopped",
         a_new_side_goes_on_where_the_old_one_stopped},
        {"a text is checked at every place", a_text_is_checked_at_every_place},
    };
    return suite_run("contract/ring", cases, sizeof(cases) / sizeof(cases[0]));
}
