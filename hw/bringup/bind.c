#include "bringup.h"
#include "drivers/sysfs.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char NO_DRIVER[] = "none";

/* `file` under the root gets `text`; a dry run only says so. */
static bool put(const struct bind_options *o, const char *text, const char *format,
                const char *part) {
    char path[PATH_MAX], file[PATH_MAX - 256];
    snprintf(file, sizeof(file), format, part);
    if (o->dry_run) {
        fprintf(o->out, "echo %s >%s\n", text[0] ? text : "\"\"", file);
        return true;
    }
    snprintf(path, sizeof(path), "%s%s", o->root, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC | (o->root[0] ? O_CREAT | O_TRUNC : 0), 0644);
    bool good = fd >= 0 && write(fd, text[0] ? text : "\n", text[0] ? strlen(text) : 1) > 0;
    int saved = errno;
    if (fd >= 0)
        close(fd);
    errno = saved;
    return good;
}

static void note_path(const struct bind_options *o, const char *address, char out[PATH_MAX]) {
    snprintf(out, PATH_MAX, "%s/run/tgw/bringup/%s", o->root, address);
}

static bool keep_note(const struct bind_options *o, const char *address, const char *driver) {
    char path[PATH_MAX];
    if (o->dry_run)
        return true;
    static const char *const folders[] = {"/run", "/run/tgw", "/run/tgw/bringup"};
    for (int k = 0; k < 3; k++) {
        snprintf(path, sizeof(path), "%s%s", o->root, folders[k]);
        mkdir(path, 0755);
    }
    note_path(o, address, path);
    FILE *f = fopen(path, "we");
    bool good = f && fprintf(f, "%s\n", driver) > 0;
    if (f && fclose(f) != 0)
        good = false;
    return good;
}

static bool is_bound(const struct bind_options *o, const char *address, const char *driver) {
    struct pci_function f;
    /* A made-up tree does not bind by itself. */
    if (o->dry_run || o->root[0])
        return true;
    return pci_read(o->root, address, &f) && strcmp(f.driver, driver) == 0;
}

/* Off its driver and on to `driver`; "" leaves it to the kernel's own choice. */
static bool move(const struct bind_options *o, const char *address, const char *from,
                 const char *driver) {
    if (from[0] && !put(o, address, "/sys/bus/pci/devices/%s/driver/unbind", address))
        return false;
    return put(o, driver, "/sys/bus/pci/devices/%s/driver_override", address) &&
           put(o, address, "/sys/bus/pci/drivers_probe%s", "");
}

/* Everything that can be known beforehand. */
static int refuse(const struct bind_options *o, const char *address, struct pci_function *f,
                  char *err, size_t err_bytes) {
    struct carriers carriers;
    char path[PATH_MAX];
    if (!pci_read(o->root, address, f)) {
        snprintf(err, err_bytes, "no PCI function %s on this machine: `lspci -D` lists them",
                 address);
        return EXIT_WRONG;
    }
    carriers_find(&carriers, o->root, o->ssh);
    const char *why = carriers_of(&carriers, o->root, address);
    if (why) {
        snprintf(err, err_bytes, "%s stays with the kernel: %s", address, why);
        return EXIT_BAD;
    }
    if (strcmp(f->driver, "mlx5_core") == 0) {
        snprintf(err, err_bytes,
                 "%s stays with mlx5_core, which shares it: use the driver \"mlx5\"", address);
        return EXIT_WRONG;
    }
    snprintf(path, sizeof(path), "%s/sys/bus/pci/drivers/vfio-pci", o->root);
    if (access(path, F_OK) != 0) {
        snprintf(err, err_bytes, "vfio-pci is not loaded: modprobe vfio-pci");
        return EXIT_WRONG;
    }
    if (f->iommu_group < 0) {
        snprintf(err, err_bytes, "%s is in no IOMMU group: turn the IOMMU on (tgw-bringup check)",
                 address);
        return EXIT_WRONG;
    }
    return EXIT_GOOD;
}

int bind_function(const struct bind_options *o, const char *text, char *err, size_t err_bytes) {
    struct pci_function f;
    char address[16];
    if (!pci_address(text, address)) {
        snprintf(err, err_bytes, "\"%s\" is no PCI address such as 0000:03:00.0", text);
        return EXIT_WRONG;
    }
    int status = refuse(o, address, &f, err, err_bytes);
    if (status != EXIT_GOOD || strcmp(f.driver, "vfio-pci") == 0)
        return status;
    if (!keep_note(o, address, f.driver[0] ? f.driver : NO_DRIVER)) {
        snprintf(err, err_bytes, "/run/tgw/bringup: %s", strerror(errno));
        return EXIT_BAD;
    }
    if (move(o, address, f.driver, "vfio-pci") && is_bound(o, address, "vfio-pci"))
        return EXIT_GOOD;
    snprintf(err, err_bytes, "%s: vfio-pci does not take it (%s): put back", address,
             strerror(errno));
    (void)move(o, address, "", f.driver);
    return EXIT_BAD;
}

int undo_function(const struct bind_options *o, const char *text, char *err, size_t err_bytes) {
    struct pci_function f;
    char address[16], path[PATH_MAX], driver[64];
    if (!pci_address(text, address)) {
        snprintf(err, err_bytes, "\"%s\" is no PCI address such as 0000:03:00.0", text);
        return EXIT_WRONG;
    }
    note_path(o, address, path);
    if (!sysfs_line(path, driver, sizeof(driver)) || !pci_read(o->root, address, &f)) {
        snprintf(err, err_bytes, "%s was not bound by tgw-bringup", address);
        return EXIT_WRONG;
    }
    /* Without an override the kernel's own driver takes it at the next look. */
    if (!move(o, address, f.driver, "")) {
        snprintf(err, err_bytes, "%s: cannot be given back: %s", address, strerror(errno));
        return EXIT_BAD;
    }
    if (!o->dry_run)
        unlink(path);
    return EXIT_GOOD;
}

int undo_all(const struct bind_options *o, char *err, size_t err_bytes) {
    char path[PATH_MAX];
    struct dirent *e;
    int worst = EXIT_GOOD;
    snprintf(path, sizeof(path), "%s/run/tgw/bringup", o->root);
    DIR *d = opendir(path);
    while (d && (e = readdir(d))) {
        int status = e->d_name[0] == '.' ? EXIT_GOOD : undo_function(o, e->d_name, err, err_bytes);
        worst = status > worst ? status : worst;
    }
    if (d)
        closedir(d);
    return worst;
}
