/* The one configuration: a JSON file, every key overridable by the environment as
 * TERMINAL_GATEWAY_<KEY IN CAPITALS>, unknown keys refused by name. Read by the
 * dataplane, the control process and `tgwctl config check`; each uses its part.
 * Sees files and strings only. */
#ifndef TGW_CONFIG_CONFIG_H
#define TGW_CONFIG_CONFIG_H

#include "contract/limits.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    CONFIG_TEXT_MAX = 255,
    CONFIG_LIST_MAX = 32,
    CONFIG_URL_MAX = 1023,
    CONFIG_ERROR_BYTES = 512,
};

typedef char config_text[CONFIG_TEXT_MAX + 1];

struct config_list {
    uint32_t count;
    config_text item[CONFIG_LIST_MAX];
};

struct config_port {
    char name[32];
    char driver[16];
    char device[64];
    char options[128];
    uint32_t mtu;  /* 0: the device's */
    uint32_t vlan; /* tag of all its frames; 0: none */
    uint32_t addr_count;
    char addr[TGW_PORT_ADDRS_MAX][64]; /* "198.18.0.2/24" */
    char gateway4[64], gateway6[64];   /* "" for none */
    bool listen;                       /* serves the public listener */
    uint32_t loss_pm, reorder_pm, duplicate_pm, corrupt_pm;
    uint64_t fault_seed;
};

/* Field names are key names; config.def says type, default, range and whether a
 * change applies live. */
struct config {
    /* dataplane */
    uint32_t port_count;
    struct config_port ports[TGW_PORTS_MAX];
    struct config_list eal_args;         /* appended to what the dataplane builds */
    struct config_list cores;            /* worker CPUs, "1" ... */
    bool huge_pages;                     /* false: --no-huge */
    bool self_test;                      /* of the ports' offloads, at the start */
    uint64_t memory_mb;                  /* EAL memory */
    uint64_t public_port;                /* 80 */
    uint64_t tls_port;                   /* 443, with certificates; 0: none */
    struct config_list tls_certificates; /* "CHAIN:KEY" or "CHAIN:KEY:OCSP", the default first */
    uint64_t tls12_sessions_max;         /* all cores; 0 refuses TLS 1.2 */
    uint64_t tls_handshake_threads;
    uint64_t tls_handshakes_max;       /* under way, a core */
    uint64_t tls_ticket_seconds;       /* life of a ticket key; 0: no resumption */
    config_text tls_ticket_file;       /* secret shared by gateways, "": each its own */
    config_text tls_agent_ca;          /* "": agents are dialled without TLS */
    config_text tls_agent_certificate; /* "CHAIN:KEY" shown to agents */
    uint64_t sessions_max;             /* all cores */
    uint64_t relay_buffer_bytes;
    uint64_t keepalive_seconds;
    bool ecn;                 /* offered to agents, accepted from browsers */
    config_text idle_mode;    /* spin | pause | sleep | interrupt */
    uint64_t worker_priority; /* SCHED_FIFO of the polling threads; 0: as any other */
    /* both */
    config_text shm_path;              /* /dev/shm/tgw */
    config_text agent_default;         /* host:port, "" for none */
    struct config_list agent_networks; /* CIDR */
    config_text log_level;
    config_text run_as_user; /* "" keeps the user */
    bool seccomp;            /* system calls are filtered */
    /* control */
    config_text control_socket;     /* /run/tgw/control.sock */
    config_text control_group;      /* group of the socket, "" for the process's */
    config_text remote_listen;      /* tgwctl --connect: "" off; ADDRESS:PORT */
    config_text remote_certificate; /* "CHAIN:KEY" */
    config_text remote_ca;          /* who signs its callers' certificates */
    config_text state_dir;          /* /var/lib/tgw */
    config_text admin_listen;       /* 127.0.0.1:9464 */
    config_text lab_listen;         /* "" off; 127.0.0.1:8000 */
    config_text lab_page_dir;
    config_text lab_public_url; /* ws://198.18.0.2 for the page */
    struct config_list allowed_origins;
    bool allow_missing_origin;
    config_text browser_refusals;       /* http | close */
    config_text token_store;            /* memory | redis */
    char redis_url[CONFIG_URL_MAX + 1]; /* secret: redacted in every output */
    uint64_t redis_timeout_ms;          /* of a request */
    config_text redis_ca;               /* certificates for rediss://, "": the system's */
    config_text redis_certificate;      /* "CHAIN:KEY" shown to the server, "" none */
    uint64_t replay_window_seconds;
    config_text agent_secret_file;
    uint64_t drain_timeout_seconds;
    uint64_t session_ttl_seconds;  /* 0: none */
    uint64_t idle_timeout_seconds; /* 0: none */
    uint64_t rate_per_source;      /* requests a second, 0: off */
    uint64_t rate_burst;           /* requests at once, of a source or a user */
    uint64_t rate_per_user;        /* requests a second with a good token, 0: off */
    uint64_t sessions_per_user;    /* 0: off */
    uint64_t sessions_per_source;  /* 0: off */
};

/* Defaults, then `path` (NULL: none), then the environment `envp`. False: one clear
 * line that names the key in err. */
bool config_load(struct config *c, const char *path, char *const envp[], char *err,
                 size_t err_bytes);
/* The same from text (tgwctl config check, tests). */
bool config_parse(struct config *c, const char *json, size_t len, char *const envp[], char *err,
                  size_t err_bytes);
/* Redacted JSON of everything; malloc'd, NULL when memory is short. */
char *config_json(const struct config *c);

struct config_change {
    const char *key;
    bool live; /* applies without a restart */
};
/* Keys in which a and b differ; returns how many (at most `max` are written). */
size_t config_diff(const struct config *a, const struct config *b, struct config_change *out,
                   size_t max);

#endif
