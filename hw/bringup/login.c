/* Which NICs may not be taken: whoever takes the one that he is logged in over needs a
 * console. */
#include "bringup.h"
#include "drivers/sysfs.h"
#include <arpa/inet.h>
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { SSH_PORT = 22, TCP_ESTABLISHED = 1, RTF_REJECT = 0x200 };

static bool knows(const struct carriers *c, const char *netdev) {
    for (uint32_t i = 0; i < c->count; i++)
        if (strcmp(c->at[i].netdev, netdev) == 0)
            return true;
    return false;
}

/* The device, and what it stands on: a bond's, a bridge's, a VLAN's. */
static void add(struct carriers *c, const char *root, const char *netdev, const char *why) {
    char path[PATH_MAX];
    struct dirent *e;
    if (c->count == CARRIERS_MAX || knows(c, netdev) || strcmp(netdev, "lo") == 0)
        return;
    snprintf(c->at[c->count].netdev, sizeof(c->at[0].netdev), "%.31s", netdev);
    snprintf(c->at[c->count].why, sizeof(c->at[0].why), "%.79s", why);
    c->count++;
    snprintf(path, sizeof(path), "%s/sys/class/net/%s", root, netdev);
    DIR *d = opendir(path);
    while (d && (e = readdir(d)))
        if (strncmp(e->d_name, "lower_", 6) == 0)
            add(c, root, e->d_name + 6, why);
    if (d)
        closedir(d);
}

static FILE *open_under(const char *root, const char *file) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s%s", root, file);
    return fopen(path, "re");
}

/* /proc/net/route has addresses as the processor sees them in memory. `to` NULL: every
 * default route. */
static void routes4(struct carriers *c, const char *root, const struct in_addr *to,
                    const char *why) {
    char line[256], netdev[32], best[32] = "";
    unsigned dest, mask, flags, best_mask = 0;
    FILE *f = open_under(root, "/proc/net/route");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%31s %x %*x %x %*d %*d %*d %x", netdev, &dest, &flags, &mask) != 4 ||
            (flags & RTF_REJECT))
            continue;
        if (!to && mask == 0 && dest == 0)
            add(c, root, netdev, why);
        if (to && (to->s_addr & mask) == dest && (!best[0] || ntohl(mask) > ntohl(best_mask))) {
            best_mask = mask;
            memcpy(best, netdev, sizeof(best));
        }
    }
    if (best[0])
        add(c, root, best, why);
    if (f)
        fclose(f);
}

static bool hex_address(const char *text, struct in6_addr *out) {
    for (int i = 0; i < 16; i++) {
        unsigned byte;
        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        out->s6_addr[i] = (uint8_t)byte;
    }
    return true;
}

static bool has_prefix(const struct in6_addr *a, const struct in6_addr *prefix, unsigned bits) {
    for (unsigned i = 0; i < bits && i < 128; i++)
        if ((a->s6_addr[i / 8] ^ prefix->s6_addr[i / 8]) & 0x80 >> i % 8)
            return false;
    return true;
}

static void routes6(struct carriers *c, const char *root, const struct in6_addr *to,
                    const char *why) {
    char line[256], dest[33], netdev[32], best[32] = "";
    unsigned bits, flags, best_bits = 0;
    struct in6_addr prefix;
    FILE *f = open_under(root, "/proc/net/ipv6_route");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%32s %x %*s %*x %*s %*x %*x %*x %x %31s", dest, &bits, &flags, netdev) !=
                4 ||
            (flags & RTF_REJECT) || !hex_address(dest, &prefix))
            continue;
        if (!to && bits == 0)
            add(c, root, netdev, why);
        if (to && has_prefix(to, &prefix, bits) && strcmp(netdev, "lo") != 0 &&
            (!best[0] || bits > best_bits)) {
            best_bits = bits;
            memcpy(best, netdev, sizeof(best));
        }
    }
    if (best[0])
        add(c, root, best, why);
    if (f)
        fclose(f);
}

static void add_route_to(struct carriers *c, const char *root, const char *peer) {
    struct in_addr a4;
    struct in6_addr a6;
    char why[96];
    snprintf(why, sizeof(why), "the login from %.40s comes over it", peer);
    if (inet_pton(AF_INET, peer, &a4) == 1)
        routes4(c, root, &a4, why);
    else if (inet_pton(AF_INET6, peer, &a6) == 1)
        routes6(c, root, &a6, why);
}

/* Under sudo SSH_CONNECTION is gone, and others may be logged in besides. */
static void add_connections(struct carriers *c, const char *root) {
    char line[256], text[INET6_ADDRSTRLEN];
    unsigned port, state, word[4];
    FILE *f = open_under(root, "/proc/net/tcp");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*d: %*x:%x %x:%*x %x", &port, &word[0], &state) == 3 &&
            port == SSH_PORT && state == TCP_ESTABLISHED &&
            inet_ntop(AF_INET, &(struct in_addr){.s_addr = word[0]}, text, sizeof(text)))
            add_route_to(c, root, text);
    }
    if (f)
        fclose(f);
    f = open_under(root, "/proc/net/tcp6");
    while (f && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%*d: %*32[0-9A-F]:%x %8x%8x%8x%8x:%*x %x", &port, &word[0], &word[1],
                   &word[2], &word[3], &state) != 6 ||
            port != SSH_PORT || state != TCP_ESTABLISHED)
            continue;
        bool mapped = word[0] == 0 && word[1] == 0 && word[2] == htonl(0xffff);
        if (inet_ntop(mapped ? AF_INET : AF_INET6, mapped ? &word[3] : &word[0], text,
                      sizeof(text)))
            add_route_to(c, root, text);
    }
    if (f)
        fclose(f);
}

void carriers_find(struct carriers *c, const char *root, const char *ssh) {
    char peer[64];
    *c = (struct carriers){0};
    snprintf(peer, sizeof(peer), "%.*s", (int)strcspn(ssh, " %"), ssh);
    add_route_to(c, root, peer);
    add_connections(c, root);
    routes4(c, root, NULL, "the default route goes over it");
    routes6(c, root, NULL, "the default route goes over it");
}

/* A function may have several netdevs: a BlueField's has its representors besides. */
const char *carriers_of(const struct carriers *c, const char *root, const char *address) {
    for (uint32_t i = 0; i < c->count; i++) {
        char path[PATH_MAX], target[64], resolved[PATH_MAX];
        snprintf(path, sizeof(path), "%s/sys/class/net/%s/device", root, c->at[i].netdev);
        sysfs_link_name(path, target, sizeof(target));
        if (strcmp(target, address) == 0)
            return c->at[i].why;
        /* virtio: the netdev's device is a child of the function. */
        if (realpath(path, resolved) && strstr(resolved, address))
            return c->at[i].why;
        snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/%s/net/%s", root, address,
                 c->at[i].netdev);
        if (realpath(path, resolved))
            return c->at[i].why;
    }
    return NULL;
}
