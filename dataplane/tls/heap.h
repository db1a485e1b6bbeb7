/* Memory of the TLS library: keys, key schedules, handshakes under way. It is left out of
 * core dumps (MADV_DONTDUMP) as a whole, since nobody can tell which block holds a secret. */
#ifndef TGW_TLS_HEAP_H
#define TGW_TLS_HEAP_H

#include <stdbool.h>

/* Before the library's first allocation. False: too late. */
bool tls_heap_install(void);
/* The stack of the calling thread, for the same reason. */
void tls_heap_hide_stack(void);

#endif
