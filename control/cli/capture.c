/* `tgwctl capture`: a session's packets as a pcapng file. */
#include "command.h"
#include <openssl/evp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

/* draft-ietf-opsawg-pcapng; all numbers in this machine's order, as the magic tells. */
enum {
    BLOCK_SECTION = 0x0a0d0d0a,
    BLOCK_INTERFACE = 1,
    BLOCK_PACKET = 6,
    BYTE_ORDER_MAGIC = 0x1a2b3c4d,
    LINK_ETHERNET = 1,
    OPTION_END = 0,
    OPTION_IF_NAME = 2,
    OPTION_EPB_FLAGS = 2,
    READ_PERIOD_MS = 200,
    PACKET_BYTES_MAX = 2048,
};

static const cJSON *at(const cJSON *o, const char *key) {
    return cJSON_GetObjectItemCaseSensitive(o, key);
}

static double number(const cJSON *o, const char *key) {
    const cJSON *v = at(o, key);
    return cJSON_IsNumber(v) ? v->valuedouble : 0;
}

static void put32(FILE *out, uint32_t n) {
    fwrite(&n, sizeof(n), 1, out);
}

static void put_padded(FILE *out, const void *data, size_t len) {
    static const char zeros[4];
    fwrite(data, 1, len, out);
    fwrite(zeros, 1, (4 - len % 4) % 4, out);
}

static uint32_t padded(size_t len) {
    return (uint32_t)((len + 3) & ~(size_t)3);
}

static void write_section(FILE *out) {
    const uint32_t words[] = {BLOCK_SECTION,
                              28,
                              BYTE_ORDER_MAGIC,
                              1 /* 1.0 */,
                              UINT32_MAX,
                              UINT32_MAX /* length not said */,
                              28};
    fwrite(words, sizeof(words), 1, out);
}

static void write_interface(FILE *out, const char *name) {
    size_t len = strlen(name);
    uint32_t bytes = 20 + 4 + padded(len) + 4;
    put32(out, BLOCK_INTERFACE);
    put32(out, bytes);
    put32(out, LINK_ETHERNET);
    put32(out, 0); /* no snap length */
    put32(out, OPTION_IF_NAME | (uint32_t)len << 16);
    put_padded(out, name, len);
    put32(out, OPTION_END);
    put32(out, bytes);
}

static void write_packet(FILE *out, const cJSON *packet, uint64_t began_us) {
    unsigned char data[PACKET_BYTES_MAX];
    const char *text = cJSON_GetStringValue(at(packet, "data"));
    size_t len = text ? strlen(text) : 0;
    if (len == 0 || len % 4 || len / 4 * 3 > sizeof(data) ||
        EVP_DecodeBlock(data, (const unsigned char *)text, (int)len) < 0)
        return;
    uint32_t kept = (uint32_t)(len / 4 * 3) - (text[len - 1] == '=') - (text[len - 2] == '=');
    uint32_t bytes = 32 + padded(kept) + 12;
    uint64_t t_us = began_us + (uint64_t)number(packet, "t_us");
    put32(out, BLOCK_PACKET);
    put32(out, bytes);
    put32(out, (uint32_t)number(packet, "port"));
    put32(out, (uint32_t)(t_us >> 32));
    put32(out, (uint32_t)t_us);
    put32(out, kept);
    put32(out, (uint32_t)number(packet, "bytes"));
    put_padded(out, data, kept);
    put32(out, OPTION_EPB_FLAGS | 4u << 16);
    put32(out, cJSON_IsTrue(at(packet, "out")) ? 2 : 1); /* outbound, inbound */
    put32(out, OPTION_END);
    put32(out, bytes);
}

static void write_head(FILE *out, const cJSON *begun) {
    const cJSON *port;
    write_section(out);
    cJSON_ArrayForEach(port, at(begun, "ports")) {
        const char *name = cJSON_GetStringValue(port);
        write_interface(out, name ? name : "");
    }
}

static uint64_t unix_us(void) {
    struct timespec ts;
    clock_gettime(CLOCK_REALTIME, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static cJSON *capture_args(double capture) {
    cJSON *args = cJSON_CreateObject();
    cJSON_AddNumberToObject(args, "capture", capture);
    return args;
}

/* Until the time is up or somebody presses ^C: what was caught is kept. */
static enum cli_exit follow(struct cli *c, FILE *out, double capture, unsigned *packets,
                            double *missed) {
    enum cli_exit status = CLI_DONE;
    uint64_t began_us = unix_us(); /* the capture has just begun */
    sigset_t ending, old;
    sigemptyset(&ending);
    sigaddset(&ending, SIGINT);
    sigaddset(&ending, SIGTERM);
    sigprocmask(SIG_BLOCK, &ending, &old);
    struct pollfd p = {.fd = signalfd(-1, &ending, SFD_CLOEXEC), .events = POLLIN};
    for (bool done = false; !done && status == CLI_DONE;) {
        const cJSON *result, *packet;
        bool stopped = poll(&p, 1, READ_PERIOD_MS) > 0;
        cJSON *reply = cli_call(c, "capture.read", capture_args(capture), &result, &status);
        cJSON_ArrayForEach(packet, at(result, "packets")) {
            write_packet(out, packet, began_us);
            ++*packets;
        }
        *missed = number(result, "missed");
        done = stopped || !reply || cJSON_IsTrue(at(result, "done"));
        cJSON_Delete(reply);
    }
    close(p.fd);
    sigprocmask(SIG_SETMASK, &old, NULL);
    return status;
}

static enum cli_exit record(struct cli *c, FILE *out, const cJSON *begun) {
    enum cli_exit ignored;
    const cJSON *none;
    unsigned packets = 0;
    double capture = number(begun, "capture"), missed = 0;
    write_head(out, begun);
    enum cli_exit status = follow(c, out, capture, &packets, &missed);
    if (status == CLI_DONE) {
        cJSON_Delete(cli_call(c, "capture.stop", capture_args(capture), &none, &ignored));
        fprintf(c->out,
                c->inv.json ? "{\"packets\":%u,\"missed\":%.0f}\n" : "%u packets, %.0f missed\n",
                packets, missed);
    }
    return status;
}

enum cli_exit run_capture(struct cli *c, const char *const *arg) {
    enum cli_exit status;
    const cJSON *begun;
    const char *session = c->inv.option[OPT_SESSION], *path = c->inv.option[OPT_WRITE];
    (void)arg;
    if (!session || !path)
        return cli_usage(c, "capture: --session ID and -w FILE are needed");
    cJSON *args = cli_text_args("session", session);
    if (!cli_number_option(c, OPT_SECONDS, "seconds", 1, 600, args)) {
        cJSON_Delete(args);
        return cli_usage(c, "%s", c->inv.error);
    }
    cJSON_AddBoolToObject(args, "payload", c->inv.payload);
    cJSON *reply = cli_call(c, "capture.start", args, &begun, &status);
    if (!reply)
        return status;
    FILE *out = fopen(path, "we");
    status =
        out ? record(c, out, begun) : cli_refused(c, "output_failed", "the file cannot be written");
    if (out && (ferror(out) | (fclose(out) != 0)) && status == CLI_DONE)
        status = cli_refused(c, "output_failed", "the file could not be written whole");
    cJSON_Delete(reply);
    return status;
}
