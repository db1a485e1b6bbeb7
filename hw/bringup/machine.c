#include "bringup.h"
#include "drivers/sysfs.h"
#include <dirent.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static uint32_t entries(const char *root, const char *folder) {
    char path[PATH_MAX];
    uint32_t n = 0;
    struct dirent *e;
    snprintf(path, sizeof(path), "%s%s", root, folder);
    DIR *d = opendir(path);
    while (d && (e = readdir(d)))
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static bool exists(const char *root, const char *file) {
    char path[PATH_MAX];
    snprintf(path, sizeof(path), "%s%s", root, file);
    return access(path, F_OK) == 0;
}

static enum bringup_state missing(bool needed) {
    return needed ? BRINGUP_FAIL : BRINGUP_NOTE;
}

static void check_iommu(struct report *r, const char *root, bool needed) {
    uint32_t groups = entries(root, "/sys/kernel/iommu_groups");
    if (groups) {
        report_add(r, "machine", "IOMMU", BRINGUP_PASS, "%u groups", groups);
        return;
    }
    report_fix(report_add(r, "machine", "IOMMU", missing(needed), "no groups: it is off"),
               "turn on VT-d, AMD-Vi or SMMU in the firmware; on Intel boot with intel_iommu=on "
               "iommu=pt.");
}

static void check_vfio(struct report *r, const char *root, bool needed) {
    if (exists(root, "/sys/bus/pci/drivers/vfio-pci")) {
        report_add(r, "machine", "vfio", BRINGUP_PASS, "vfio-pci is loaded");
        return;
    }
    report_fix(report_add(r, "machine", "vfio", missing(needed), "vfio-pci is not loaded"),
               "modprobe vfio-pci; to keep it: echo vfio-pci >/etc/modules-load.d/tgw.conf. "
               "(mlx5 and ports of software need none.)");
}

static uint64_t meminfo(const char *root, const char *field) {
    char path[PATH_MAX], line[128];
    uint64_t value = 0;
    snprintf(path, sizeof(path), "%s/proc/meminfo", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (strncmp(line, field, strlen(field)) == 0 && line[strlen(field)] == ':')
            value = strtoull(line + strlen(field) + 1, NULL, 10);
    if (f)
        fclose(f);
    return value;
}

static bool is_mounted(const char *root) {
    char path[PATH_MAX], line[512], where[256], type[64];
    bool found = false;
    snprintf(path, sizeof(path), "%s/proc/mounts", root);
    FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "%*s %255s %63s", where, type) == 2 && strcmp(type, "hugetlbfs") == 0 &&
            strcmp(where, "/dev/hugepages") == 0)
            found = true;
    if (f)
        fclose(f);
    return found;
}

static void check_huge_pages(struct report *r, const char *root, const struct needs *needs) {
    uint64_t kb = meminfo(root, "Hugepagesize"), pages = meminfo(root, "HugePages_Free");
    uint64_t have_mb = pages * kb / 1024, want_mb = needs->memory_mb ? needs->memory_mb : 1;
    uint64_t get_mb = needs->memory_mb ? needs->memory_mb : 512;
    if (!kb) {
        report_fix(report_add(r, "machine", "huge pages", missing(needs->huge_pages),
                              "none in this kernel"),
                   "a kernel with CONFIG_HUGETLBFS");
        return;
    }
    enum bringup_state state = have_mb >= want_mb ? BRINGUP_PASS : missing(needs->huge_pages);
    struct finding *f =
        report_add(r, "machine", "huge pages", state, "%lu MB free, pages of %lu kB", have_mb, kb);
    if (state != BRINGUP_PASS)
        report_fix(f,
                   "echo %lu >/proc/sys/vm/nr_hugepages; to keep it: vm.nr_hugepages=%lu in "
                   "/etc/sysctl.d/tgw.conf",
                   (get_mb * 1024 + kb - 1) / kb, (get_mb * 1024 + kb - 1) / kb);
    if (is_mounted(root)) {
        report_add(r, "machine", "hugetlbfs", BRINGUP_PASS, "on /dev/hugepages");
        return;
    }
    report_fix(
        report_add(r, "machine", "hugetlbfs", missing(needs->huge_pages), "not on /dev/hugepages"),
        "mkdir -p /dev/hugepages; mount -t hugetlbfs hugetlbfs /dev/hugepages");
}

void check_machine(struct report *r, const char *root, const struct needs *needs) {
    check_iommu(r, root, needs->vfio);
    check_vfio(r, root, needs->vfio);
    check_huge_pages(r, root, needs);
}
