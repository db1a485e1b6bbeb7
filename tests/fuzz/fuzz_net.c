/* Bytes from outside as frames on a wire: each record is a length (2 bytes, big-endian,
 * modulo what a frame holds), then the frame. Checksums are mended, or nothing would get
 * past them. */
#include "tests/dataplane/net/rig.h"
#include "tests/lib/eal_init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void mend(struct frame *f) {
    bool ip4 = f->len >= 34 && f->b[12] == 0x08 && f->b[13] == 0x00;
    if (ip4 && (f->b[14] & 15u) * 4 + 14 <= f->len)
        frame_fix_ip4(f);
    if (ip4 && f->b[23] == 6 && f->len >= 54)
        frame_fix_tcp4(f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct rte_mempool *pool;
    static struct frame f;
    if (!pool)
        pool = test_eal_init(2047);
    struct rig *r = rig_open(pool);
    while (size > 2) {
        f.len = (uint32_t)(data[0] << 8 | data[1]) % 1515;
        data += 2;
        size -= 2;
        if (f.len > size)
            f.len = (uint32_t)size;
        memcpy(f.b, data, f.len);
        data += f.len;
        size -= f.len;
        mend(&f);
        rig_send(r, 0, &f);
        rig_drain(r);
        rig_wait_ms(r, 500);
    }
    rig_close(r);
    return 0;
}
