/* Records and key schedule against the traces of RFC 8448 section 3, and what a record
 * layer must refuse. */
#include "tests/lib/suite.h"
#include "tls/record.h"
#include <string.h>

static const char client_secret[] =
    "9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] =
    "a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";
static const char client_handshake[] =
    "b3eddb126e067f35a780b3abf45e2d8f3b1a950738f52e9600746a0e27a55a21";
static const char server_handshake[] =
    "b67b7d690cc16c4e75e54213cb2d37b4e9c912bcded9105d42befd59d391ad38";
static const char client_finished[] =
    "170303003575ec4dc238cce60b298044a71e219c56cc77b0517fe9b93c7a4bfc44d87f38f80338ac98fc46deb384"
    "bd1caeacab6867d726c40546";
static const char client_data[] =
    "1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a"
    "20441e2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
static const char server_data[] = /* its first record was a ticket */
    "17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb"
    "501a59a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
static const char client_close[] = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
static const char server_close[] = "1703030013b58fd67166ebf599d24720cfbe7efa7a8864a9";

static size_t unhex(const char *hex, uint8_t *out) {
    static const char digits[] = "0123456789abcdef";
    size_t n = strlen(hex) / 2;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 |
                           (strchr(digits, hex[2 * i + 1]) - digits));
    return n;
}

struct rig {
    struct tls_crypto crypto;
    struct tls_key seal, open;
    uint8_t plain[TLS_CIPHER_BYTES_MAX], record[TLS_RECORD_BYTES_MAX];
};
static struct rig rig;

static void rig_init(struct rig *r, enum tls_suite suite, const uint8_t *secret) {
    CU_ASSERT_FATAL(tls_crypto_init(&r->crypto));
    r->seal = r->open = (struct tls_key){0};
    CU_ASSERT_FATAL(tls_key_set(&r->crypto, suite, secret, true, &r->seal));
    CU_ASSERT_FATAL(tls_key_set(&r->crypto, suite, secret, false, &r->open));
}

static void rig_fini(struct rig *r) {
    tls_key_clear(&r->seal);
    tls_key_clear(&r->open);
    tls_crypto_fini(&r->crypto);
}

static void key_schedule_follows_the_trace(void) {
    static const struct {
        const char *secret, *label, *expected;
    } cases[] = {
        {server_handshake, "key", "3fce516009c21727d0f2e4e86ee403bc"},
        {server_handshake, "iv", "5d313eb2671276ee13000b30"},
        {server_handshake, "finished",
         "008d3b66f816ea559f96b537e885c31fc068bf492c652f01f288a1d8cdc19fc8"},
        {client_handshake, "key", "dbfaa693d1762c5b666af5d950258d01"},
        {client_handshake, "iv", "5bd3c71b836e0b76bb73265f"},
        {client_handshake, "finished",
         "b80ad01015fb2f0bd65ff7d4da5d6bf83f84821d1f87fdc7d3c75b5a7b42d9c4"},
        {client_secret, "key", "17422dda596ed5d9acd890e3c63f5051"},
        {client_secret, "iv", "5b78923dee08579033e523d9"},
        {server_secret, "key", "9f02283b6c9c07efc26bb9f2ac92e356"},
        {server_secret, "iv", "cf782b88dd83549aadf1e984"},
    };
    struct tls_crypto c;
    uint8_t secret[32], expected[32], got[32];
    CU_ASSERT_FATAL(tls_crypto_init(&c));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unhex(cases[i].secret, secret);
        size_t len = unhex(cases[i].expected, expected);
        CU_ASSERT(tls_expand_label(&c, TLS_AES_128_GCM_SHA256, secret, cases[i].label, got, len));
        CU_ASSERT(memcmp(got, expected, len) == 0);
    }
    tls_crypto_fini(&c);
}

static void check_record(const char *secret_hex, uint64_t seq, enum tls_content type,
                         const uint8_t *data, size_t len, const char *record_hex) {
    uint8_t secret[32], expected[128];
    struct tls_plain p;
    enum tls_alert alert;
    unhex(secret_hex, secret);
    rig_init(&rig, TLS_AES_128_GCM_SHA256, secret);
    size_t bytes = unhex(record_hex, expected);
    memcpy(rig.plain, data, len);
    CU_ASSERT(tls_record_seal(&rig.seal, seq, type, rig.plain, len, rig.record));
    CU_ASSERT_EQUAL(bytes, len + TLS_OVERHEAD_BYTES);
    CU_ASSERT(memcmp(rig.record, expected, bytes) == 0);
    CU_ASSERT_EQUAL(tls_record_bytes(expected, &alert), bytes);
    CU_ASSERT(tls_record_open(&rig.open, seq, expected, rig.plain, &p, &alert));
    CU_ASSERT_EQUAL(p.type, type);
    CU_ASSERT_EQUAL(p.len, len);
    CU_ASSERT(memcmp(rig.plain, data, len) == 0);
    rig_fini(&rig);
}

static void records_follow_the_trace(void) {
    static const uint8_t close[] = {1, TLS_CLOSE_NOTIFY};
    uint8_t data[50], finished[36];
    unhex("14000020a8ec436d677634ae525ac1fcebe11a039ec17694fac6e98527b642f2edd5ce61", finished);
    check_record(client_handshake, 0, TLS_HANDSHAKE, finished, sizeof(finished), client_finished);
    for (size_t i = 0; i < sizeof(data); i++)
        data[i] = (uint8_t)i;
    check_record(client_secret, 0, TLS_APPLICATION_DATA, data, sizeof(data), client_data);
    check_record(server_secret, 1, TLS_APPLICATION_DATA, data, sizeof(data), server_data);
    check_record(client_secret, 1, TLS_ALERT, close, sizeof(close), client_close);
    check_record(server_secret, 2, TLS_ALERT, close, sizeof(close), server_close);
}

static void every_suite_seals_and_opens_every_size(void) {
    static const size_t sizes[] = {0, 1, 15, 16, 17, 64, 1447, 16383, TLS_PLAIN_BYTES_MAX};
    uint8_t secret[TLS_SECRET_BYTES_MAX] = {7};
    for (enum tls_suite suite = 0; suite < TLS_SUITES; suite++) {
        rig_init(&rig, suite, secret);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            struct tls_plain p = {0};
            enum tls_alert alert;
            memset(rig.plain, (int)i + 1, sizes[i]);
            CU_ASSERT(tls_record_seal(&rig.seal, i << 33, TLS_APPLICATION_DATA, rig.plain, sizes[i],
                                      rig.record));
            memset(rig.plain, 0, sizeof(rig.plain));
            CU_ASSERT(tls_record_open(&rig.open, i << 33, rig.record, rig.plain, &p, &alert));
            CU_ASSERT_EQUAL(p.len, sizes[i]);
            CU_ASSERT(sizes[i] == 0 || rig.plain[sizes[i] - 1] == i + 1);
        }
        rig_fini(&rig);
    }
}

static void a_changed_bit_or_number_is_seen(void) {
    uint8_t secret[TLS_SECRET_BYTES_MAX] = {9};
    struct tls_plain p;
    enum tls_alert alert;
    for (enum tls_suite suite = 0; suite < TLS_SUITES; suite++) {
        rig_init(&rig, suite, secret);
        memcpy(rig.plain, "keystroke", 9);
        CU_ASSERT(tls_record_seal(&rig.seal, 5, TLS_APPLICATION_DATA, rig.plain, 9, rig.record));
        for (size_t bit = 3 * 8; bit < (9 + TLS_OVERHEAD_BYTES) * 8; bit++) {
            if (bit / 8 == 3 || bit / 8 == 4)
                continue; /* the length: another record */
            rig.record[bit / 8] ^= (uint8_t)(1 << bit % 8);
            CU_ASSERT(!tls_record_open(&rig.open, 5, rig.record, rig.plain, &p, &alert));
            CU_ASSERT_EQUAL(alert, TLS_BAD_RECORD_MAC);
            rig.record[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
        CU_ASSERT(!tls_record_open(&rig.open, 4, rig.record, rig.plain, &p, &alert));
        CU_ASSERT(tls_record_open(&rig.open, 5, rig.record, rig.plain, &p, &alert));
        rig_fini(&rig);
    }
}

static void headers_that_cannot_be_are_refused(void) {
    static const struct {
        uint8_t header[TLS_HEADER_BYTES];
        size_t bytes;
        enum tls_alert alert;
    } cases[] = {
        {{23, 3, 3, 0x41, 0x00}, TLS_RECORD_BYTES_MAX, 0},
        {{23, 3, 3, 0x41, 0x01}, 0, TLS_RECORD_OVERFLOW},
        {{23, 3, 1, 0, 17}, 22, 0}, /* the version is not looked at beyond being TLS's */
        {{23, 3, 3, 0, 16}, 0, TLS_BAD_RECORD_MAC},
        {{23, 3, 3, 0, 0}, 0, TLS_BAD_RECORD_MAC},
        {{22, 3, 3, 0, 100}, 0, TLS_UNEXPECTED_MESSAGE},
        {{21, 3, 3, 0, 2}, 0, TLS_UNEXPECTED_MESSAGE},
        {{20, 3, 3, 0, 1}, 0, TLS_UNEXPECTED_MESSAGE},
        {{'G', 'E', 'T', ' ', '/'}, 0, TLS_UNEXPECTED_MESSAGE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum tls_alert alert;
        CU_ASSERT_EQUAL(tls_record_bytes(cases[i].header, &alert), cases[i].bytes);
        CU_ASSERT(cases[i].bytes || alert == cases[i].alert);
    }
}

/* A record that holds `inner` as it is, padding and type included. */
static void seal_inner(const uint8_t *inner, size_t len) {
    memcpy(rig.plain, inner, len - 1);
    CU_ASSERT_FATAL(tls_record_seal(&rig.seal, 0, inner[len - 1], rig.plain, len - 1, rig.record));
}

static void padding_is_taken_off_and_must_not_be_all(void) {
    static const uint8_t padded[] = {'a', 0, TLS_APPLICATION_DATA, 0, 0, 0};
    static const uint8_t empty[] = {TLS_APPLICATION_DATA, 0}, nothing[] = {0, 0, 0, 0};
    uint8_t secret[TLS_SECRET_BYTES_MAX] = {1};
    struct tls_plain p;
    enum tls_alert alert;
    rig_init(&rig, TLS_AES_128_GCM_SHA256, secret);
    seal_inner(padded, sizeof(padded));
    CU_ASSERT(tls_record_open(&rig.open, 0, rig.record, rig.plain, &p, &alert));
    CU_ASSERT(p.len == 2 && p.type == TLS_APPLICATION_DATA && rig.plain[0] == 'a');
    seal_inner(empty, sizeof(empty));
    CU_ASSERT(tls_record_open(&rig.open, 0, rig.record, rig.plain, &p, &alert));
    CU_ASSERT_EQUAL(p.len, 0);
    seal_inner(nothing, sizeof(nothing));
    CU_ASSERT(!tls_record_open(&rig.open, 0, rig.record, rig.plain, &p, &alert));
    CU_ASSERT_EQUAL(alert, TLS_UNEXPECTED_MESSAGE);
    rig_fini(&rig);
}

/* RFC 8446 section 5.4: content, type and padding together are 2^14 + 1 bytes at most. */
static void padding_has_a_limit(void) {
    static uint8_t inner[TLS_PLAIN_BYTES_MAX + 2] = {'a', TLS_APPLICATION_DATA};
    uint8_t secret[TLS_SECRET_BYTES_MAX] = {3}, *record = rig.record;
    struct tls_plain p;
    enum tls_alert alert;
    rig_init(&rig, TLS_AES_128_GCM_SHA256, secret);
    for (size_t len = TLS_PLAIN_BYTES_MAX + 1; len <= TLS_PLAIN_BYTES_MAX + 2; len++) {
        const size_t body = len + TLS_TAG_BYTES;
        const uint8_t header[] = {23, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
        memcpy(record, header, sizeof(header));
        CU_ASSERT(tls_key_seal(&rig.seal, rig.seal.iv, header, sizeof(header), inner, len,
                               record + sizeof(header)));
        bool opened = tls_record_open(&rig.open, 0, record, rig.plain, &p, &alert);
        CU_ASSERT_EQUAL(opened, len == TLS_PLAIN_BYTES_MAX + 1);
        CU_ASSERT(opened ? p.len == 1 : alert == TLS_RECORD_OVERFLOW);
    }
    rig_fini(&rig);
}

int main(void) {
    static const struct suite_case cases[] = {
        {"key schedule follows the trace", key_schedule_follows_the_trace},
        {"records follow the trace", records_follow_the_trace},
        {"every suite seals and opens every size", every_suite_seals_and_opens_every_size},
        {"a changed bit or number is seen", a_changed_bit_or_number_is_seen},
        {"headers that cannot be are refused", headers_that_cannot_be_are_refused},
        {"padding has a limit", padding_has_a_limit},
        {"padding is taken off and must not be all", padding_is_taken_off_and_must_not_be_all},
    };
    return suite_run("tls/record", cases, sizeof(cases) / sizeof(cases[0]));
}
