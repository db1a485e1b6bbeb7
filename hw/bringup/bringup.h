/* Private to bring-up: is this machine fit to run the gateway, and what is to be done if
 * not. Everything is read under `root` ("" or a made-up tree), so that tests can be any
 * machine. */
#ifndef TGW_BRINGUP_H
#define TGW_BRINGUP_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum bringup_state { BRINGUP_PASS, BRINGUP_FAIL, BRINGUP_NOTE };

struct finding {
    char subject[64]; /* "machine", a device, a port */
    char check[32];
    enum bringup_state state;
    char detail[200];
    char fix[300]; /* "" where there is nothing to do */
};

enum { FINDINGS_MAX = 256, CARRIERS_MAX = 32, EXIT_GOOD = 0, EXIT_BAD = 1, EXIT_WRONG = 2 };

struct report {
    uint32_t count;
    struct finding at[FINDINGS_MAX];
};

/* A new finding, to which detail and fix are given by the two below. */
__attribute__((format(printf, 5, 6))) struct finding *
report_add(struct report *r, const char *subject, const char *check, enum bringup_state state,
           const char *format, ...);
__attribute__((format(printf, 2, 3))) void report_fix(struct finding *f, const char *format, ...);
bool report_failed(const struct report *r);
void report_print(const struct report *r, FILE *out, bool json);

/* machine.c: what is not needed is noted, not failed. */
struct needs {
    bool vfio, huge_pages;
    uint64_t memory_mb; /* 0: any */
};
void check_machine(struct report *r, const char *root, const struct needs *needs);
/* nic.c: one function or netdev; false with one line in err when there is no such one.
 * `queues` wanted (0: any), `mtu` wanted (0: any). */
bool check_nic(struct report *r, const char *root, const char *device, uint32_t queues,
               uint32_t mtu, char *err, size_t err_bytes);

/* login.c: the netdevs over which somebody is logged in, or the default route goes, and
 * those below them (bonds, bridges, VLANs). */
struct carriers {
    uint32_t count;
    struct {
        char netdev[32];
        char why[80];
    } at[CARRIERS_MAX];
};
/* `ssh` is SSH_CONNECTION ("" for none). */
void carriers_find(struct carriers *c, const char *root, const char *ssh);
/* Why the function may not be taken; NULL: it may. */
const char *carriers_of(const struct carriers *c, const char *root, const char *address);

/* bind.c. What was bound before is kept in ROOT/run/tgw/bringup for the undo. 0, or an
 * exit status with one line in err; nothing is half-bound then. */
struct bind_options {
    const char *root, *ssh;
    bool dry_run; /* say what would be written, to `out` */
    FILE *out;
};
int bind_function(const struct bind_options *o, const char *address, char *err, size_t err_bytes);
int undo_function(const struct bind_options *o, const char *address, char *err, size_t err_bytes);
/* All that were ever bound. */
int undo_all(const struct bind_options *o, char *err, size_t err_bytes);

/* probe.c: opens the ports of a configuration and probes them on the wire. Not under a
 * root. False with one line in err. */
struct config;
bool probe_ports(struct report *r, const struct config *c, char *err, size_t err_bytes);

#endif
