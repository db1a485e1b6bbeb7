/* ConnectX and BlueField. The function stays with mlx5_core and is shared with the kernel:
 * in isolated mode only what our rules name comes to us, so the Arm OS keeps its network.
 *   device   a PCI address, or "mlx5_core.sf.N" for a scalable function
 *   options  "representor=pf0hpf" and the like picks a representor of that device */
#include "family.h"
#include "steer.h"
#include "sysfs.h"
#include <errno.h>
#include <rte_errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char SF_PREFIX[] = "mlx5_core.sf.";

static bool is_sf(const char *device) {
    return strncmp(device, SF_PREFIX, sizeof(SF_PREFIX) - 1) == 0;
}

/* Rules of rte_flow need the driver's synchronous engine, whatever its default becomes. */
static bool add_engine(const struct port_config *c, char out[DEVARGS_BYTES]) {
    size_t n = strlen(out);
    if (strstr(c->options, "dv_flow_en"))
        return true;
    return snprintf(out + n, DEVARGS_BYTES - n, ",dv_flow_en=1") < (int)(DEVARGS_BYTES - n);
}

static bool sf_exists(const struct port_config *c, char *err, size_t err_bytes) {
    char path[128];
    snprintf(path, sizeof(path), "/sys/bus/auxiliary/devices/%s", c->device);
    if (access(path, F_OK) == 0)
        return true;
    snprintf(err, err_bytes,
             "%s: no scalable function %s: make it with `devlink port add` "
             "(hw/bluefield/README.md)",
             c->name, c->device);
    return false;
}

static bool pci_is_mlx5(const struct port_config *c, const char *address, char *err,
                        size_t err_bytes) {
    struct pci_function f;
    if (!pci_read("", address, &f)) {
        snprintf(err, err_bytes, "%s: no PCI function %s on this machine: `lspci -D` lists them",
                 c->name, address);
        return false;
    }
    if (strcmp(f.driver, "mlx5_core") == 0)
        return true;
    snprintf(err, err_bytes,
             "%s: %s is bound to %s, mlx5 wants mlx5_core: another NIC takes the driver \"pci\"",
             c->name, address, f.driver[0] ? f.driver : "no driver");
    return false;
}

static bool args(const struct port_config *c, char out[DEVARGS_BYTES], char *err,
                 size_t err_bytes) {
    char address[16];
    bool sf = is_sf(c->device);
    if (!sf && !pci_address(c->device, address)) {
        snprintf(err, err_bytes, "%s: \"%s\" is neither a PCI address such as 0000:03:00.0 nor %sN",
                 c->name, c->device, SF_PREFIX);
        return false;
    }
    if (sf)
        snprintf(out, DEVARGS_BYTES, "auxiliary:%s", c->device);
    else
        snprintf(out, DEVARGS_BYTES, "%s", address);
    family_add_options(c, out);
    add_engine(c, out);
    return sf ? sf_exists(c, err, err_bytes) : pci_is_mlx5(c, address, err, err_bytes);
}

static int isolate(uint16_t id) {
    struct rte_flow_error e;
    return rte_flow_isolate(id, 1, &e) == 0 ? 0 : -rte_errno;
}

static int add_rules(uint16_t id, const struct port_config *c, const struct port *p, char *err,
                     size_t err_bytes) {
    struct steer_rule *rule = calloc(STEER_RULES_MAX, sizeof(*rule));
    uint32_t count = rule ? steer_rules(c, p->mac, rule) : 0;
    int rc = rule ? -E2BIG : -ENOMEM;
    if (count)
        rc = steer_apply(id, rule, count, p, err, err_bytes);
    else
        snprintf(err, err_bytes, "%s: %s", c->name,
                 rule ? "too many addresses and ports for steering rules" : "no memory");
    free(rule);
    return rc;
}

const struct family family_mlx5 = {.name = "mlx5",
                                   .args = args,
                                   .on_bus = true,
                                   .before_configure = isolate,
                                   .after_start = add_rules};
