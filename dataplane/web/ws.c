#include "web/ws.h"
#include "web/digest.h"
#include <openssl/evp.h>
#include <string.h>

void ws_parser_init(struct ws_parser *p, enum ws_sender sender, uint32_t payload_max) {
    uint8_t bits = payload_max < 2 ? 0 : (uint8_t)(32 - __builtin_clz(payload_max - 1));
    if (payload_max == UINT32_MAX)
        bits = 64;
    *p = (struct ws_parser){.sender = (uint8_t)sender, .payload_bits = bits};
}

/* Payload length of section 5.2: the shortest form is the only one. False: it is not. */
static bool length(const uint8_t *data, uint8_t form, uint64_t *out) {
    uint64_t n = 0;
    if (form < 126) {
        *out = form;
        return true;
    }
    for (int i = 0; i < (form == 126 ? 2 : 8); i++)
        n = n << 8 | data[2 + i];
    *out = n;
    return form == 126 ? n >= 126 : n > 0xffff && n >> 63 == 0;
}

static bool opcode_is_known(uint8_t op) {
    return op <= WS_BINARY || (op >= WS_CLOSE && op <= WS_PONG);
}

/* Control frames are short and whole; data frames follow the order of section 5.4. */
static bool in_order(const struct ws_parser *p, const struct ws_frame *f) {
    if (f->opcode >= WS_CLOSE)
        return f->fin && f->payload_bytes <= TGW_WS_CONTROL_PAYLOAD_MAX;
    return (f->opcode == WS_CONTINUATION) == (p->in_message != 0);
}

enum ws_result ws_parse(struct ws_parser *p, const uint8_t *data, size_t len, struct ws_frame *f) {
    if (len < 2)
        return WS_NEED_MORE;
    uint8_t form = data[1] & 0x7f;
    bool masked = data[1] >> 7;
    if ((data[0] & 0x70) || !opcode_is_known(data[0] & 0x0f) ||
        masked != (p->sender == WS_FROM_CLIENT))
        return WS_PROTOCOL;
    uint8_t head = (uint8_t)(2 + (form == 126 ? 2 : form == 127 ? 8 : 0) + (masked ? 4 : 0));
    *f = (struct ws_frame){.opcode = data[0] & 0x0f,
                           .fin = data[0] >> 7,
                           .masked = masked,
                           .header_bytes = head,
                           .payload_bytes = form};
    if (form < 126 && !in_order(p, f))
        return WS_PROTOCOL;
    if (f->opcode >= WS_CLOSE && form >= 126)
        return WS_PROTOCOL;
    if (len < head)
        return WS_NEED_MORE;
    if (!length(data, form, &f->payload_bytes) || !in_order(p, f))
        return WS_PROTOCOL;
    if (masked)
        memcpy(f->mask, data + head - 4, 4);
    if (p->payload_bits < 64 && f->payload_bytes > UINT64_C(1) << p->payload_bits)
        return WS_TOO_BIG;
    if (f->opcode < WS_CLOSE)
        p->in_message = !f->fin;
    return WS_FRAME;
}

size_t ws_header(uint8_t out[WS_HEADER_BYTES_MAX], enum ws_opcode op, uint64_t payload_bytes,
                 const uint8_t mask[4]) {
    size_t n = 2;
    uint8_t mask_bit = mask ? 0x80 : 0;
    unsigned bytes = payload_bytes < 126 ? 0 : payload_bytes <= 0xffff ? 2 : 8;
    out[0] = (uint8_t)(0x80 | op);
    out[1] = (uint8_t)(mask_bit | (bytes == 0 ? payload_bytes : bytes == 2 ? 126u : 127u));
    for (unsigned i = bytes; i-- > 0;)
        out[n++] = (uint8_t)(payload_bytes >> (8 * i));
    if (mask) {
        memcpy(out + n, mask, 4);
        n += 4;
    }
    return n;
}

void ws_mask(uint8_t *data, size_t len, const uint8_t mask[4], uint64_t offset) {
    for (size_t i = 0; i < len; i++)
        data[i] ^= mask[(offset + i) & 3];
}

size_t ws_control(uint8_t *out, enum ws_opcode op, const void *payload, size_t len,
                  const uint8_t mask[4]) {
    if (len > TGW_WS_CONTROL_PAYLOAD_MAX)
        len = TGW_WS_CONTROL_PAYLOAD_MAX;
    size_t head = ws_header(out, op, len, mask);
    if (len)
        memcpy(out + head, payload, len);
    if (mask)
        ws_mask(out + head, len, mask, 0);
    return head + len;
}

size_t ws_close(uint8_t *out, uint16_t code, const char *reason, const uint8_t mask[4]) {
    uint8_t payload[TGW_WS_CONTROL_PAYLOAD_MAX];
    if (code == 0)
        return ws_control(out, WS_CLOSE, NULL, 0, mask);
    size_t len = strlen(reason);
    if (len > sizeof(payload) - 2)
        len = sizeof(payload) - 2;
    payload[0] = (uint8_t)(code >> 8);
    payload[1] = (uint8_t)code;
    memcpy(payload + 2, reason, len);
    return ws_control(out, WS_CLOSE, payload, len + 2, mask);
}

/* Section 7.4: codes that may stand in a frame. */
static bool code_is_allowed(uint16_t code) {
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != 1005 && code != 1006;
}

/* RFC 3629: no overlong forms, no surrogates, nothing over U+10FFFF. */
static bool is_utf8(const uint8_t *s, size_t len) {
    for (size_t i = 0; i < len;) {
        uint8_t c = s[i++];
        unsigned more = c < 0x80                ? 0
                        : c >= 0xc2 && c < 0xe0 ? 1
                        : c >= 0xe0 && c < 0xf0 ? 2
                        : c >= 0xf0 && c < 0xf5 ? 3
                                                : 9;
        if (more > len - i)
            return false;
        uint8_t low = c == 0xe0 ? 0xa0 : c == 0xf0 ? 0x90 : 0x80;
        uint8_t high = c == 0xed ? 0x9f : c == 0xf4 ? 0x8f : 0xbf;
        for (unsigned k = 0; k < more; k++, i++, low = 0x80, high = 0xbf)
            if (s[i] < low || s[i] > high)
                return false;
    }
    return true;
}

bool ws_close_parse(const uint8_t *payload, size_t len, uint16_t *code) {
    *code = 1005; /* "no status received": never on the wire */
    if (len == 0)
        return true;
    if (len == 1)
        return false;
    *code = (uint16_t)(payload[0] << 8 | payload[1]);
    return code_is_allowed(*code) && is_utf8(payload + 2, len - 2);
}

void ws_accept(const char *key, size_t len, char out[29]) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    unsigned char text[64 + sizeof(guid)], digest[DIGEST_SHA1_BYTES] = {0};
    if (len > 64)
        len = 64;
    memcpy(text, key, len);
    memcpy(text + len, guid, sizeof(guid) - 1);
    digest_sha1(text, len + sizeof(guid) - 1, digest); /* without it the peer refuses the answer */
    EVP_EncodeBlock((unsigned char *)out, digest, sizeof(digest));
}
