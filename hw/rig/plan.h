/* A run, as its file describes it: what to play over which ports, against which gateway,
 * for how long. Unknown keys are refused by name. */
#ifndef TGW_RIG_PLAN_H
#define TGW_RIG_PLAN_H

#include "config/config.h"
#include "net/addr.h"
#include <cjson/cJSON.h>

enum scenario {
    SCENARIO_echo,  /* keystrokes out, the agent's echo back */
    SCENARIO_flood, /* the agent writes as fast as it may */
    SCENARIO_paste, /* the browser does */
    SCENARIO_churn, /* connect, upgrade, a keystroke and its echo, close; again */
    SCENARIO_idle,  /* hold sessions open; typing_sessions of them type */
    SCENARIO_mixed, /* keystrokes, bursts of output, now and then a paste */
};

enum play { PLAY_both, PLAY_browsers, PLAY_agents };

struct plan {
    char name[64];
    struct config machine; /* ports, cores, huge_pages, memory_mb, eal_args */
    uint64_t scenario, play;
    char gateway[64], clients[64], agents[64];
    char tokens[256]; /* file of "ALLOCATION TOKEN" lines; "": made up (verdicts) */
    char tls_ca[256]; /* browsers dial with TLS and expect this CA; "": plain */
    char region[256]; /* shared region of the gateway under test; "": not on this machine */
    bool verdicts;    /* stand in for the control process: every token is good */
    uint64_t agent_port;
    uint64_t sessions, typing_sessions; /* typing: 0: all */
    uint64_t ramp_per_s, opening_max;
    uint64_t rate_per_s; /* frames (churn: sessions) a second, all together; 0: closed loop */
    uint64_t window;     /* closed loop: frames under way a session */
    uint64_t frame_bytes, output_bytes;
    uint64_t settle_ms, duration_ms;
    char report[256];
};

extern const char *const scenario_names[];

/* False with one line in err. *file is the parsed file, to go into the report. `overrides`,
 * NULL or ending in NULL: "sessions=1000". */
bool plan_load(struct plan *p, const char *path, char *const overrides[], cJSON **file, char *err,
               size_t err_bytes);
/* The same from text. */
bool plan_parse(struct plan *p, const char *text, char *const overrides[], cJSON **file, char *err,
                size_t err_bytes);
/* "198.18.0.2:80" */
bool plan_endpoint(const char *text, struct ip_addr *addr, uint16_t *port);

#endif
