/* Any NIC that DPDK has a driver for and that is handed over by vfio: virtio-net, e1000e,
 * igb, ixgbe, i40e, ice, vmxnet3. What it can do is asked, never assumed. */
#include "family.h"
#include "sysfs.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool is_ready(const struct port_config *c, const char *root, const char *address, char *err,
                     size_t err_bytes) {
    struct pci_function f;
    if (!pci_read(root, address, &f)) {
        snprintf(err, err_bytes, "%s: no PCI function %s on this machine: `lspci -D` lists them",
                 c->name, address);
        return false;
    }
    if (strcmp(f.driver, "vfio-pci") == 0 && access("/dev/vfio/vfio", F_OK) != 0) {
        snprintf(err, err_bytes,
                 "%s: %s is bound to vfio-pci, but there is no /dev/vfio/vfio: "
                 "`modprobe vfio-pci`, and in a container pass the device on",
                 c->name, address);
        return false;
    }
    if (pci_is_user_driver(f.driver))
        return true;
    snprintf(err, err_bytes, "%s: %s is bound to %s%s: run `tgw-bringup bind %s` first", c->name,
             address, f.driver[0] ? f.driver : "no driver", f.netdev[0] ? ", the kernel's" : "",
             address);
    return false;
}

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    char address[16];
    if (!pci_address(c->device, address)) {
        snprintf(err, err_bytes, "%s: \"%s\" is no PCI address such as 0000:03:00.0", c->name,
                 c->device);
        return false;
    }
    snprintf(out, DEVARGS_BYTES, "%s", address);
    family_add_options(c, out);
    return is_ready(c, "", address, err, err_bytes);
}

const struct family family_pci = {.name = "pci", .args = args, .on_bus = true};
