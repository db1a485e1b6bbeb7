/* The configuration's versions: each text that was in force is kept, numbered, in
 * state_dir/config; changes are refused while frozen; each leaves an audit line. */
#ifndef TGW_CONTROL_VERSIONS_H
#define TGW_CONTROL_VERSIONS_H

#include "gateway.h"

enum { CONFIG_CHANGES_MAX = 64, AUDIT_TEXT_MAX = 200 };

struct change_order {
    const char *who, *why; /* for the audit line; "" where unknown */
};

struct change_result {
    uint32_t version;
    size_t changes;
    struct config_change change[CONFIG_CHANGES_MAX];
    char error[CONFIG_ERROR_BYTES];
};

/* At start: the file in force becomes a version unless it is the newest one already. */
void versions_begin(struct gateway *g);
/* What `text` would change; nothing is touched. False with error. */
bool versions_check(const struct gateway *g, const char *text, size_t len,
                    struct change_result *out);
/* Make `text` the configuration: a new version, the configuration file replaced whole, live
 * keys applied. False with error: nothing has changed. */
bool versions_apply(struct gateway *g, const char *text, size_t len, const struct change_order *o,
                    struct change_result *out);
/* Back to `version`; 0: the one before the one in force. */
bool versions_rollback(struct gateway *g, uint32_t version, const struct change_order *o,
                       struct change_result *out);
/* SIGHUP: take the file as an operator has edited it. */
bool versions_reload(struct gateway *g, struct change_result *out);
/* False: it was so already. */
bool versions_freeze(struct gateway *g, bool frozen, const struct change_order *o);

#endif
