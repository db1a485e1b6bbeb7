#include "session_priv.h"

/* Steps of a cache line where idents lie, so that an idle session pays for what it has;
 * then for grants and owed frames, a long grant, a long token. */
static const uint16_t class_bytes[BLOB_CLASSES] = {128, 192, 256, 320, 384, 448, 640, 1088, 2304};

bool blobs_init(struct blobs *b, uint32_t count, bool huge) {
    for (int i = 0; i < BLOB_CLASSES; i++)
        if (!pool_init(&b->size[i], class_bytes[i], count, huge))
            return false;
    return true;
}

void blobs_fini(struct blobs *b) {
    for (int i = 0; i < BLOB_CLASSES; i++)
        pool_fini(&b->size[i]);
}

static int class_of(size_t bytes) {
    int i = 0;
    while (i < BLOB_CLASSES && bytes > class_bytes[i])
        i++;
    return i;
}

size_t blob_bytes(size_t bytes) {
    int class = class_of(bytes);
    return class < BLOB_CLASSES ? class_bytes[class] : 0;
}

void *blob_alloc(struct blobs *b, size_t bytes) {
    int class = class_of(bytes);
    return class < BLOB_CLASSES ? pool_alloc(&b->size[class]) : NULL;
}

/* An ident while another takes its place, a setup, a grant: of whatever size. */
bool blobs_room(const struct blobs *b) {
    for (int i = 0; i < BLOB_CLASSES; i++)
        if (b->size[i].capacity - b->size[i].used < 4)
            return false;
    return true;
}

void blob_free(struct blobs *b, void *blob) {
    if (!blob)
        return;
    for (int i = 0; i < BLOB_CLASSES; i++) {
        if (!pool_holds(&b->size[i], blob))
            continue;
        explicit_bzero(blob, class_bytes[i]);
        pool_free(&b->size[i], blob);
        return;
    }
}
