#include "drivers/negotiate.h"
#include "drivers/sysfs.h"
#include "tests/lib/suite.h"
#include <rte_thash.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct rte_eth_dev_info full(void) {
    return (struct rte_eth_dev_info){.max_rx_queues = 8,
                                     .max_tx_queues = 4,
                                     .hash_key_size = 52,
                                     .reta_size = 128,
                                     .rx_offload_capa = UINT64_MAX,
                                     .tx_offload_capa = UINT64_MAX,
                                     .flow_type_rss_offloads =
                                         RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP | RTE_ETH_RSS_UDP};
}

static void what_is_offered_is_taken(void) {
    struct rte_eth_dev_info info = full();
    struct port_rss rss = {0};
    struct negotiated n;
    negotiate(&(struct port_config){.queues = 4}, &info, &rss, &n);
    CU_ASSERT_EQUAL(n.queues, 4);
    CU_ASSERT_EQUAL(n.offloads, PORT_RX_IP_CKSUM | PORT_RX_L4_CKSUM | PORT_TX_IP_CKSUM |
                                    PORT_TX_L4_CKSUM | PORT_TX_TSO | PORT_RSS);
    CU_ASSERT_FALSE(n.linearise);
    CU_ASSERT_EQUAL(n.conf.rxmode.mq_mode, RTE_ETH_MQ_RX_RSS);
    CU_ASSERT_EQUAL(n.conf.rx_adv_conf.rss_conf.rss_hf & RTE_ETH_RSS_UDP, 0);
    CU_ASSERT_EQUAL(rss.key_bytes, 52);
    CU_ASSERT_TRUE(rss.ports4 && rss.ports6);
    /* Nothing that we have no use for. */
    CU_ASSERT_EQUAL(n.conf.rxmode.offloads,
                    RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_CKSUM);
}

static void what_is_missing_is_not_asked_for(void) {
    struct rte_eth_dev_info info = {.max_rx_queues = 1, .max_tx_queues = 1};
    struct port_rss rss = {0};
    struct negotiated n;
    negotiate(&(struct port_config){.queues = 4, .vlan = 3}, &info, &rss, &n);
    CU_ASSERT_EQUAL(n.queues, 1);
    CU_ASSERT_EQUAL(n.offloads, 0);
    CU_ASSERT_EQUAL(n.conf.rxmode.offloads | n.conf.txmode.offloads, 0);
    CU_ASSERT_TRUE(n.linearise);
    /* TSO without the checksum that it needs is no TSO. */
    info.tx_offload_capa = RTE_ETH_TX_OFFLOAD_TCP_TSO;
    negotiate(&(struct port_config){.queues = 1}, &info, &rss, &n);
    CU_ASSERT_EQUAL(n.offloads, 0);
    CU_ASSERT_EQUAL(n.conf.txmode.offloads, 0);
    /* A key longer than any we know is not ours to compute with. */
    info = full();
    info.hash_key_size = 80;
    negotiate(&(struct port_config){.queues = 2}, &info, &rss, &n);
    CU_ASSERT_EQUAL(n.offloads & PORT_RSS, 0);
}

static void tags_are_asked_for_where_there_is_a_vlan(void) {
    struct rte_eth_dev_info info = full();
    struct port_rss rss = {0};
    struct negotiated n;
    negotiate(&(struct port_config){.queues = 1}, &info, &rss, &n);
    CU_ASSERT_EQUAL(n.offloads & (PORT_RX_VLAN | PORT_TX_VLAN), 0);
    negotiate(&(struct port_config){.queues = 1, .vlan = 9}, &info, &rss, &n);
    CU_ASSERT_EQUAL(n.offloads & (PORT_RX_VLAN | PORT_TX_VLAN), PORT_RX_VLAN | PORT_TX_VLAN);
    CU_ASSERT_TRUE(n.conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP);
}

static void random_tuple(uint8_t src[16], uint8_t dst[16], bool v4) {
    for (int i = 0; i < 16; i++) {
        src[i] = (uint8_t)rand();
        dst[i] = (uint8_t)rand();
    }
    if (v4) {
        memset(src, 0, 10);
        memset(src + 10, 0xff, 2);
        memcpy(dst, src, 12);
    }
}

/* Against DPDK's own computation, and both directions alike. */
static void the_hash_is_the_ports(void) {
    struct port_rss r = {.ports4 = true, .ports6 = true, .key_bytes = 40, .table_size = 128};
    srand(5);
    for (int i = 0; i < 40; i++) /* any key must do */
        r.key[i] = (uint8_t)rand();
    uint32_t key[10]; /* rte_softrss reads words */
    memcpy(key, r.key, sizeof(key));
    for (int k = 0; k < 200; k++) {
        uint8_t src[16], dst[16];
        uint16_t sport = (uint16_t)rand(), dport = (uint16_t)rand();
        bool v4 = k & 1;
        uint32_t tuple[9], words = v4 ? 1 : 4;
        random_tuple(src, dst, v4);
        for (uint32_t w = 0; w < words; w++) {
            memcpy(&tuple[w], src + (v4 ? 12 : 0) + w * 4, 4);
            memcpy(&tuple[words + w], dst + (v4 ? 12 : 0) + w * 4, 4);
        }
        for (uint32_t w = 0; w < 2 * words; w++)
            tuple[w] = rte_be_to_cpu_32(tuple[w]);
        tuple[2 * words] = (uint32_t)sport << 16 | dport;
        CU_ASSERT_EQUAL(rss_hash(&r, src, dst, sport, dport),
                        rte_softrss(tuple, 2 * words + 1, (const uint8_t *)key));
    }
    rss_symmetric_key(r.key, r.key_bytes);
    for (int k = 0; k < 200; k++) {
        uint8_t src[16], dst[16];
        random_tuple(src, dst, k & 1);
        CU_ASSERT_EQUAL(rss_hash(&r, src, dst, 1000, (uint16_t)k),
                        rss_hash(&r, dst, src, (uint16_t)k, 1000));
    }
}

static void put(const char *root, const char *path, const char *text) {
    char full_path[256];
    snprintf(full_path, sizeof(full_path), "%s/%s", root, path);
    for (char *p = full_path + 1; (p = strchr(p, '/')); p++) {
        *p = 0;
        mkdir(full_path, 0755);
        *p = '/';
    }
    FILE *f = fopen(full_path, "w");
    if (!f || fputs(text, f) < 0 || fclose(f) != 0)
        abort();
}

static void functions_are_read(void) {
    char root[] = "/tmp/sysfs-XXXXXX", path[256], address[16], command[64];
    struct pci_function f;
    CU_ASSERT_TRUE_FATAL(mkdtemp(root) != NULL);
    put(root, "sys/bus/pci/devices/0000:03:00.0/vendor", "0x15b3\n");
    put(root, "sys/bus/pci/devices/0000:03:00.0/device", "0xa2d6\n");
    put(root, "sys/bus/pci/devices/0000:03:00.0/net/p0/mtu", "1500\n");
    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/0000:03:00.0/driver", root);
    CU_ASSERT_EQUAL(symlink("../../../bus/pci/drivers/mlx5_core", path), 0);
    snprintf(path, sizeof(path), "%s/sys/bus/pci/devices/0000:03:00.0/iommu_group", root);
    CU_ASSERT_EQUAL(symlink("../../../kernel/iommu_groups/14", path), 0);
    CU_ASSERT_TRUE(pci_address("3:0.0", address));
    CU_ASSERT_STRING_EQUAL(address, "0000:03:00.0");
    CU_ASSERT_TRUE(pci_read(root, address, &f));
    CU_ASSERT_STRING_EQUAL(f.driver, "mlx5_core");
    CU_ASSERT_STRING_EQUAL(f.netdev, "p0");
    CU_ASSERT_EQUAL(f.vendor, 0x15b3);
    CU_ASSERT_EQUAL(f.iommu_group, 14);
    CU_ASSERT_EQUAL(f.numa_node, -1);
    CU_ASSERT_FALSE(pci_read(root, "0000:04:00.0", &f));
    static const char *const wrong[] = {
        "", "3", "3:0", "0000:03:00.8", "0000:03:20.0", "x:1:2.3", "0000:03:00.0x", "auxiliary"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        CU_ASSERT_FALSE(pci_address(wrong[i], address));
    snprintf(command, sizeof(command), "rm -rf %s", root);
    CU_ASSERT_EQUAL(system(command), 0);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"what is offered is taken", what_is_offered_is_taken},
        {"what is missing is not asked for", what_is_missing_is_not_asked_for},
        {"tags are asked for where there is a VLAN", tags_are_asked_for_where_there_is_a_vlan},
        {"the hash is the port's", the_hash_is_the_ports},
        {"functions are read", functions_are_read},
    };
    return suite_run("drivers/negotiate", cases, sizeof(cases) / sizeof(cases[0]));
}
