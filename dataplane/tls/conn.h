/* A TLS connection and the core around it; private to tls/. */
#ifndef TGW_TLS_CONN_H
#define TGW_TLS_CONN_H

#include "core/bq.h"
#include "core/timer.h"
#include "tls/cache.h"
#include "tls/job.h"
#include "tls/tls.h"

enum tls_state {
    TLS_FREE,
    TLS_HANDSHAKING,
    TLS_OPEN,    /* TLS 1.3, our record layer */
    TLS_LEGACY,  /* TLS 1.2, OpenSSL's */
    TLS_ENDED,   /* no lower stream any more; the owner is still to be told */
    TLS_RETIRED, /* no owner any more; goes when its last bytes are out */
};

enum tls_flag {
    TLS_F_EOF = 1,              /* the peer's close_notify */
    TLS_F_SHUT = 2,             /* our close_notify */
    TLS_F_WANT_WRITE = 4,       /* writable() is owed */
    TLS_F_DUE = 8,              /* on the list of tls_flush() */
    TLS_F_KEY_UPDATE_OWED = 16, /* the peer asked for ours */
    TLS_F_CLIENT = 32,          /* our role */
    TLS_F_KEY_UPDATE_ASK = 64,  /* the peer's key has protected enough: ask for another */
};

enum { TLS_READ, TLS_WRITE, TLS_NONE = POOL_NONE };

/* One cache line; the secrets are another, touched only to derive a key. */
struct tls_conn {
    struct tls_core *core;
    void *lower; /* NULL: gone */
    const struct stream_handler *handler;
    void *user;
    uint64_t seq[2];   /* TLS_READ, TLS_WRITE: of the next record */
    uint32_t slot;     /* TLS_HANDSHAKING: struct tls_hs; TLS_OPEN: secrets */
    uint32_t extra;    /* struct tls_extra or TLS_NONE */
    uint32_t due_next; /* index or TLS_NONE */
    uint8_t state, suite;
    uint8_t flags;
    union {
        uint8_t dataless; /* records without data since the last one with */
        uint8_t end;      /* TLS_ENDED: enum stream_end */
    };
};
_Static_assert(sizeof(struct tls_conn) == 64, "one cache line a connection");
_Static_assert(sizeof(struct tls_conn) + 2 * 32 == 128, "with secrets of a SHA-256 suite");

/* What a connection has only now and then. */
struct tls_extra {
    struct bq in;      /* plaintext that the owner left */
    struct bq partial; /* the front of a record */
    struct bq spill;   /* sealed, but the lower stream had no room */
    uint8_t message[5];
    uint8_t message_len;   /* of a handshake message under way */
    uint32_t message_skip; /* bytes of one that is passed over */
    SSL *ssl;              /* TLS_LEGACY */
    struct tls_set *set;   /* ... and what it hangs on */
};

/* A handshake: from accept or dial to the hand-over. */
struct tls_hs {
    struct timer timer; /* first: the wheel hands it back */
    struct tls_conn *conn;
    struct tls_job *job; /* NULL until the first byte */
    uint64_t since_ns;
    bool away; /* the job is with a thread */
    struct tgw_endpoint local, remote;
};

struct tls_buffers {
    uint8_t plain[TLS_CIPHER_BYTES_MAX];     /* the record opened last */
    uint8_t cipher[TLS_RECORD_BYTES_MAX];    /* a record put together from parts */
    uint8_t staged[TLS_PLAIN_BYTES_MAX + 1]; /* and the content type */
    uint8_t sealed[TLS_RECORD_BYTES_MAX];
};

struct tls_core {
    struct tls_config config;
    struct tls_env env;
    struct tls_workers *workers;
    struct tls_crypto crypto;
    struct tls_cache cache;
    struct tls_link *link; /* [links] */
    uint32_t links;
    struct pool conns, secrets, secrets_long, extras, handshakes, jobs, buffer_pool;
    struct bq_pools blocks;
    struct timer_wheel wheel;
    const struct stream_ops *lower_ops;
    struct tls_buffers *buffers;
    struct tls_conn *live; /* whose plaintext lies in buffers->plain */
    const uint8_t *live_at;
    size_t live_len;
    struct tls_conn *staged; /* who wrote last: not sealed yet */
    size_t staged_len;
    size_t room_most; /* of a lower stream, as far as seen: an empty queue's */
    uint32_t due_first, due_last;
    uint32_t legacy;
    uint64_t now_ns;
};

/* core.c */
struct tls_conn *conn_alloc(struct tls_core *t, void *lower);
/* The owner is gone or was told: frees it now or with the due list. */
void conn_retire(struct tls_conn *c);
/* Have tls_flush() look at it. */
void conn_due(struct tls_conn *c);
/* Give the lower stream up and owe the owner `end`. */
void conn_end(struct tls_conn *c, enum stream_end end);
/* ... because of `reason`, with an alert to the peer unless `alert` is negative. */
void conn_fail(struct tls_conn *c, enum tgw_reason reason, int alert, enum stream_end end);
uint32_t conn_index(const struct tls_conn *c);
struct pool *secrets_pool(struct tls_core *t, uint8_t suite);
uint8_t *conn_secret(const struct tls_conn *c, int direction);
struct tls_extra *conn_extra(const struct tls_conn *c); /* NULL: has none */
struct tls_extra *conn_extra_make(struct tls_conn *c);  /* NULL: no memory */
void conn_extra_trim(struct tls_conn *c);               /* drop it when it is empty */
/* A direction's key; NULL: the library failed. */
const struct tls_key *conn_key(struct tls_conn *c, int direction);
void conn_next_key(struct tls_conn *c, int direction);

/* handshake.c */
/* Count a client that was turned away, and tell of it. since_ns: of its connection. */
void handshake_refuse(struct tls_core *t, enum tgw_reason reason, const struct tgw_endpoint *remote,
                      uint64_t since_ns);
bool handshake_begin(struct tls_conn *c, const struct tgw_endpoint *local,
                     const struct tgw_endpoint *remote);
void handshake_connected(struct tls_conn *c);
void handshake_feed(struct tls_conn *c);
void handshake_closed(struct tls_conn *c, enum stream_end end);
void handshake_cancel(struct tls_conn *c);
void handshake_timer(void *core, struct timer *timer);
void handshake_answer(struct tls_core *t, struct tls_job *job);

/* input.c */
size_t input_unread(const struct tls_conn *c);
/* Open records until there is unread data. False: none for now. */
bool input_open(struct tls_conn *c);
/* ... one that comes behind the unread data there is. */
bool input_open_more(struct tls_conn *c);
/* New bytes or the FIN came: open, and tell the owner. Its last act: c may be gone. */
void input_deliver(struct tls_conn *c);
/* Move plaintext out of the core's buffer. */
void input_keep_live(struct tls_core *t);

/* message.c: handshake messages after the handshake (RFC 8446 section 4.6). */
void message_take(struct tls_conn *c, const uint8_t *data, size_t len);
bool message_under_way(const struct tls_conn *c);
/* request: the peer is to answer with one of its own. */
void message_key_update(struct tls_conn *c, bool request);
void message_key_update_owed(struct tls_conn *c);

/* output.c */
size_t output_room(struct tls_conn *c);
size_t output_write(struct tls_conn *c, const uint8_t *data, size_t len);
void output_flush(struct tls_core *t);
/* Seal at once; data[len] is written to. */
void output_record(struct tls_conn *c, enum tls_content type, uint8_t *data, size_t len);
void output_alert(struct tls_conn *c, uint8_t level, enum tls_alert alert);
/* close_notify, then the lower FIN. */
void output_shutdown(struct tls_conn *c);
/* Bytes for the wire. False: no memory for what the lower stream did not take. */
bool output_emit(struct tls_conn *c, const uint8_t *data, size_t len);
/* False: there is still some left. */
bool output_push_spill(struct tls_conn *c);

/* legacy.c: TLS 1.2 by OpenSSL. */
bool legacy_adopt(struct tls_conn *c, struct tls_job *job);
/* The next plaintext into buffers->plain; 0: none for now, or the end. */
size_t legacy_open(struct tls_conn *c);
void legacy_record(struct tls_conn *c, const uint8_t *data, size_t len);
void legacy_shutdown(struct tls_conn *c);
void legacy_free(struct tls_conn *c);

#endif
