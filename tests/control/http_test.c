/* control/http.c on a real libuv loop, with a client of plain sockets. */
#include "control/http.h"
#include "tests/lib/suite.h"
#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { PORT = 18642 };

struct seen {
    unsigned requests;
    char method[16], path[64], header[64];
    size_t body_len;
    struct http_request *later; /* not answered yet */
};

static void handle(void *ctx, struct http_request *r) {
    struct seen *s = ctx;
    const char *header = http_header(r, "x-test");
    s->requests++;
    snprintf(s->method, sizeof(s->method), "%s", r->method);
    snprintf(s->path, sizeof(s->path), "%s", r->path);
    snprintf(s->header, sizeof(s->header), "%s", header ? header : "-");
    s->body_len = r->body_len;
    CU_ASSERT_EQUAL(r->body[r->body_len], 0);
    if (strcmp(r->path, "/later") == 0) {
        s->later = r;
        return;
    }
    http_answer(r, &(struct http_answer){.status = 200,
                                         .content_type = "text/plain",
                                         .body = strdup("forty-two"),
                                         .body_len = 9,
                                         .headers = {{"X-Answer", "yes"}}});
}

/* Send the request and turn the loop until the server has closed; returns the answer. */
static void ask(uv_loop_t *loop, const char *request, size_t len, char *out, size_t size) {
    struct sockaddr_in to;
    uv_ip4_addr("127.0.0.1", PORT, &to);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    size_t got = 0, sent = 0;
    CU_ASSERT_EQUAL_FATAL(connect(fd, (struct sockaddr *)&to, sizeof(to)), 0);
    for (int turns = 0; turns < 400; turns++) {
        ssize_t n = sent < len ? send(fd, request + sent, len - sent, MSG_DONTWAIT) : 0;
        sent += n > 0 ? (size_t)n : 0;
        uv_run(loop, UV_RUN_NOWAIT);
        n = recv(fd, out + got, size - 1 - got, MSG_DONTWAIT);
        if (n == 0)
            break;
        got += n > 0 ? (size_t)n : 0;
        if (n < 0)
            usleep(500);
    }
    out[got] = 0;
    close(fd);
}

static void exchange(const char *request, size_t len, struct seen *seen, char *out, size_t size) {
    uv_loop_t loop;
    char err[200] = "";
    uv_loop_init(&loop);
    struct http_server *s =
        http_listen(&loop, "test", "127.0.0.1:18642", handle, seen, err, sizeof(err));
    CU_ASSERT_STRING_EQUAL(err, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(s);
    ask(&loop, request, len, out, size);
    http_close(s);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static void answers_get(void) {
    struct seen seen = {0};
    char out[2048];
    const char *request = "GET /a%20b?c=d HTTP/1.1\r\nHost: x\r\nX-Test: v\r\n"
                          "Connection: close\r\n\r\n";
    exchange(request, strlen(request), &seen, out, sizeof(out));
    CU_ASSERT_STRING_EQUAL(seen.method, "GET");
    CU_ASSERT_STRING_EQUAL(seen.path, "/a b");
    CU_ASSERT_STRING_EQUAL(seen.header, "v");
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "HTTP/1.1 200 OK\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Content-Type: text/plain\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "X-Answer: yes\r\n"));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\r\n\r\nforty-two"));
}

static void head_is_get_without_a_body(void) {
    struct seen seen = {0};
    char out[2048];
    const char *request = "HEAD / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    exchange(request, strlen(request), &seen, out, sizeof(out));
    CU_ASSERT_STRING_EQUAL(seen.method, "GET");
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "Content-Length: 9\r\n"));
    CU_ASSERT_PTR_NULL(strstr(out, "forty-two"));
}

static void takes_a_body_up_to_its_limit(void) {
    static char request[HTTP_BODY_MAX + 200];
    char out[2048];
    for (size_t extra = 0; extra < 2; extra++) {
        struct seen seen = {0};
        int head = snprintf(request, sizeof(request),
                            "POST /p HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                            "Content-Length: %zu\r\n\r\n",
                            HTTP_BODY_MAX + extra);
        memset(request + head, 'b', HTTP_BODY_MAX + extra);
        exchange(request, (size_t)head + HTTP_BODY_MAX + extra, &seen, out, sizeof(out));
        CU_ASSERT_EQUAL(seen.requests, extra ? 0 : 1);
        CU_ASSERT_EQUAL(seen.body_len, extra ? 0 : HTTP_BODY_MAX);
        CU_ASSERT_PTR_NOT_NULL(strstr(out, extra ? " 413 " : " 200 "));
    }
}

static const char *const later = "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

static void on_later(uv_timer_t *t) {
    struct seen *s = t->data;
    http_text(s->later, 201, "text/plain", "at last");
    uv_close((uv_handle_t *)t, NULL);
}

static void answers_later(void) {
    struct seen seen = {0};
    char out[2048], err[200];
    uv_loop_t loop;
    uv_timer_t timer;
    uv_loop_init(&loop);
    struct http_server *s =
        http_listen(&loop, "test", "127.0.0.1:18642", handle, &seen, err, sizeof(err));
    uv_timer_init(&loop, &timer);
    timer.data = &seen;
    uv_timer_start(&timer, on_later, 50, 0);
    ask(&loop, later, strlen(later), out, sizeof(out));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, " 201 "));
    CU_ASSERT_PTR_NOT_NULL(strstr(out, "\r\n\r\nat last"));
    http_close(s);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

/* The server goes away before the answer comes: nothing is leaked, nothing is touched. */
static void may_close_before_the_answer(void) {
    struct seen seen = {0};
    char out[2048];
    exchange(later, strlen(later), &seen, out, sizeof(out));
    CU_ASSERT_STRING_EQUAL(out, "");
    CU_ASSERT_PTR_NOT_NULL_FATAL(seen.later);
    http_text(seen.later, 200, "text/plain", "too late");
}

static void refuses_bad_addresses(void) {
    static const char *const bad[] = {"",       "8000",         "127.0.0.1",   "127.0.0.1:",
                                      ":80",    "127.0.0.1:0",  "localhost:1", "127.0.0.1:65536",
                                      "[::1:1", "127.0.0.1:80x"};
    uv_loop_t loop;
    uv_loop_init(&loop);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        char err[200] = "";
        CU_ASSERT_PTR_NULL(http_listen(&loop, "key", bad[i], handle, NULL, err, sizeof(err)));
        CU_ASSERT_EQUAL(strncmp(err, "key: ", 5), 0);
    }
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

static void says_that_a_port_is_taken(void) {
    uv_loop_t loop;
    char err[200] = "";
    uv_loop_init(&loop);
    struct http_server *s =
        http_listen(&loop, "key", "127.0.0.1:18642", handle, NULL, err, sizeof(err));
    CU_ASSERT_PTR_NOT_NULL(s);
    CU_ASSERT_PTR_NULL(
        http_listen(&loop, "key", "127.0.0.1:18642", handle, NULL, err, sizeof(err)));
    CU_ASSERT_STRING_EQUAL(err, "key: 127.0.0.1:18642: Address already in use");
    http_close(s);
    uv_run(&loop, UV_RUN_DEFAULT);
    CU_ASSERT_EQUAL(uv_loop_close(&loop), 0);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"answers GET", answers_get},
        {"HEAD is GET without a body", head_is_get_without_a_body},
        {"takes a body up to its limit", takes_a_body_up_to_its_limit},
        {"answers later", answers_later},
        {"may close before the answer", may_close_before_the_answer},
        {"refuses bad addresses", refuses_bad_addresses},
        {"says that a port is taken", says_that_a_port_is_taken},
    };
    return suite_run("control/http", cases, sizeof(cases) / sizeof(cases[0]));
}
