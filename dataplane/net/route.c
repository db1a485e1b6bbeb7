#include "net_priv.h"

bool iface_is_own(const struct iface *i, const struct ip_addr *a) {
    for (uint8_t k = 0; k < i->addr_count; k++)
        if (ip_addr_eq(&i->addr[k].addr, a))
            return true;
    return i->has_range && ip_prefix_has(&i->range, a);
}

const struct ip_prefix *iface_on_link(const struct iface *i, const struct ip_addr *to) {
    for (uint8_t k = 0; k < i->addr_count; k++)
        if (ip_prefix_has(&i->addr[k], to))
            return &i->addr[k];
    return NULL;
}

const struct ip_addr *iface_source(const struct iface *i, const struct ip_addr *to) {
    const struct ip_prefix *p = iface_on_link(i, to);
    if (p)
        return &p->addr;
    /* A link-local source does not pass a router: only where nothing else is there. */
    const struct ip_addr *last = NULL;
    for (uint8_t k = 0; k < i->addr_count; k++) {
        const struct ip_addr *a = &i->addr[k].addr;
        if (ip_addr_is4(a) != ip_addr_is4(to))
            continue;
        if (!ip6_is_link_local(a))
            return a;
        last = a;
    }
    return last;
}

static const struct ip_addr *gateway(const struct iface *i, const struct ip_addr *dst) {
    if (ip_addr_is4(dst))
        return i->has_gateway4 ? &i->gateway4 : NULL;
    return i->has_gateway6 ? &i->gateway6 : NULL;
}

const struct ip_addr *iface_next_hop(const struct iface *i, const struct ip_addr *dst) {
    if (iface_on_link(i, dst))
        return dst;
    return ip6_is_link_local(dst) ? NULL : gateway(i, dst);
}

static bool route_by(const struct iface *i, const struct ip_addr *src, struct net_route *out) {
    if (!src)
        return false;
    *out = (struct net_route){.iface = i->index, .mtu = i->port->mtu, .src = *src};
    return true;
}

bool net_route(const struct net *n, const struct ip_addr *dst, struct net_route *out) {
    for (uint8_t k = 0; k < n->iface_count; k++) {
        const struct ip_prefix *p = iface_on_link(&n->iface[k], dst);
        if (p)
            return route_by(&n->iface[k], &p->addr, out);
    }
    for (uint8_t k = 0; k < n->iface_count; k++) {
        const struct iface *i = &n->iface[k];
        const struct ip_addr *hop = iface_next_hop(i, dst);
        const struct ip_addr *src = hop ? iface_source(i, hop) : NULL;
        /* A gateway named by its link-local address is reached from there, but the
         * packet's own source must be one that can be answered. */
        if (src && ip6_is_link_local(src))
            src = iface_source(i, dst);
        if (route_by(i, src, out))
            return true;
    }
    return false;
}

bool net_is_local(const struct net *n, const struct ip_addr *a) {
    for (uint8_t k = 0; k < n->iface_count; k++)
        if (iface_is_own(&n->iface[k], a))
            return true;
    return false;
}

/* All host bits one, on a prefix that has a broadcast address (RFC 3021: /31 has none). */
static bool is_subnet_broadcast(const struct ip_prefix *p, const struct ip_addr *a) {
    if (!ip_addr_is4(&p->addr) || p->len > 126 || !ip_prefix_has(p, a))
        return false;
    uint32_t host = UINT32_MAX >> (p->len - 96u);
    return (get32(a->b + 12) & host) == host;
}

static bool source4_is_valid(const struct iface *i, const struct ip_addr *a) {
    const uint8_t *b = a->b + 12;
    if (b[0] == 0 || b[0] == 127 || b[0] >= 224)
        return false; /* RFC 1122 section 3.2.1.3; 240/4 holds the broadcast too */
    for (uint8_t k = 0; k < i->addr_count; k++)
        if (is_subnet_broadcast(&i->addr[k], a))
            return false;
    return true;
}

bool source_is_valid(const struct net *n, const struct iface *i, const struct ip_addr *a) {
    static const struct ip_addr loopback = {{[15] = 1}};
    if (net_is_local(n, a))
        return false;
    if (ip_addr_is4(a))
        return source4_is_valid(i, a);
    return !ip6_is_multicast(a) && !ip_addr_is_unspecified(a) && !ip_addr_eq(a, &loopback);
}
