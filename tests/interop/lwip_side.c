#include "tests/interop/lwip_side.h"
#include <dlfcn.h>
#include <lwip/etharp.h>
#include <lwip/ethip6.h>
#include <lwip/init.h>
#include <lwip/netif.h>
#include <lwip/priv/tcp_priv.h>
#include <lwip/sys.h>
#include <lwip/tcp.h>
#include <lwip/timeouts.h>
#include <netif/ethernet.h>
#include <stdlib.h>
#include <string.h>

enum { FRAME_MAX = 1600, MTU = 1500 };

/* The library's functions. Its names are our stack's too (tcp_input, tcp_connect): so it is
 * no library of this program's, and everything in it is found by name. */
static struct {
    __typeof__(lwip_init) *init;
    __typeof__(netif_add) *netif_add;
    __typeof__(netif_set_up) *netif_set_up;
    __typeof__(netif_set_link_up) *netif_set_link_up;
    __typeof__(netif_ip6_addr_set) *set_addr6;
    __typeof__(netif_ip6_addr_set_state) *ip6_addr_set_state;
    __typeof__(etharp_output) *etharp_output;
    __typeof__(ethip6_output) *ethip6_output;
    __typeof__(ethernet_input) *ethernet_input;
    __typeof__(sys_check_timeouts) *check_timeouts;
    __typeof__(sys_timeouts_sleeptime) *sleeptime;
    __typeof__(pbuf_alloc) *pbuf_alloc;
    __typeof__(pbuf_take) *pbuf_take;
    __typeof__(pbuf_free) *pbuf_free;
    __typeof__(pbuf_cat) *pbuf_cat;
    __typeof__(pbuf_free_header) *pbuf_free_header;
    __typeof__(pbuf_copy_partial) *pbuf_copy;
    __typeof__(tcp_new_ip_type) *tcp_new;
    __typeof__(tcp_bind) *tcp_bind;
    __typeof__(tcp_listen_with_backlog) *listen;
    __typeof__(tcp_accept) *tcp_accept;
    __typeof__(tcp_connect) *tcp_connect;
    __typeof__(tcp_arg) *tcp_arg;
    __typeof__(tcp_recv) *tcp_recv;
    __typeof__(tcp_sent) *tcp_sent;
    __typeof__(tcp_err) *tcp_err;
    __typeof__(tcp_write) *tcp_write;
    __typeof__(tcp_output) *tcp_output;
    __typeof__(tcp_recved) *tcp_recved;
    __typeof__(tcp_shutdown) *tcp_shutdown;
    __typeof__(tcp_close) *tcp_close;
    __typeof__(tcp_abort) *tcp_abort;
    const ip_addr_t *any;
} lw;

static struct lwip_setup setup;
static struct netif netif;
static struct lwip_conn *(*on_accepted)(void);

/* The library's clock: this definition takes the place of its own. */
u32_t sys_now(void) {
    return setup.now_ns ? (u32_t)(*setup.now_ns / 1000000) : 0;
}

uint8_t lwip_pattern(uint64_t at) {
    return (uint8_t)(at * 7 + (at >> 8) * 13 + (at >> 16) * 31);
}

static const struct {
    void *where;
    const char *name;
} names[] = {
    {&lw.init, "lwip_init"},
    {&lw.netif_add, "netif_add"},
    {&lw.netif_set_up, "netif_set_up"},
    {&lw.netif_set_link_up, "netif_set_link_up"},
    {&lw.set_addr6, "netif_ip6_addr_set"},
    {&lw.ip6_addr_set_state, "netif_ip6_addr_set_state"},
    {&lw.etharp_output, "etharp_output"},
    {&lw.ethip6_output, "ethip6_output"},
    {&lw.ethernet_input, "ethernet_input"},
    {&lw.check_timeouts, "sys_check_timeouts"},
    {&lw.sleeptime, "sys_timeouts_sleeptime"},
    {&lw.pbuf_alloc, "pbuf_alloc"},
    {&lw.pbuf_take, "pbuf_take"},
    {&lw.pbuf_free, "pbuf_free"},
    {&lw.pbuf_cat, "pbuf_cat"},
    {&lw.pbuf_free_header, "pbuf_free_header"},
    {&lw.pbuf_copy, "pbuf_copy_partial"},
    {&lw.tcp_new, "tcp_new_ip_type"},
    {&lw.tcp_bind, "tcp_bind"},
    {&lw.listen, "tcp_listen_with_backlog"},
    {&lw.tcp_accept, "tcp_accept"},
    {&lw.tcp_connect, "tcp_connect"},
    {&lw.tcp_arg, "tcp_arg"},
    {&lw.tcp_recv, "tcp_recv"},
    {&lw.tcp_sent, "tcp_sent"},
    {&lw.tcp_err, "tcp_err"},
    {&lw.tcp_write, "tcp_write"},
    {&lw.tcp_output, "tcp_output"},
    {&lw.tcp_recved, "tcp_recved"},
    {&lw.tcp_shutdown, "tcp_shutdown"},
    {&lw.tcp_close, "tcp_close"},
    {&lw.tcp_abort, "tcp_abort"},
    {&lw.any, "ip_addr_any_type"},
};

static const char *load(void) {
    void *library = dlopen("liblwip.so.0", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return dlerror();
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        void *found = dlsym(library, names[i].name);
        if (!found)
            return dlerror();
        memcpy(names[i].where, &found, sizeof(found));
    }
    return NULL;
}

static err_t link_output(struct netif *n, struct pbuf *p) {
    uint8_t frame[FRAME_MAX];
    (void)n;
    setup.send(setup.ctx, frame, lw.pbuf_copy(p, frame, sizeof(frame), 0));
    return ERR_OK;
}

static err_t start_netif(struct netif *n) {
    n->name[0] = 'w';
    n->name[1] = '0';
    n->mtu = MTU;
    n->hwaddr_len = 6;
    memcpy(n->hwaddr, setup.mac, 6);
    n->flags = NETIF_FLAG_BROADCAST | NETIF_FLAG_ETHARP | NETIF_FLAG_ETHERNET | NETIF_FLAG_MLD6;
    n->output = lw.etharp_output;
    n->output_ip6 = lw.ethip6_output;
    n->linkoutput = link_output;
    return ERR_OK;
}

static void take_addr6(ip6_addr_t *to, const uint8_t bytes[16]) {
    memset(to, 0, sizeof(*to));
    memcpy(to->addr, bytes, 16);
}

const char *lwip_open(const struct lwip_setup *s) {
    ip4_addr_t addr, mask, gateway = {0};
    ip6_addr_t addr6;
    const uint8_t mask_bytes[4] = {255, 255, 255, 0};
    const char *wrong = load();
    if (wrong)
        return wrong;
    setup = *s;
    srand(1);
    lw.init();
    memcpy(&addr.addr, s->addr4, 4);
    memcpy(&mask.addr, mask_bytes, 4);
    if (!lw.netif_add(&netif, &addr, &mask, &gateway, NULL, start_netif, lw.ethernet_input))
        return "netif_add";
    take_addr6(&addr6, s->addr6);
    lw.set_addr6(&netif, 1, &addr6);
    lw.ip6_addr_set_state(&netif, 1, IP6_ADDR_PREFERRED);
    lw.netif_set_up(&netif);
    lw.netif_set_link_up(&netif);
    return NULL;
}

void lwip_input(const uint8_t *frame, uint32_t len) {
    struct pbuf *p = lw.pbuf_alloc(PBUF_RAW, (u16_t)len, PBUF_RAM);
    if (!p)
        return;
    lw.pbuf_take(p, frame, (u16_t)len);
    if (netif.input(p, &netif) != ERR_OK)
        lw.pbuf_free(p);
}

void lwip_turn(void) {
    lw.check_timeouts();
}

uint64_t lwip_next(void) {
    u32_t wait_ms = lw.sleeptime();
    return wait_ms == SYS_TIMEOUTS_SLEEPTIME_INFINITE
               ? UINT64_MAX
               : (*setup.now_ns / 1000000 + wait_ms) * 1000000;
}

/* lwIP frees the connection, or has. */
static void forget(struct lwip_conn *c) {
    if (c->pending)
        lw.pbuf_free(c->pending);
    c->pending = NULL;
    c->pcb = NULL;
}

static void on_error(void *arg, err_t err) {
    struct lwip_conn *c = arg;
    if (!c)
        return;
    c->reset |= err == ERR_RST;
    c->wrong |= err != ERR_RST && err != ERR_ABRT;
    forget(c);
}

static void detach(struct lwip_conn *c) {
    struct tcp_pcb *pcb = c->pcb;
    lw.tcp_arg(pcb, NULL);
    lw.tcp_recv(pcb, NULL);
    lw.tcp_sent(pcb, NULL);
    lw.tcp_err(pcb, NULL);
}

/* Both ends are through: lwIP keeps what is left to itself. */
static void close_all(struct lwip_conn *c) {
    struct tcp_pcb *pcb = c->pcb;
    detach(c);
    c->wrong |= lw.tcp_close(pcb) != ERR_OK;
    forget(c);
}

static void compare(struct lwip_conn *c, const struct pbuf *p) {
    for (; p; p = p->next)
        for (u16_t i = 0; i < p->len; i++)
            c->wrong |= ((const uint8_t *)p->payload)[i] != lwip_pattern(c->received++);
}

static void echo(struct lwip_conn *c) {
    struct tcp_pcb *pcb = c->pcb;
    while (c->pending && tcp_sndbuf(pcb)) {
        u16_t room = tcp_sndbuf(pcb) < UINT16_MAX ? (u16_t)tcp_sndbuf(pcb) : UINT16_MAX;
        u16_t n = c->pending->len < room ? c->pending->len : room;
        if (lw.tcp_write(pcb, c->pending->payload, n, TCP_WRITE_FLAG_COPY) != ERR_OK)
            return;
        c->pending = lw.pbuf_free_header(c->pending, n);
        c->received += n;
        lw.tcp_recved(pcb, n);
    }
}

static void send_more(struct lwip_conn *c) {
    struct tcp_pcb *pcb = c->pcb;
    uint8_t bytes[1024];
    while (c->sent < c->bytes && c->sent - c->received < c->ahead) {
        uint64_t n = c->bytes - c->sent, ahead = c->ahead - (c->sent - c->received);
        n = n < ahead ? n : ahead;
        n = n < sizeof(bytes) ? n : sizeof(bytes);
        n = n < tcp_sndbuf(pcb) ? n : tcp_sndbuf(pcb);
        for (uint64_t i = 0; i < n; i++)
            bytes[i] = lwip_pattern(c->sent + i);
        if (n == 0 || lw.tcp_write(pcb, bytes, (u16_t)n, TCP_WRITE_FLAG_COPY) != ERR_OK)
            return;
        c->sent += n;
    }
}

static void client(struct lwip_conn *c) {
    if (c->pending) {
        u16_t n = c->pending->tot_len;
        compare(c, c->pending);
        lw.pbuf_free(c->pending);
        c->pending = NULL;
        lw.tcp_recved(c->pcb, n);
    }
    if (c->connected)
        send_more(c);
    bool all = c->sent == c->bytes && (c->ending == LWIP_CLOSES_FIRST || c->eof);
    if (c->connected && all && !c->shut && !c->eof) {
        c->shut = true;
        c->wrong |= lw.tcp_shutdown(c->pcb, 0, 1) != ERR_OK;
    }
}

/* False: it was aborted, which a callback must tell. */
static bool go_on(struct lwip_conn *c) {
    struct tcp_pcb *pcb = c->pcb;
    if (*setup.now_ns < c->stall_until_ns)
        return true;
    if (c->client)
        client(c);
    else
        echo(c);
    if (c->client && c->ending == LWIP_ABORTS && c->received >= c->bytes / 2) {
        detach(c);
        lw.tcp_abort(pcb);
        forget(c);
        return false;
    }
    lw.tcp_output(pcb);
    if (c->eof && !c->pending && (!c->client || c->sent == c->bytes))
        close_all(c);
    return true;
}

void lwip_go_on(struct lwip_conn *c) {
    if (c->pcb)
        go_on(c);
}

static err_t on_received(void *arg, struct tcp_pcb *pcb, struct pbuf *p, err_t err) {
    struct lwip_conn *c = arg;
    (void)pcb;
    (void)err;
    if (!p)
        c->eof = true;
    else if (c->pending)
        lw.pbuf_cat(c->pending, p);
    else
        c->pending = p;
    return go_on(c) ? ERR_OK : ERR_ABRT;
}

static err_t on_sent(void *arg, struct tcp_pcb *pcb, u16_t len) {
    (void)pcb;
    (void)len;
    return go_on(arg) ? ERR_OK : ERR_ABRT;
}

static void adopt(struct lwip_conn *c, struct tcp_pcb *pcb) {
    c->pcb = pcb;
    lw.tcp_arg(pcb, c);
    lw.tcp_recv(pcb, on_received);
    lw.tcp_sent(pcb, on_sent);
    lw.tcp_err(pcb, on_error);
}

static err_t on_connected(void *arg, struct tcp_pcb *pcb, err_t err) {
    struct lwip_conn *c = arg;
    (void)pcb;
    (void)err;
    c->connected = true;
    return go_on(c) ? ERR_OK : ERR_ABRT;
}

static err_t accepted(void *arg, struct tcp_pcb *pcb, err_t err) {
    struct lwip_conn *c = err == ERR_OK ? on_accepted() : NULL;
    (void)arg;
    if (!c)
        return ERR_MEM;
    c->connected = true;
    adopt(c, pcb);
    return ERR_OK;
}

bool lwip_serve(uint16_t port, struct lwip_conn *(*place)(void)) {
    struct tcp_pcb *pcb = lw.tcp_new(IPADDR_TYPE_ANY);
    on_accepted = place;
    if (!pcb || lw.tcp_bind(pcb, lw.any, port) != ERR_OK)
        return false;
    pcb = lw.listen(pcb, 255);
    if (pcb)
        lw.tcp_accept(pcb, accepted);
    return pcb != NULL;
}

bool lwip_connect(struct lwip_conn *c, const uint8_t addr4[4], const uint8_t addr6[16], bool ipv6,
                  uint16_t port) {
    struct tcp_pcb *pcb = lw.tcp_new(ipv6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4);
    ip_addr_t to = {.type = ipv6 ? IPADDR_TYPE_V6 : IPADDR_TYPE_V4};
    if (!pcb)
        return false;
    if (ipv6)
        take_addr6(&to.u_addr.ip6, addr6);
    else
        memcpy(&to.u_addr.ip4.addr, addr4, 4);
    c->client = true;
    adopt(c, pcb);
    return lw.tcp_connect(pcb, &to, port, on_connected) == ERR_OK;
}
