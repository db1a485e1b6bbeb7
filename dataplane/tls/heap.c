/* Size classes in steps of a quarter, a free list each, in a few shards so that handshake
 * threads seldom meet; in front of them a few free blocks of each class that a thread
 * keeps for itself, since a handshake takes and gives back a thousand and a half. Memory
 * goes back to its class, never to the system: what is in use is bounded by the handshakes
 * that may be under way. Its state is the process's: the library's hook has no argument to
 * hang it on. */
#include "heap.h"
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

enum {
    SHARDS = 16,
    SMALLEST = 64, /* bytes of a block of class 0, header included */
    CLASSES = 57,  /* the last one: 1 MiB */
    LARGE = CLASSES,
    CHUNK_BYTES = 4 << 20,
    KEPT_BYTES = 16384, /* of a class, by a thread; a thread's end gives them back */
    KEPT_MAX = 32,
};

struct block {
    union {
        struct block *next; /* while free */
        size_t bytes;       /* LARGE: mapped */
    };
    uint16_t shard, class;
    uint32_t reserved;
};
_Static_assert(sizeof(struct block) == 16, "what follows is aligned for anything");

struct shard {
    _Alignas(64) pthread_mutex_t lock;
    struct block *free[CLASSES];
    char *chunk;
    size_t left;
};

static struct shard shards[SHARDS] = {[0 ... SHARDS - 1] = {.lock = PTHREAD_MUTEX_INITIALIZER}};
static _Atomic uint32_t threads;
static _Thread_local uint32_t my_shard; /* + 1 */

struct kept {
    struct block *first;
    uint32_t count;
};
static _Thread_local struct kept kept[CLASSES];

static size_t class_bytes(unsigned class) {
    return (size_t)(4 + class % 4) << (class / 4 + 4);
}

/* The smallest class of at least `bytes`; CLASSES: none. */
static unsigned class_of(size_t bytes) {
    if (bytes <= SMALLEST)
        return 0;
    unsigned top = 63 - (unsigned)__builtin_clzl(bytes - 1); /* of what is below a power of two */
    unsigned class = (top - 6) * 4 + (unsigned)(((bytes - 1) >> (top - 2)) & 3) + 1;
    return class < CLASSES ? class : CLASSES;
}

static void *map(size_t bytes) {
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        return NULL;
    madvise(at, bytes, MADV_DONTDUMP);
    return at;
}

static struct block *carve(struct shard *s, size_t bytes) {
    if (s->left < bytes) {
        char *fresh = map(CHUNK_BYTES);
        if (!fresh)
            return NULL;
        s->chunk = fresh; /* the rest of the one before is lost: under a block's size */
        s->left = CHUNK_BYTES;
    }
    struct block *b = (struct block *)(void *)s->chunk;
    s->chunk += bytes;
    s->left -= bytes;
    return b;
}

static struct shard *shard_of_thread(void) {
    if (!my_shard)
        my_shard = atomic_fetch_add(&threads, 1) % SHARDS + 1;
    return &shards[my_shard - 1];
}

static struct block *take_shared(unsigned class) {
    struct shard *s = shard_of_thread();
    pthread_mutex_lock(&s->lock);
    struct block *b = s->free[class];
    if (b)
        s->free[class] = b->next;
    else
        b = carve(s, class_bytes(class));
    pthread_mutex_unlock(&s->lock);
    if (b)
        b->shard = (uint16_t)(s - shards);
    return b;
}

static void give_shared(struct block *b) {
    struct shard *s = &shards[b->shard];
    pthread_mutex_lock(&s->lock);
    b->next = s->free[b->class];
    s->free[b->class] = b;
    pthread_mutex_unlock(&s->lock);
}

static void *take(unsigned class) {
    struct kept *k = &kept[class];
    struct block *b = k->first;
    if (b) {
        k->first = b->next;
        k->count--;
    } else {
        b = take_shared(class);
    }
    if (!b)
        return NULL;
    b->class = (uint16_t) class;
    return b + 1;
}

static bool keep(struct block *b) {
    struct kept *k = &kept[b->class];
    if (k->count >= KEPT_MAX || k->count * class_bytes(b->class) >= KEPT_BYTES)
        return false;
    b->next = k->first;
    k->first = b;
    k->count++;
    return true;
}

static void *take_large(size_t bytes) {
    struct block *b = map(bytes);
    if (!b)
        return NULL;
    b->bytes = bytes;
    b->class = LARGE;
    return b + 1;
}

static void *heap_malloc(size_t len, const char *file, int line) {
    (void)file, (void)line;
    if (len == 0 || len > SIZE_MAX / 2)
        return NULL;
    unsigned class = class_of(len + sizeof(struct block));
    return class < CLASSES ? take(class) : take_large(len + sizeof(struct block));
}

static void heap_free(void *data, const char *file, int line) {
    (void)file, (void)line;
    if (!data)
        return;
    struct block *b = (struct block *)data - 1;
    if (b->class == LARGE) {
        munmap(b, b->bytes);
        return;
    }
    if (!keep(b))
        give_shared(b);
}

static void *heap_realloc(void *data, size_t len, const char *file, int line) {
    if (!data)
        return heap_malloc(len, file, line);
    if (len == 0) {
        heap_free(data, file, line);
        return NULL;
    }
    const struct block *b = (const struct block *)data - 1;
    size_t have = (b->class == LARGE ? b->bytes : class_bytes(b->class)) - sizeof(*b);
    if (len <= have)
        return data;
    void *grown = heap_malloc(len, file, line);
    if (!grown)
        return NULL;
    memcpy(grown, data, have);
    heap_free(data, file, line);
    return grown;
}

bool tls_heap_install(void) {
    return CRYPTO_set_mem_functions(heap_malloc, heap_realloc, heap_free) == 1;
}

void tls_heap_hide_stack(void) {
    pthread_attr_t attr;
    void *base;
    size_t bytes;
    if (pthread_getattr_np(pthread_self(), &attr) != 0)
        return;
    if (pthread_attr_getstack(&attr, &base, &bytes) == 0)
        madvise(base, bytes, MADV_DONTDUMP);
    pthread_attr_destroy(&attr);
}
