/* The key schedule of handshakes, as an OpenSSL provider (provider-kdf(7)): libssl asks it for
 * each secret of TLS 1.3, so that deriving is cheap and the traffic secrets are seen where
 * they are made, without a key log. */
#ifndef TGW_TLS_PROVIDER_H
#define TGW_TLS_PROVIDER_H

#include "tls/hkdf.h"

/* For SSL_CTX_new_ex: ours where it has the algorithm. */
extern const char tls_provider_query[];

enum { TLS_CLIENT_SEEN = 1, TLS_SERVER_SEEN = 2 };

struct tls_secrets {
    uint8_t seen;                          /* TLS_CLIENT_SEEN, TLS_SERVER_SEEN */
    uint8_t secret[2][TLS_HASH_BYTES_MAX]; /* application traffic secrets: client's, server's */
};

/* Loads it for the process, once; any thread. False: the library does not take it. */
bool tls_provider_install(void);
/* What this thread derives from now on goes there, too. NULL: nowhere. */
void tls_provider_watch(struct tls_secrets *out);

#endif
