/* Certificates and handshake threads of the process: started from the configuration,
 * watched by the main thread. */
#ifndef TGW_DATAPLANE_TLS_SERVICE_H
#define TGW_DATAPLANE_TLS_SERVICE_H

#include "config/config.h"
#include "contract/shm.h"
#include "tls/tls.h"

struct tls_service {
    const char *config_path; /* the configuration's file and environment, set before the start */
    char *const *envp;
    struct tls_context *context; /* NULL: no TLS is configured */
    struct tls_workers *workers;
    uint32_t applied; /* of struct tgw_shm's control_applied, as last seen */
};

/* False with one line in err. Without certificates and without TLS towards agents there
 * is nothing to start. */
bool tls_service_start(struct tls_service *s, const struct config *c, uint32_t cores,
                       struct tgw_shm *shm, char *err, size_t err_bytes);
/* After the workers are gone. */
void tls_service_stop(struct tls_service *s);
/* 0: not listening with TLS. */
uint16_t tls_service_port(const struct config *c);
void tls_service_fill(const struct config *c, uint32_t cores, uint32_t core,
                      struct tgw_counters *counters, struct tls_config *out);
/* Now and then: the clock of ticket keys; certificates whose files have changed are loaded,
 * or kept as they are when the new ones are no good. So are those of a configuration that
 * the control process has put in force. */
void tls_service_watch(struct tls_service *s, struct tgw_shm *shm);

#endif
