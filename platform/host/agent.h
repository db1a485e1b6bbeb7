/* The node agent: a WebSocket server that gives each connection a terminal of its own
 * (contract section 4). One thread, one libuv loop. A connection (conn.c) carries
 * WebSocket messages (frames.c) between its socket and a program: a shell on a PTY
 * (pty.c) or one of the rigs' (programs.c). */
#ifndef TGW_HOST_AGENT_H
#define TGW_HOST_AGENT_H

#include "bytes.h"
#include "request.h"
#include <openssl/ssl.h>
#include <stdbool.h>
#include <sys/types.h>
#include <uv.h>
#include <wslay/wslay.h>

enum {
    HEAD_TIMEOUT_MS = 5000,
    CLOSE_TIMEOUT_MS = 5000,
    HANGUP_GRACE_MS = 3000, /* between SIGHUP and SIGKILL */
    EXIT_DRAIN_MS = 500,    /* output that may still come after the shell's exit */
    MESSAGE_BYTES_MAX = 16 * 1024 * 1024,
    OUT_BYTES = 64 * 1024,         /* one write to the socket */
    SEND_QUEUE_BYTES = 256 * 1024, /* above: the program's output is not read */
    INPUT_QUEUE_BYTES = 64 * 1024, /* above: the socket is not read */
    PTY_READ_BYTES = 16 * 1024,
    FLOOD_FRAME_BYTES = 1448 - 4, /* with its header, one segment with timestamps */
    FLOOD_FRAME_BYTES_MAX = 65536,
};

enum channel {
    CHANNEL_STDIN = 0,
    CHANNEL_STDOUT = 1,
    CHANNEL_EXIT = 3,
    CHANNEL_RESIZE = 4,
    CHANNEL_ACK = 5,
    CHANNEL_HELLO = 6,
    CHANNEL_PING = 8,
    CHANNEL_CLOSE = 0xff,
};

struct conn;

/* What stands behind a connection. Any operation may be NULL. */
struct program {
    const char *name;
    bool passes_messages; /* sees whole messages: channel mode means nothing to it */
    bool (*start)(struct conn *c);
    void (*input)(struct conn *c, const uint8_t *data, size_t len);
    void (*message)(struct conn *c, uint8_t opcode, const uint8_t *data, size_t len);
    void (*end_of_input)(struct conn *c);
    void (*resize)(struct conn *c);
    void (*pump)(struct conn *c); /* there may be room for output again */
    void (*hangup)(struct conn *c);
};

extern const struct program program_shell, program_echo, program_sink, program_flood;

struct agent {
    uv_loop_t loop;
    uv_poll_t listener;
    uv_signal_t sigterm, sigint, sigchld;
    int listen_fd;
    bool stopping;
    const struct program *program;
    const char *shell;
    const char *const *allocations; /* served; count 0: any */
    size_t allocation_count;
    size_t flood_frame_bytes;
    size_t conn_count, conns_max;
    struct conn *conns;
    SSL_CTX *tls; /* NULL: plain */
    uint8_t secret[512];
    size_t secret_len; /* 0: grants are not looked at (--insecure-no-grant) */
};

enum conn_state {
    CONN_HEAD,    /* reading the request */
    CONN_OPEN,    /* frames pass */
    CONN_CLOSING, /* our Close or answer is on its way out */
    CONN_GONE,    /* no socket; waits for handles and the shell */
};

struct pty {
    uv_poll_t poll;
    int fd; /* -1: none */
    pid_t pid;
    int status; /* of waitpid */
    bool reaped, end_of_output, end_of_input;
    bool killed;
};

struct conn {
    struct agent *agent;
    struct conn *next, **link;
    enum conn_state state;
    int fd;
    SSL *tls;             /* NULL: plain */
    bool tls_wants_write; /* what stands in the way of reading */
    int handles;          /* libuv handles not closed yet */
    uv_poll_t poll;
    uv_timer_t timer;
    struct request request;
    struct bytes in;    /* the head, then what stood behind it */
    struct bytes out;   /* to the socket */
    struct bytes input; /* to the program */
    wslay_event_context_ptr ws;
    struct pty pty;
    bool hello_seen, program_started, program_ended;
    bool close_sent;
    uint64_t window; /* 0: none */
    uint64_t sent, acked;
    uint64_t bytes_in;
    uint64_t began_ms;
    const char *end_reason;
    char remote[64];
};

/* conn.c */
void conn_accept(struct agent *a, int fd, const char *remote);
/* Move everything that can move, then say what to wait for. */
void conn_pump(struct conn *c);
/* Send a Close and end once the peer has answered. */
void conn_close(struct conn *c, uint16_t code, const char *reason);
/* The socket is of no more use; ends the program too. */
void conn_lost(struct conn *c, const char *reason);
/* A program's last handle or child is gone: free when nothing is left. */
void conn_unref(struct conn *c);
/* The program is over and all its output queued. */
void conn_program_ended(struct conn *c);

/* secure.c */
struct secure_files {
    const char *certificate, *key;
    const char *client_ca;   /* NULL: clients need no certificate */
    const char *client_name; /* that theirs must have; NULL: any */
};
/* NULL with one line in err. */
SSL_CTX *secure_context(const struct secure_files *f, char *err, size_t err_bytes);
bool secure_accept(struct conn *c); /* false: no memory */
void secure_free(struct conn *c);
/* As recv and send on a socket that does not block. */
ssize_t secure_recv(struct conn *c, void *buf, size_t len);
ssize_t secure_send(struct conn *c, const void *buf, size_t len);
void secure_shutdown(struct conn *c);
/* Bytes are there that the socket will not tell of. */
bool secure_pending(const struct conn *c);

/* frames.c */
bool frames_start(struct conn *c);
bool frames_receive(struct conn *c); /* false: the socket is at its end or broken */
bool frames_send(struct conn *c);    /* into c->out; false: broken */
/* Bytes of output that the connection takes now. */
size_t frames_room(const struct conn *c);
void frames_output(struct conn *c, const uint8_t *data, size_t len);
void frames_message(struct conn *c, uint8_t opcode, const uint8_t *data, size_t len);
void frames_exit(struct conn *c, int status);
void frames_close(struct conn *c, uint16_t code, const char *reason);

/* pty.c */
void pty_child_changed(struct agent *a);
void pty_timeout(struct conn *c); /* the grace after an exit or a hangup is over */

/* log.c */
enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };
__attribute__((format(printf, 3, 4))) void log_plain(enum log_level level, const char *event,
                                                     const char *format, ...);
/* With the connection's ids. reason may be NULL. */
void log_conn(enum log_level level, const char *event, const struct conn *c, const char *message,
              const char *reason);

#endif
