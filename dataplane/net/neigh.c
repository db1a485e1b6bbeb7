/* Neighbour cache for ARP and NDP, after the states of RFC 4861 section 7.3.2. */
#include "core/lines.h"
#include "net_priv.h"
#include <stdlib.h>

enum {
    NEIGH_SETS = 256,
    NEIGH_WAYS = 4,
    NEIGH_ENTRIES = NEIGH_SETS * NEIGH_WAYS,
    NEIGH_WAITING_MAX = 4,
    NEIGH_PROBES_MAX = 3,
    NEIGH_REACHABLE_S = 30,
};
_Static_assert((NEIGH_SETS & (NEIGH_SETS - 1)) == 0, "indexed by mask");

enum neigh_state {
    NEIGH_FREE,
    NEIGH_INCOMPLETE, /* asked for, packets wait */
    NEIGH_REACHABLE,
    NEIGH_STALE,  /* usable, to be verified at the next use */
    NEIGH_PROBE,  /* usable, being verified */
    NEIGH_FAILED, /* did not answer: not asked again before the deadline */
};

struct neigh {
    struct ip_addr addr;
    uint8_t iface;
    uint8_t state;
    uint8_t probes;
    uint8_t waiting_count;
    bool listed; /* in the table's list of those who are asked */
    uint8_t mac[6];
    uint64_t deadline_ns;  /* INCOMPLETE, PROBE: next probe; REACHABLE, FAILED: end of it */
    uint64_t last_used_ns; /* 0: learned, never sent to */
    struct rte_mbuf *waiting[NEIGH_WAITING_MAX];
};

struct neigh_table {
    uint64_t next_timer_ns; /* no later than the earliest probe due */
    uint32_t asked_count;
    uint16_t asked[NEIGH_ENTRIES]; /* INCOMPLETE, PROBE, and some that were until the last tick */
    struct neigh entry[NEIGH_ENTRIES];
};

struct neigh_table *neigh_create(void) {
    struct neigh_table *t = lines_zalloc(1, sizeof(*t));
    if (t)
        t->next_timer_ns = UINT64_MAX;
    return t;
}

static void drop_waiting(struct net *n, struct neigh *e) {
    for (uint8_t k = 0; k < e->waiting_count; k++)
        net_drop(n, e->waiting[k], TGW_R_neigh_unresolved);
    e->waiting_count = 0;
}

void neigh_destroy(struct neigh_table *t) {
    if (!t)
        return;
    for (struct neigh *e = t->entry; e < t->entry + NEIGH_ENTRIES; e++)
        rte_pktmbuf_free_bulk(e->waiting, e->waiting_count);
    free(t);
}

static struct neigh *set_of(struct neigh_table *t, const struct ip_addr *a) {
    uint64_t h[2];
    memcpy(h, a->b, sizeof(h));
    /* Neighbours differ in their last bytes, which are the highest bits here: fold them
     * down before the product carries them up into every bit that counts. */
    uint64_t mix = h[0] ^ h[1];
    mix = (mix ^ (mix >> 32)) * 0x9e3779b97f4a7c15u;
    return t->entry + ((mix >> 48) & (NEIGH_SETS - 1)) * NEIGH_WAYS;
}

static struct neigh *neigh_find(struct neigh_table *t, uint8_t iface, const struct ip_addr *a) {
    struct neigh *set = set_of(t, a);
    for (int k = 0; k < NEIGH_WAYS; k++)
        if (set[k].state != NEIGH_FREE && set[k].iface == iface && ip_addr_eq(&set[k].addr, a))
            return &set[k];
    return NULL;
}

/* The free way of the set, else the one whose last use lies furthest back: entries
 * learned but never sent to go first, so that a sweep cannot push out live ones. */
static struct neigh *neigh_make(struct net *n, uint8_t iface, const struct ip_addr *a) {
    struct neigh *set = set_of(n->neigh, a), *victim = set;
    for (int k = 0; k < NEIGH_WAYS && victim->state != NEIGH_FREE; k++)
        if (set[k].state == NEIGH_FREE || set[k].last_used_ns < victim->last_used_ns)
            victim = &set[k];
    drop_waiting(n, victim);
    *victim =
        (struct neigh){.addr = *a, .iface = iface, .state = NEIGH_STALE, .listed = victim->listed};
    return victim;
}

/* Ask, and be back in about a second; jittered so that cores do not ask in step. */
static void solicit(struct net *n, struct neigh *e) {
    struct iface *out = &n->iface[e->iface];
    const uint8_t *mac = e->state == NEIGH_PROBE ? e->mac : NULL;
    e->probes++;
    e->deadline_ns = n->now_ns + SECOND_NS + net_random(n) % (SECOND_NS / 16);
    if (e->deadline_ns < n->neigh->next_timer_ns)
        n->neigh->next_timer_ns = e->deadline_ns;
    if (ip_addr_is4(&e->addr))
        arp_request(n, out, &e->addr, mac);
    else
        ndp_solicit(n, out, &e->addr, mac);
}

static void start(struct net *n, struct neigh *e, enum neigh_state state) {
    struct neigh_table *t = n->neigh;
    e->state = (uint8_t)state;
    e->probes = 0;
    if (!e->listed)
        t->asked[t->asked_count++] = (uint16_t)(e - t->entry);
    e->listed = true;
    solicit(n, e);
}

static void wait_for(struct net *n, struct neigh *e, struct rte_mbuf *m) {
    if (e->waiting_count == NEIGH_WAITING_MAX) {
        /* RFC 1122 section 2.3.2.2: the latest packets are the ones worth keeping. */
        net_drop(n, e->waiting[0], TGW_R_neigh_unresolved);
        e->waiting_count--;
        memmove(e->waiting, e->waiting + 1, e->waiting_count * sizeof(e->waiting[0]));
    }
    e->waiting[e->waiting_count++] = m;
}

static void send_to(struct net *n, const struct neigh *e, struct rte_mbuf *m) {
    uint16_t type = ip_addr_is4(&e->addr) ? RTE_ETHER_TYPE_IPV4 : RTE_ETHER_TYPE_IPV6;
    eth_send(n, &n->iface[e->iface], m, e->mac, type);
}

void neigh_output(struct net *n, struct iface *out, const struct ip_addr *hop, struct rte_mbuf *m) {
    struct neigh *e = neigh_find(n->neigh, out->index, hop);
    bool fresh = e == NULL;
    if (fresh)
        e = neigh_make(n, out->index, hop);
    e->last_used_ns = n->now_ns;
    if (fresh || (e->state == NEIGH_FAILED && n->now_ns >= e->deadline_ns))
        start(n, e, NEIGH_INCOMPLETE);
    else if (e->state == NEIGH_STALE ||
             (e->state == NEIGH_REACHABLE && n->now_ns >= e->deadline_ns))
        start(n, e, NEIGH_PROBE);
    if (e->state == NEIGH_INCOMPLETE)
        wait_for(n, e, m);
    else if (e->state == NEIGH_FAILED)
        net_drop(n, m, TGW_R_neigh_unresolved);
    else
        send_to(n, e, m);
}

/* An entry may since have become another neighbour's: its place stays, its address tells. */
static struct neigh *find_again(struct net *n, struct iface *out, const struct ip_addr *hop) {
    struct neigh *e = out->last_hop;
    if (!e || e->iface != out->index || !ip_addr_eq(&e->addr, hop))
        out->last_hop = e = neigh_find(n->neigh, out->index, hop);
    return e;
}

const uint8_t *neigh_mac(struct net *n, struct iface *out, const struct ip_addr *hop) {
    struct neigh *e = find_again(n, out, hop);
    if (!e || e->state != NEIGH_REACHABLE || n->now_ns >= e->deadline_ns)
        return NULL;
    e->last_used_ns = n->now_ns;
    return e->mac;
}

static void resolved(struct net *n, struct neigh *e, const uint8_t *mac, enum neigh_state state) {
    memcpy(e->mac, mac, 6);
    e->state = (uint8_t)state;
    e->probes = 0;
    e->deadline_ns = n->now_ns + NEIGH_REACHABLE_S * SECOND_NS;
    uint8_t count = e->waiting_count;
    e->waiting_count = 0;
    for (uint8_t k = 0; k < count; k++)
        send_to(n, e, e->waiting[k]);
}

void neigh_learn(struct net *n, struct iface *in, const struct ip_addr *addr, const uint8_t *mac) {
    if (!iface_on_link(in, addr))
        return;
    struct neigh *e = neigh_find(n->neigh, in->index, addr);
    if (!e)
        e = neigh_make(n, in->index, addr);
    /* That they hear us is not shown yet, so STALE (RFC 4861 section 7.2.3), but
     * what is known reachable at that very MAC stays so. */
    bool same = memcmp(e->mac, mac, 6) == 0;
    if (same && (e->state == NEIGH_REACHABLE || e->state == NEIGH_PROBE))
        return;
    resolved(n, e, mac, NEIGH_STALE);
}

/* RFC 4861 section 7.2.5, and the same for ARP. */
void neigh_answer(struct net *n, struct iface *in, const struct ip_addr *addr, const uint8_t *mac,
                  bool solicited, bool override) {
    struct neigh *e = neigh_find(n->neigh, in->index, addr);
    if (!e || e->state == NEIGH_FAILED)
        return;
    bool asked = e->state == NEIGH_INCOMPLETE || e->state == NEIGH_PROBE;
    if (e->state == NEIGH_INCOMPLETE) {
        resolved(n, e, mac, solicited ? NEIGH_REACHABLE : NEIGH_STALE);
    } else if (memcmp(e->mac, mac, 6) == 0 || (override && asked && solicited)) {
        if (solicited && asked)
            resolved(n, e, mac, NEIGH_REACHABLE);
    } else if (e->state == NEIGH_REACHABLE) {
        /* Somebody claims the address unasked: verify with the MAC we know; a moved
         * peer does not answer there and is asked for afresh. */
        e->state = NEIGH_STALE;
    }
}

static bool is_asked(const struct neigh *e) {
    return e->state == NEIGH_INCOMPLETE || e->state == NEIGH_PROBE;
}

static void probe_due(struct net *n, struct neigh *e) {
    if (e->probes < NEIGH_PROBES_MAX) {
        solicit(n, e);
    } else if (e->state == NEIGH_PROBE) {
        start(n, e, NEIGH_INCOMPLETE); /* moved or gone: ask everybody before giving up */
    } else {
        e->state = NEIGH_FAILED;
        e->deadline_ns = n->now_ns + SECOND_NS;
        drop_waiting(n, e);
    }
}

void neigh_tick(struct net *n) {
    struct neigh_table *t = n->neigh;
    if (n->now_ns < t->next_timer_ns)
        return;
    uint64_t next = UINT64_MAX;
    for (uint32_t i = 0; i < t->asked_count;) {
        struct neigh *e = &t->entry[t->asked[i]];
        if (is_asked(e) && n->now_ns >= e->deadline_ns)
            probe_due(n, e);
        if (!is_asked(e)) {
            e->listed = false;
            t->asked[i] = t->asked[--t->asked_count];
            continue;
        }
        if (e->deadline_ns < next)
            next = e->deadline_ns;
        i++;
    }
    t->next_timer_ns = next;
}

void neigh_doubt_all(struct net *n) {
    for (struct neigh *e = n->neigh->entry; e < n->neigh->entry + NEIGH_ENTRIES; e++) {
        if (e->state == NEIGH_FREE || e->state == NEIGH_INCOMPLETE)
            continue;
        e->state = NEIGH_FAILED;
        e->deadline_ns = n->now_ns; /* the next packet asks everybody */
    }
}

uint64_t neigh_next_timer(const struct neigh_table *t) {
    return t->next_timer_ns;
}

bool neigh_is_known(struct net *n, const struct iface *out, const struct ip_addr *hop) {
    const struct neigh *e = neigh_find(n->neigh, out->index, hop);
    return e && e->state != NEIGH_INCOMPLETE && e->state != NEIGH_FAILED;
}
