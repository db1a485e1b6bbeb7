/* Tokens in Redis (contract section 3): keys `terminal:token:{H}`, one atomic script. */
#ifndef TGW_CONTROL_STORE_REDIS_H
#define TGW_CONTROL_STORE_REDIS_H

#include "config/config.h"
#include "control/redis/client.h"
#include "store.h"

extern const struct store_ops redis_store_ops;

/* Takes redis_url, redis_timeout_ms, redis_ca, redis_certificate and replay_window_seconds
 * of `config` over by value. NULL with one line in err, which names the key and no secret.
 * Connects in the background: a server that is away is no error. */
void *redis_store_open(uv_loop_t *loop, const struct config *config, char *err, size_t err_bytes);
/* Of a store of redis_store_ops. */
void redis_store_usage(const void *impl, struct redis_client_usage *out);

#endif
