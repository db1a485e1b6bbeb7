/* Private to config/: the key table and the setters shared by file and environment. */
#ifndef TGW_CONFIG_PRIV_H
#define TGW_CONFIG_PRIV_H

#include "config/config.h"
#include <cjson/cJSON.h>

enum key_type { KEY_text, KEY_url, KEY_num, KEY_bool, KEY_list };

struct key {
    const char *name;
    size_t offset;
    const char *text_default;
    uint64_t num_default, min, max;
    enum key_type type;
    bool live;
};

extern const struct key config_keys[];
extern const size_t config_key_count;

struct config_error {
    char *text;
    size_t bytes;
};
/* Writes the message; returns false, so that callers can return it. */
__attribute__((format(printf, 2, 3))) bool config_fail(struct config_error *e, const char *format,
                                                       ...);

/* `name` is how the user knows the key. */
bool config_set(struct config *c, const struct key *k, const char *name, const cJSON *value,
                struct config_error *e);
bool config_set_ports(struct config *c, const char *name, const cJSON *value,
                      struct config_error *e);
/* A text of at most `bytes` - 1 characters without control characters. */
bool config_set_text(char *out, size_t bytes, const char *name, const cJSON *value,
                     struct config_error *e);
bool config_set_num(uint64_t *out, uint64_t min, uint64_t max, const char *name, const cJSON *value,
                    struct config_error *e);
/* What no single key can tell. */
bool config_check(const struct config *c, struct config_error *e);

#endif
