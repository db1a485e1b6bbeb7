/* Packet sockets on a device of the kernel: works everywhere, for interoperation. */
#include "family.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool family_netdev_exists(const struct port_config *c, char *err, size_t err_bytes) {
    if (if_nametoindex(c->device))
        return true;
    snprintf(err, err_bytes,
             "%s: no network device named \"%s\" here: `ip link` lists those there are", c->name,
             c->device);
    return false;
}

void family_add_options(const struct port_config *c, char out[DEVARGS_BYTES]) {
    size_t n = strlen(out);
    if (c->options[0])
        snprintf(out + n, DEVARGS_BYTES - n, ",%s", c->options);
}

/* Could a socket on the device be in the fanout group of that number? */
static bool may_join(unsigned ifindex, uint16_t number) {
    const uint32_t how =
        PACKET_FANOUT_HASH | PACKET_FANOUT_FLAG_DEFRAG | PACKET_FANOUT_FLAG_ROLLOVER;
    const uint32_t group = (uint32_t)number | how << 16;
    const struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)ifindex};
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
    bool good = fd >= 0 && bind(fd, (const struct sockaddr *)&at, sizeof(at)) == 0 &&
                setsockopt(fd, SOL_PACKET, PACKET_FANOUT, &group, sizeof(group)) == 0;
    if (fd >= 0)
        close(fd);
    return good;
}

/* The driver numbers the group of its sockets by process and device. If another process has
 * that number on another device, in this network namespace, the kernel refuses, and only
 * another process will have another number. */
static bool number_is_free(const struct port_config *c, char *err, size_t err_bytes) {
    unsigned ifindex = if_nametoindex(c->device);
    uint16_t number = (uint16_t)((unsigned)getpid() ^ ifindex);
    if (may_join(ifindex, number) || !may_join(ifindex, (uint16_t)~number))
        return true; /* or it is not the number's fault */
    snprintf(err, err_bytes,
             "%s: another process has the packet socket group %u that this one would get: start it "
             "again",
             c->name, number);
    errno = EAGAIN;
    return false;
}

/* A frame slot holds the kernel's header (about 80 bytes) and the frame, and is a power
 * of two; the ring is 4 MiB a queue. The driver drops what does not fit. */
static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    enum { RING_BYTES = 4 * 1024 * 1024, SLOT_OVERHEAD = 128, PAGE = 4096 };
    unsigned slot = 2048;
    while (slot < c->mtu + (unsigned)SLOT_OVERHEAD)
        slot *= 2;
    snprintf(out, DEVARGS_BYTES,
             "net_af_packet_%s,iface=%s,qpairs=%u,blocksz=%u,framesz=%u,framecnt=%u,"
             "qdisc_bypass=1",
             c->device, c->device, c->queues, slot > PAGE ? slot : PAGE, slot, RING_BYTES / slot);
    family_add_options(c, out);
    return family_netdev_exists(c, err, err_bytes) && number_is_free(c, err, err_bytes);
}

const struct family family_af_packet = {
    .name = "af_packet", .args = args, .tx_forgets = true, .by_kernel = true};
