/* Questions to the dataplane about live sessions: each is answered by events of the
 * command's seq, or by a deadline. */
#ifndef TGW_CONTROL_QUERY_H
#define TGW_CONTROL_QUERY_H

#include "bridge.h"
#include <cjson/cJSON.h>

enum {
    QUERIES_MAX = 8,
    QUERY_TIMEOUT_MS = 2000,
    QUERY_PROBE_TIMEOUT_MS = 9000, /* within what tgwctl waits for a reply */
    QUERY_SESSIONS_MAX = 1000,     /* of one list */
};

enum query_kind { QUERY_LIST, QUERY_SHOW, QUERY_KILL, QUERY_PROBE };

/* `code` NULL: `result` (an object, now the callee's) is the answer. Else why not. */
typedef void query_done(void *ctx, cJSON *result, const char *code, const char *message);

struct query {
    query_done *done; /* NULL: free */
    void *ctx;
    enum query_kind kind;
    uint32_t seq;
    uint32_t cores_left; /* that have not ended their list */
    uint64_t deadline_ns;
    uint32_t port;                        /* of PROBE */
    char session[TGW_SESSION_ID_MAX + 1]; /* of SHOW and KILL, as asked for */
    tgw_handle handle;                    /* 0: not found yet */
    bool truncated;
    cJSON *result, *list;
};

struct queries {
    struct query at[QUERIES_MAX];
    uint32_t seq;
};

/* `session`: a session_id, or the handle that a list shows. `done` is called exactly once:
 * at once when it cannot be asked, else by one of the functions below. */
void query_start(struct queries *q, struct bridge *b, enum query_kind kind, const char *session,
                 uint64_t now_ns, query_done *done, void *ctx);
/* Let core 0 probe a port; the same way. */
void query_probe(struct queries *q, struct bridge *b, uint32_t port, uint64_t now_ns,
                 query_done *done, void *ctx);
/* An event with a seq. */
void query_event(struct queries *q, struct bridge *b, const union tgw_event *e);
/* Deadlines; a dataplane that went away. */
void query_advance(struct queries *q, const struct bridge *b, uint64_t now_ns);
/* The same session as everywhere else: contract fields, ages in seconds. */
cJSON *query_session_json(const struct tgw_ev_session *e, bool legs);

#endif
