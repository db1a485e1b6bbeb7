#include "bringup.h"
#include "drivers/sysfs.h"
#include <dirent.h>
#include <limits.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

struct nic {
    const char *root;
    struct pci_function pci; /* address "" where it is no PCI function */
    char netdev[32];         /* "" where the kernel has none */
};

static bool net_line(const struct nic *n, const char *file, char *out, size_t bytes) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s/sys/class/net/%s/%s", n->root, n->netdev, file);
    return sysfs_line(path, out, bytes);
}

/* By address or by the kernel's name. */
static bool find(struct nic *n, const char *device, char *err, size_t err_bytes) {
    char address[16], path[PATH_MAX], name[32];
    if (pci_address(device, address)) {
        if (pci_read(n->root, address, &n->pci)) {
            memcpy(n->netdev, n->pci.netdev, sizeof(n->netdev));
            return true;
        }
        snprintf(err, err_bytes, "no PCI function %s on this machine: `lspci -D` lists them",
                 address);
        return false;
    }
    snprintf(path, sizeof(path), "%s/sys/class/net/%.31s", n->root, device);
    if (strchr(device, '/') || access(path, F_OK) != 0) {
        snprintf(err, err_bytes,
                 "%s: neither a PCI address nor a network device here: `ip link`, `lspci -D`",
                 device);
        return false;
    }
    snprintf(n->netdev, sizeof(n->netdev), "%.31s", device);
    snprintf(path, sizeof(path), "%s/sys/class/net/%s/device", n->root, n->netdev);
    sysfs_link_name(path, name, sizeof(name));
    if (pci_address(name, address))
        (void)pci_read(n->root, address, &n->pci);
    return true;
}

static void check_binding(struct report *r, const char *device, const struct nic *n) {
    const struct pci_function *f = &n->pci;
    if (!f->address[0])
        return;
    if (pci_is_user_driver(f->driver)) {
        report_add(r, device, "driver", BRINGUP_PASS, "%s (%04x:%04x)", f->driver, f->vendor,
                   f->device);
    } else {
        report_fix(report_add(r, device, "driver", BRINGUP_FAIL, "%s (%04x:%04x)",
                              f->driver[0] ? f->driver : "none", f->vendor, f->device),
                   "tgw-bringup bind %s; undone by: tgw-bringup undo %s", f->address, f->address);
    }
    if (strcmp(f->driver, "mlx5_core") == 0)
        return;
    if (f->iommu_group >= 0)
        report_add(r, device, "IOMMU group", BRINGUP_PASS, "%d", f->iommu_group);
    else
        report_fix(report_add(r, device, "IOMMU group", BRINGUP_FAIL, "none"),
                   "turn the IOMMU on: see the machine's own line");
}

/* Of the live kernel alone: it is no file. */
static void note_firmware(struct report *r, const char *device, const struct nic *n) {
    struct ethtool_drvinfo info = {.cmd = ETHTOOL_GDRVINFO};
    struct ifreq request = {.ifr_data = (void *)&info};
    if (n->root[0] || !n->netdev[0])
        return;
    memcpy(request.ifr_name, n->netdev, strnlen(n->netdev, IFNAMSIZ - 1));
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && ioctl(fd, SIOCETHTOOL, &request) == 0)
        report_add(r, device, "firmware", BRINGUP_NOTE, "%.31s, driver %.31s %.31s",
                   info.fw_version[0] ? info.fw_version : "not told", info.driver, info.version);
    if (fd >= 0)
        close(fd);
}

static void check_link(struct report *r, const char *device, const struct nic *n) {
    char carrier[16], speed[16];
    bool up = net_line(n, "carrier", carrier, sizeof(carrier)) && carrier[0] == '1';
    if (!up) {
        report_fix(report_add(r, device, "link", BRINGUP_FAIL, "down"),
                   "ip link set %s up; else the cable, the transceiver or the other end",
                   n->netdev);
        return;
    }
    long mbps = net_line(n, "speed", speed, sizeof(speed)) ? strtol(speed, NULL, 10) : 0;
    report_add(r, device, "link", BRINGUP_PASS, mbps > 0 ? "up, %ld Mbit/s" : "up", mbps);
}

static void check_mtu(struct report *r, const char *device, const struct nic *n, uint32_t want) {
    char text[16];
    if (!net_line(n, "mtu", text, sizeof(text)))
        return;
    unsigned long mtu = strtoul(text, NULL, 10);
    if (mtu >= want)
        report_add(r, device, "MTU", BRINGUP_PASS, "%lu", mtu);
    else
        report_fix(
            report_add(r, device, "MTU", BRINGUP_FAIL, "%lu, the configuration says %u", mtu, want),
            "ip link set %s mtu %u, or a smaller mtu in the configuration", n->netdev, want);
}

static uint32_t rx_queues(const struct nic *n) {
    char path[PATH_MAX];
    uint32_t count = 0;
    struct dirent *e;
    snprintf(path, sizeof(path), "%s/sys/class/net/%s/queues", n->root, n->netdev);
    DIR *d = opendir(path);
    while (d && (e = readdir(d)))
        count += strncmp(e->d_name, "rx-", 3) == 0;
    if (d)
        closedir(d);
    return count;
}

/* The kernel's driver shows how many it made; the gateway's may have more. */
static void check_queues(struct report *r, const char *device, const struct nic *n, uint32_t want) {
    uint32_t have = rx_queues(n);
    if (have == 0)
        return;
    if (have >= want || pci_is_user_driver(n->pci.driver)) {
        report_add(r, device, "queues", have >= want ? BRINGUP_PASS : BRINGUP_NOTE,
                   "%u, so RSS over %u core%s at most", have, have, have == 1 ? "" : "s");
        return;
    }
    report_fix(
        report_add(r, device, "queues", BRINGUP_FAIL, "%u, %u cores want one each", have, want),
        "fewer \"cores\" in the configuration, or ethtool -L %s combined %u", n->netdev, want);
}

bool check_nic(struct report *r, const char *root, const char *device, uint32_t queues,
               uint32_t mtu, char *err, size_t err_bytes) {
    struct nic n = {.root = root};
    if (!find(&n, device, err, err_bytes))
        return false;
    check_binding(r, device, &n);
    if (!n.netdev[0]) {
        report_add(r, device, "kernel", BRINGUP_NOTE,
                   "the kernel has no port here: link, MTU and queues show when it is probed");
        return true;
    }
    note_firmware(r, device, &n);
    check_link(r, device, &n);
    check_mtu(r, device, &n, mtu);
    check_queues(r, device, &n, queues);
    return true;
}
