/* tgwctl --connect: the control process of a DPU from its host, over mutual TLS 1.3. */
#include "client.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_TIMEOUT_MS = 5000 };

static bool fail(struct client *c, const char *what, const char *why) {
    snprintf(c->error, sizeof(c->error), "%s: %.180s", what, why);
    client_close(c);
    return false;
}

static bool fail_tls(struct client *c, const char *what) {
    const char *why = ERR_reason_error_string(ERR_peek_last_error());
    long verify = c->ssl ? SSL_get_verify_result(c->ssl) : X509_V_OK;
    if (verify != X509_V_OK)
        why = X509_verify_cert_error_string(verify);
    ERR_clear_error();
    return fail(c, what, why ? why : "it closed the connection");
}

/* "HOST:PORT", an IPv6 address in brackets. */
static bool split(const char *to, char host[256], char port[8]) {
    const char *colon = strrchr(to, ':');
    size_t len = colon ? (size_t)(colon - to) : 0;
    bool brackets = len > 2 && to[0] == '[' && to[len - 1] == ']';
    if (!colon || len == 0 || len >= 256 || strlen(colon + 1) == 0 || strlen(colon + 1) > 5)
        return false;
    snprintf(host, 256, "%.*s", (int)(brackets ? len - 2 : len), to + brackets);
    snprintf(port, 8, "%s", colon + 1);
    return brackets || !strchr(host, ':');
}

/* Connected and blocking, or -1 with errno. */
static int dial(const struct addrinfo *a) {
    int error = 0;
    socklen_t size = sizeof(error);
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    struct pollfd p = {.fd = fd, .events = POLLOUT};
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS)
        error = errno;
    else if (poll(&p, 1, CONNECT_TIMEOUT_MS) <= 0)
        error = ETIMEDOUT;
    else
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    if (error == 0 && fcntl(fd, F_SETFL, 0) == 0)
        return fd;
    close(fd);
    errno = error;
    return -1;
}

static bool dial_any(struct client *c, const char *host, const char *port) {
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list;
    int rc = getaddrinfo(host, port, &hints, &list);
    if (rc != 0)
        return fail(c, "name", gai_strerror(rc));
    for (const struct addrinfo *a = list; a && c->fd < 0; a = a->ai_next)
        c->fd = dial(a);
    freeaddrinfo(list);
    return c->fd >= 0 || fail(c, "connect", strerror(errno));
}

static bool load(struct client *c, const struct client_identity *who) {
    c->tls = SSL_CTX_new(TLS_client_method());
    if (!c->tls || SSL_CTX_set_min_proto_version(c->tls, TLS1_3_VERSION) != 1)
        return fail_tls(c, "TLS");
    SSL_CTX_set_verify(c->tls, SSL_VERIFY_PEER, NULL);
    if (SSL_CTX_load_verify_locations(c->tls, who->ca, NULL) != 1)
        return fail_tls(c, who->ca);
    if (SSL_CTX_use_certificate_chain_file(c->tls, who->certificate) != 1)
        return fail_tls(c, who->certificate);
    if (SSL_CTX_use_PrivateKey_file(c->tls, who->key, SSL_FILETYPE_PEM) != 1 ||
        SSL_CTX_check_private_key(c->tls) != 1)
        return fail_tls(c, who->key);
    return true;
}

/* The certificate must name the host that was dialled, by name or by address. */
static bool expect(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);
    if (X509_VERIFY_PARAM_set1_ip_asc(param, host) == 1)
        return true;
    return SSL_set1_host(ssl, host) == 1 && SSL_set_tlsext_host_name(ssl, host) == 1;
}

bool client_connect_remote(struct client *c, const char *to, const struct client_identity *who) {
    char host[256], port[8];
    const struct timeval timeout = {.tv_sec = CONNECT_TIMEOUT_MS / 1000};
    c->fd = -1;
    if (!split(to, host, port))
        return fail(c, "--connect", "expected HOST:PORT");
    if (!load(c, who) || !dial_any(c, host, port))
        return false;
    setsockopt(c->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
    setsockopt(c->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout));
    c->ssl = SSL_new(c->tls);
    if (!c->ssl || !expect(c->ssl, host) || SSL_set_fd(c->ssl, c->fd) != 1 ||
        SSL_connect(c->ssl) != 1)
        return fail_tls(c, "TLS");
    return true;
}
