/* The live sessions as the control process knows them: built from OPEN and CLOSED events,
 * rebuilt from a list after a restart. Counts them by user and by source for the limits. */
#ifndef TGW_CONTROL_LIVE_H
#define TGW_CONTROL_LIVE_H

#include "contract/ident.h"
#include "map.h"

struct live {
    struct map session; /* handle -> hash of the user, hash of the source */
    struct map count;   /* hash -> sessions */
    uint64_t seed;
};

/* A seed that nobody outside can know keeps users from sharing a counter by design. */
void live_init(struct live *l, uint64_t seed);
void live_free(struct live *l);
/* Twice the same handle counts once. Without memory the session goes uncounted. `user_id`
 * NULL: not known yet, counted by its source alone until it is. */
void live_open(struct live *l, tgw_handle h, const char *user_id,
               const struct tgw_endpoint *source);
void live_close(struct live *l, tgw_handle h);
uint64_t live_count_user(const struct live *l, const char *user_id);
/* An IPv4 address, or the /64 of an IPv6 address. */
uint64_t live_count_source(const struct live *l, const struct tgw_endpoint *source);
/* The keys that sessions are counted under. */
uint64_t live_user_key(const struct live *l, const char *user_id);
uint64_t live_source_key(const struct live *l, const struct tgw_endpoint *source);

#endif
