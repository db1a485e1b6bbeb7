/* The lab's page: its files, and tokens for whoever sits at this machine. Lab mode only. */
#ifndef TGW_CONTROL_LAB_H
#define TGW_CONTROL_LAB_H

#include "gateway.h"
#include <uv.h>

struct lab;

/* Serve lab_page_dir on lab_listen. NULL with one line in err. */
struct lab *lab_start(uv_loop_t *loop, struct gateway *g, char *err, size_t err_bytes);
/* NULL is allowed. */
void lab_stop(struct lab *l);

#endif
