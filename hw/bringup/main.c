/* tgw-bringup: is this machine fit for the gateway, before it runs? */
#include "bringup.h"
#include "config/config.h"
#include "drivers/sysfs.h"
#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 16 };

struct options {
    const char *command, *root, *config;
    bool json, dry_run;
    const char *device[DEVICES_MAX];
    uint32_t devices;
};

static int usage(FILE *to, int status) {
    fputs("usage: tgw-bringup check [--config FILE] [DEVICE...]   the machine and its NICs, from "
          "sysfs\n"
          "       tgw-bringup probe --config FILE               the ports on the wire; no gateway "
          "may run\n"
          "       tgw-bringup bind ADDRESS...                   hand NICs to vfio-pci\n"
          "       tgw-bringup undo [ADDRESS...]                 give them back (all, if none is "
          "named)\n"
          "  --json       the report as JSON\n"
          "  --dry-run    bind, undo: only say what would be written\n"
          "  --root DIR   read and write under DIR instead\n"
          "exit status: 0 good, 1 something fails or is refused, 2 usage or wrong input\n",
          to);
    return status;
}

static bool take_value(const char **out, int argc, char *const argv[], int *at) {
    if (*out || *at + 1 == argc)
        return false;
    *out = argv[++*at];
    return true;
}

static bool parse(struct options *o, int argc, char *const argv[]) {
    bool good = argc > 1;
    *o = (struct options){0};
    for (int i = 1; i < argc && good; i++) {
        if (strcmp(argv[i], "--json") == 0)
            o->json = true;
        else if (strcmp(argv[i], "--dry-run") == 0)
            o->dry_run = true;
        else if (strcmp(argv[i], "--root") == 0)
            good = take_value(&o->root, argc, argv, &i);
        else if (strcmp(argv[i], "--config") == 0)
            good = take_value(&o->config, argc, argv, &i);
        else if (argv[i][0] == '-')
            good = false;
        else if (!o->command)
            o->command = argv[i];
        else if (o->devices < DEVICES_MAX)
            o->device[o->devices++] = argv[i];
        else
            good = false;
    }
    o->root = o->root ? o->root : "";
    return good && o->command;
}

static int wrong(const char *err) {
    fprintf(stderr, "tgw-bringup: %s\n", err);
    return EXIT_WRONG;
}

static bool check_ports(struct report *r, const struct options *o, const struct config *c,
                        char *err, size_t err_bytes) {
    uint32_t cores = c->cores.count ? c->cores.count : 1;
    for (uint32_t i = 0; i < c->port_count; i++) {
        const struct config_port *p = &c->ports[i];
        const char *d = p->driver;
        if (strcmp(d, "ring") == 0 || strcmp(d, "memif") == 0 || strcmp(d, "tap") == 0 ||
            strncmp(p->device, "mlx5_core.sf.", 13) == 0)
            continue;
        if (!check_nic(r, o->root, p->device, cores, p->mtu, err, err_bytes))
            return false;
    }
    return true;
}

/* mlx5 shares its function with the kernel, and ports of software have none. */
static struct needs needs_of(const struct options *o, const struct config *c) {
    struct needs n = {.vfio = !o->config, .huge_pages = !o->config};
    for (uint32_t i = 0; o->config && i < c->port_count; i++)
        n.vfio = n.vfio || strcmp(c->ports[i].driver, "pci") == 0;
    if (o->config) {
        n.huge_pages = c->huge_pages;
        n.memory_mb = c->memory_mb;
    }
    return n;
}

static int run_check(const struct options *o, char *const envp[]) {
    static struct config config;
    static struct report report;
    char err[CONFIG_ERROR_BYTES];
    if (o->config && !config_load(&config, o->config, envp, err, sizeof(err)))
        return wrong(err);
    const struct needs needs = needs_of(o, &config);
    check_machine(&report, o->root, &needs);
    if (o->config && !check_ports(&report, o, &config, err, sizeof(err)))
        return wrong(err);
    for (uint32_t i = 0; i < o->devices; i++)
        if (!check_nic(&report, o->root, o->device[i], 0, 0, err, sizeof(err)))
            return wrong(err);
    report_print(&report, stdout, o->json);
    return report_failed(&report) ? EXIT_BAD : EXIT_GOOD;
}

static int run_probe(const struct options *o, char *const envp[]) {
    static struct config config;
    static struct report report;
    char err[CONFIG_ERROR_BYTES];
    if (!o->config || o->devices || o->root[0])
        return usage(stderr, EXIT_WRONG);
    if (!config_load(&config, o->config, envp, err, sizeof(err)) ||
        !probe_ports(&report, &config, err, sizeof(err)))
        return wrong(err);
    report_print(&report, stdout, o->json);
    return report_failed(&report) ? EXIT_BAD : EXIT_GOOD;
}

static int run_each(const struct options *o,
                    int (*act)(const struct bind_options *o, const char *address, char *err,
                               size_t err_bytes)) {
    const char *ssh = getenv("SSH_CONNECTION");
    const struct bind_options b = {o->root, ssh ? ssh : "", o->dry_run, stdout};
    char err[256];
    int status = EXIT_GOOD;
    if (!o->devices && act == undo_function)
        status = undo_all(&b, err, sizeof(err));
    for (uint32_t i = 0; i < o->devices && status == EXIT_GOOD; i++)
        status = act(&b, o->device[i], err, sizeof(err));
    if (status != EXIT_GOOD)
        fprintf(stderr, "tgw-bringup: %s\n", err);
    return status;
}

int main(int argc, char **argv, char **envp) {
    struct options o;
    if (argc == 2 && strcmp(argv[1], "--help") == 0)
        return usage(stdout, EXIT_GOOD);
    if (!parse(&o, argc, argv))
        return usage(stderr, EXIT_WRONG);
    if (strcmp(o.command, "check") == 0)
        return run_check(&o, envp);
    if (strcmp(o.command, "probe") == 0)
        return run_probe(&o, envp);
    if (strcmp(o.command, "bind") == 0 && o.devices)
        return run_each(&o, bind_function);
    if (strcmp(o.command, "undo") == 0)
        return run_each(&o, undo_function);
    return usage(stderr, EXIT_WRONG);
}
