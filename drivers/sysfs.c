#include "sysfs.h"
#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool pci_address(const char *text, char out[16]) {
    unsigned domain = 0, bus, device, function;
    char end;
    bool good = sscanf(text, "%4x:%2x:%2x.%1x%c", &domain, &bus, &device, &function, &end) == 4;
    if (!good) {
        domain = 0;
        good = sscanf(text, "%2x:%2x.%1x%c", &bus, &device, &function, &end) == 3;
    }
    if (good && device < 32 && function < 8)
        snprintf(out, 16, "%04x:%02x:%02x.%x", domain & 0xffff, bus & 0xff, device, function);
    return good && device < 32 && function < 8;
}

void sysfs_link_name(const char *path, char *out, size_t bytes) {
    char target[PATH_MAX];
    ssize_t n = readlink(path, target, sizeof(target) - 1);
    target[n > 0 ? n : 0] = 0;
    const char *slash = strrchr(target, '/');
    snprintf(out, bytes, "%.*s", (int)bytes - 1, slash ? slash + 1 : target);
}

bool sysfs_line(const char *path, char *out, size_t bytes) {
    FILE *f = fopen(path, "re");
    bool good = f && fgets(out, (int)bytes, f);
    if (f)
        fclose(f);
    if (good)
        out[strcspn(out, "\n")] = 0;
    else
        out[0] = 0;
    return good;
}

static unsigned number(const char *folder, const char *file, int base, unsigned fallback) {
    char path[PATH_MAX], text[64];
    snprintf(path, sizeof(path), "%s/%s", folder, file);
    return sysfs_line(path, text, sizeof(text)) ? (unsigned)strtol(text, NULL, base) : fallback;
}

static void first_entry(const char *folder, char *out, size_t bytes) {
    DIR *d = opendir(folder);
    struct dirent *e;
    out[0] = 0;
    while (d && !out[0] && (e = readdir(d)))
        if (e->d_name[0] != '.')
            snprintf(out, bytes, "%.*s", (int)bytes - 1, e->d_name);
    if (d)
        closedir(d);
}

/* A virtio function has a child, and that one has the port. */
static void virtio_netdev(const char *folder, char *out, size_t bytes) {
    DIR *d = opendir(folder);
    struct dirent *e;
    while (d && !out[0] && (e = readdir(d))) {
        char path[PATH_MAX];
        if (strncmp(e->d_name, "virtio", 6) != 0)
            continue;
        snprintf(path, sizeof(path), "%s/%.32s/net", folder, e->d_name);
        first_entry(path, out, bytes);
    }
    if (d)
        closedir(d);
}

bool pci_read(const char *root, const char *address, struct pci_function *out) {
    char folder[PATH_MAX - 64], path[PATH_MAX], group[32];
    *out = (struct pci_function){.iommu_group = -1};
    snprintf(folder, sizeof(folder), "%s/sys/bus/pci/devices/%s", root, address);
    if (access(folder, F_OK) != 0)
        return false;
    snprintf(out->address, sizeof(out->address), "%.15s", address);
    snprintf(path, sizeof(path), "%s/driver", folder);
    sysfs_link_name(path, out->driver, sizeof(out->driver));
    snprintf(path, sizeof(path), "%s/net", folder);
    first_entry(path, out->netdev, sizeof(out->netdev));
    if (!out->netdev[0])
        virtio_netdev(folder, out->netdev, sizeof(out->netdev));
    snprintf(path, sizeof(path), "%s/iommu_group", folder);
    sysfs_link_name(path, group, sizeof(group));
    if (group[0])
        out->iommu_group = atoi(group);
    out->vendor = number(folder, "vendor", 16, 0);
    out->device = number(folder, "device", 16, 0);
    out->numa_node = (int)number(folder, "numa_node", 10, (unsigned)-1);
    return true;
}

bool pci_is_user_driver(const char *driver) {
    static const char *const user[] = {"vfio-pci", "igb_uio", "uio_pci_generic", "mlx5_core"};
    for (size_t i = 0; i < sizeof(user) / sizeof(user[0]); i++)
        if (strcmp(driver, user[i]) == 0)
            return true;
    return false;
}
