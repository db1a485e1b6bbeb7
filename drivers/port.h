/* A network port, as the dataplane sees it: DPDK device, in-memory pipe, or a
 * decorator around another port. One rx/tx queue pair belongs to one core.
 *
 * Ownership: rx_burst hands mbufs to the caller. tx_burst takes the first n it
 * returns; the rest stay the caller's. */
#ifndef TGW_DRIVERS_PORT_H
#define TGW_DRIVERS_PORT_H

#include <rte_mbuf.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct port;
struct port_rss;

/* What the port does in hardware; everything missing is done in software above. */
enum port_offload {
    PORT_RX_IP_CKSUM = 1u << 0, /* verdict in ol_flags */
    PORT_RX_L4_CKSUM = 1u << 1,
    PORT_TX_IP_CKSUM = 1u << 2, /* asked for by ol_flags */
    PORT_TX_L4_CKSUM = 1u << 3,
    PORT_TX_TSO = 1u << 4,
    PORT_RSS = 1u << 5,
    PORT_RX_INTR = 1u << 6,
    PORT_RX_TRUSTED = 1u << 7, /* link cannot corrupt: in-memory */
    PORT_RX_VLAN = 1u << 8,    /* the tag is taken off, and stands in vlan_tci */
    PORT_TX_VLAN = 1u << 9,    /* the tag is put in, from vlan_tci */
};

struct port_stats {
    uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes;
    uint64_t rx_missed, rx_errors, tx_errors, rx_nombuf;
};

struct port_link {
    bool up;
    uint32_t mbps;
};

struct port_ops {
    uint16_t (*rx_burst)(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);
    uint16_t (*tx_burst)(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n);
    void (*stats)(struct port *p, struct port_stats *out);
    void (*link)(struct port *p, struct port_link *out);
    void (*close)(struct port *p); /* stops the device and frees `p` */
};

/* How a core may wait for the packets of a queue instead of looking for them. */
struct port_wake {
    /* Once, in the thread that is to wait: packets end its port_wait. False: they do not. */
    bool (*watch)(const struct port_wake *w, uint16_t queue);
    /* On before the last look at the queue, off after the wait. */
    void (*arm)(const struct port_wake *w, uint16_t queue, bool on);
};

struct port {
    const struct port_ops *ops;
    char name[32];
    char driver[32];
    uint8_t mac[6];
    uint16_t mtu;                 /* IP bytes */
    uint16_t queues;              /* rx/tx pairs */
    uint16_t vlan;                /* all frames carry this tag; 0: none does */
    uint32_t offloads;            /* enum port_offload: what is used */
    uint32_t refused;             /* offered by the device and found wrong by the self-test */
    bool by_kernel;               /* bursts are system calls: what they take is not known */
    const struct port_rss *rss;   /* NULL: what lands where is not known */
    const struct port_wake *wake; /* NULL: takes no receive interrupts */
    char no_wake[160];            /* why not, if they were asked for */
};

static inline uint16_t port_rx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    return p->ops->rx_burst(p, queue, m, n);
}
static inline uint16_t port_tx(struct port *p, uint16_t queue, struct rte_mbuf **m, uint16_t n) {
    return p->ops->tx_burst(p, queue, m, n);
}

/* Until a packet comes to any queue that this thread watches and has armed; true. Or until
 * the time is over. */
bool port_wait(uint32_t timeout_ms);

/* The queue on which a packet arrives, as the port's hash says; 0 where it is not known.
 * Addresses in the 16-byte form, IPv4 as ::ffff:a.b.c.d. */
uint16_t port_rx_queue(const struct port *p, const uint8_t src[16], const uint8_t dst[16],
                       uint16_t sport, uint16_t dport);

enum { PORT_ADDRS_MAX = 4, PORT_LISTEN_MAX = 4 };

/* What to open; text fields come from the configuration. */
struct port_config {
    char name[32];     /* ours: "client", "node" */
    char driver[16];   /* af_packet, af_xdp, tap, memif, ring, pci, mlx5 */
    char device[64];   /* netdev, PCI address, memif socket path ... */
    char options[128]; /* extra devargs, "" for none */
    uint16_t mtu;      /* 0: the device's own */
    uint16_t queues;
    uint16_t vlan; /* 0: none */
    /* What is ours, for a NIC that is shared with the kernel: addresses in the 16-byte form,
     * listening ports, and those that our own connections come from. */
    uint8_t addr_count, tcp_port_count;
    uint8_t addr[PORT_ADDRS_MAX][16];
    uint16_t tcp_port[PORT_LISTEN_MAX];
    uint16_t local_port_first, local_port_last;
    bool rx_wake;              /* receive interrupts, if the device has them */
    uint16_t rx_desc, tx_desc; /* 0: default of the driver */
    /* Fault decorator, per mille of packets, both directions; all 0: none. */
    uint16_t loss_pm, reorder_pm, duplicate_pm, corrupt_pm;
    uint64_t fault_seed;
    char pcap_file[128]; /* pcap decorator, outermost; "" for none */
};

/* Can it be opened, as far as that shows without opening it? False with one line in err
 * that says what to do. `bus_args`: what EAL is to be started with (-a) for a device on a
 * bus, else "". Needs no EAL. errno is EAGAIN if the same may succeed in another process. */
bool port_check(const struct port_config *c, char *bus_args, size_t bytes, char *err,
                size_t err_bytes);
/* Open a port with its decorators. NULL on failure with one clear line in `err`.
 * `pool` supplies rx mbufs. EAL must be up. */
struct port *port_open(const struct port_config *c, struct rte_mempool *pool, char *err,
                       size_t err_bytes);
/* Before the process becomes `user`: so that what is open goes on working. False: errno. */
bool port_give(const struct port_config *c, uid_t user, gid_t group);

#endif
