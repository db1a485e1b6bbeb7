/* TLS of one core: a stream (core/stream.h) that sits on another one and offers the same
 * operations upward. Handshakes are done by OpenSSL on threads of their own (worker.h);
 * what a TLS 1.3 connection keeps after its handshake is two traffic secrets and two
 * sequence numbers, 128 bytes in all. A TLS 1.2 connection keeps its OpenSSL object.
 *
 * Single-threaded like the core; time comes in. A turn of the worker:
 *   tls_begin(now)                        sets the time
 *   (input of the lower streams)          -> tls_lower_handler
 *   tls_poll()                            answers of the handshake threads
 *   tls_advance(now)                      handshake deadlines
 *   (timers and commands of the owners)
 *   tls_flush()                           seals what was written, calls what is owed
 *   (flush of the lower streams)
 * Handlers of the owners are called from all of these but tls_begin. */
#ifndef TGW_TLS_TLS_H
#define TGW_TLS_TLS_H

#include "contract/counters.h"
#include "core/stream.h"
#include "tls/worker.h"

struct tls_core;

extern const struct stream_ops tls_stream_ops;
/* The owner of every lower stream; `user` is what tls_accept() returned. */
extern const struct stream_handler tls_lower_handler;

struct tls_config {
    uint32_t core;            /* which end of the workers' rings */
    uint32_t connections_max; /* in any state */
    uint32_t handshakes_max;  /* with the handshake begun: each holds an OpenSSL object */
    uint32_t queue_max;       /* new handshakes are refused while this many wait for a thread */
    uint32_t cipher_contexts; /* keys held ready for use; a power of two, 8 or more */
    uint32_t handshake_timeout_ms;
    uint64_t records_per_key; /* then the key is updated (RFC 8446 section 5.5) */
    bool huge_pages;
    struct tgw_counters *counters;
};
/* Defaults good for a gateway of 10,000 sessions. */
void tls_config_defaults(struct tls_config *c);

/* What TLS needs from around it. */
struct tls_env {
    /* A handshake is done: the owner for the handler calls, NULL to have it reset. */
    void *(*accepted)(void *ctx, struct stream s, const struct tgw_endpoint *local,
                      const struct tgw_endpoint *remote);
    const struct stream_handler *handler; /* of accepted streams */
    /* Active open of a lower stream, owned by tls_lower_handler and `user`. */
    struct stream (*dial)(void *ctx, const struct tgw_endpoint *remote,
                          const struct stream_handler *handler, void *user);
    /* A client's handshake came to nothing; it is counted already. NULL: nobody asks. */
    void (*refused)(void *ctx, enum tgw_reason reason, const struct tgw_endpoint *remote,
                    uint64_t since_ns);
    void *ctx;
};

/* NULL when memory is short. `w` must outlive it. */
struct tls_core *tls_create(const struct tls_config *c, const struct tls_env *env,
                            struct tls_workers *w, uint64_t now_ns);
/* Lower streams are aborted; owners are not told. */
void tls_destroy(struct tls_core *t);

/* A new lower stream: the owner for tls_lower_handler, NULL to refuse it. All lower streams
 * of a core are of one kind. */
void *tls_accept(struct tls_core *t, struct stream lower, const struct tgw_endpoint *local,
                 const struct tgw_endpoint *remote);
/* Dial with TLS as the client. handler->connected or handler->closed follows, never before
 * return. impl is NULL when it cannot even begin. */
struct stream tls_connect(struct tls_core *t, const struct tgw_endpoint *remote,
                          const struct stream_handler *handler, void *user);
void tls_set_owner(struct stream s, const struct stream_handler *handler, void *user);

void tls_begin(struct tls_core *t, uint64_t now_ns);
/* Returns how many answers there were. */
uint32_t tls_poll(struct tls_core *t);
/* Returns how many fired. */
uint32_t tls_advance(struct tls_core *t, uint64_t now_ns);
void tls_flush(struct tls_core *t);
/* Earliest time tls_advance has work; UINT64_MAX: none. */
uint64_t tls_next_timer(const struct tls_core *t);

struct tls_usage {
    uint32_t connections, handshakes, queued, legacy;
};
void tls_usage(const struct tls_core *t, struct tls_usage *out);
/* Bytes of one idle TLS 1.3 connection with a SHA-256 suite. */
size_t tls_connection_bytes(void);
/* Tests: walk everything and assert the invariants. */
void tls_check(const struct tls_core *t);

#endif
