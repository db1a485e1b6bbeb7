/* A token's claims as the JSON object that stores hold (contract section 3). */
#ifndef TGW_CONTROL_CLAIMS_H
#define TGW_CONTROL_CLAIMS_H

#include "store.h"

/* False: not a token's claims. Written by another service: every field is checked. Unknown
 * keys are ignored. */
bool claims_parse(const char *json, size_t len, struct claims *out);
/* malloc'd; NULL: no memory. */
char *claims_print(const struct claims *c);

#endif
