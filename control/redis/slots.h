/* What a client of Redis Cluster must know of it: which slot a key lies in, and what a
 * redirection says. */
#ifndef TGW_REDIS_SLOTS_H
#define TGW_REDIS_SLOTS_H

#include "url.h"
#include <stddef.h>

enum { REDIS_SLOTS = 16384 };

/* CRC16 (XMODEM) of the key, or of what stands between its first braces. */
uint16_t redis_slot(const char *key, size_t len);

enum redis_redirect { REDIS_STAY, REDIS_MOVED, REDIS_ASK };

/* "MOVED 3999 127.0.0.1:6381", "ASK ..."; anything else is REDIS_STAY. An empty host means
 * the one that answered: out->host is "" then. */
enum redis_redirect redis_redirect_parse(const char *error, uint16_t *slot,
                                         struct redis_address *out);

#endif
