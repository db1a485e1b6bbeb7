/* What the kernel says of a PCI function, under a root of the caller's ("" or a made-up
 * tree). Reads only. */
#ifndef TGW_DRIVERS_SYSFS_H
#define TGW_DRIVERS_SYSFS_H

#include <stdbool.h>
#include <stddef.h>

struct pci_function {
    char address[16]; /* 0000:03:00.0 */
    char driver[32];  /* bound to; "" for none */
    char netdev[32];  /* the kernel's name of its port; "" for none */
    unsigned vendor, device;
    int iommu_group; /* -1: none */
    int numa_node;   /* -1: not told */
};

/* "3:0.0" and "0000:03:00.0" to the long form; false: neither. */
bool pci_address(const char *text, char out[16]);
/* False: no such function. */
bool pci_read(const char *root, const char *address, struct pci_function *out);
/* Drivers that hand a function to user space, and mlx5_core, which shares it. */
bool pci_is_user_driver(const char *driver);
/* The last part of a link's target, "" when there is none. */
void sysfs_link_name(const char *path, char *out, size_t bytes);
/* The first line of a file without its end; false: cannot be read. */
bool sysfs_line(const char *path, char *out, size_t bytes);

#endif
