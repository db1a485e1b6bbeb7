#!/bin/sh
# nginx, HAProxy and this gateway as WebSocket proxies, a core each, over the same veth
# pairs, between the same kernel client and kernel agent; then what a frame costs this
# gateway over memif and alone, where no kernel stands in its way. Prints a table with the
# ratios; they lie as JSON in DIR/peers.json. Needs root.
#   sh tests/bench/peers.sh [--sessions "N ..."] [--bytes "N ..."] [--seconds S] [--rounds R] [--out DIR]
# Every number of sessions is run with every size, in rounds over all proxies; of each the
# cheapest round counts, since a neighbour on the machine only adds. A kernel client holds at
# most 9,000 sessions here (open files).
set -eu
cd "$(dirname "$0")/../.."
. tests/bench/common.sh

usage() {
    sed -n '6p' "$0" >&2
    exit 2
}
all_sessions="200"
all_bytes="32 64"
seconds=2
rounds=3
out=/tmp/tgw-bench
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || usage
    case "$1" in
    --sessions) all_sessions=$2 ;;
    --bytes) all_bytes=$2 ;;
    --seconds) seconds=$2 ;;
    --rounds) rounds=$2 ;;
    --out) out=$2 ;;
    *) usage ;;
    esac
    shift 2
done
[ "$(id -u)" = 0 ] || { echo "peers.sh: needs root" >&2; exit 2; }

run=/run/tgw/peers
wsload=build/tests/bench/wsload
# Two CPUs: the proxy has one to itself, client and agent share the other.
proxy_cpu=1
load_cpu=0

missing=
for p in nginx-light haproxy; do
    dpkg-query -W -f '${Status}' $p 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
# Without their services: they must not listen on this machine.
if [ -n "$missing" ]; then
    made_policy=no
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
        chmod 755 /usr/sbin/policy-rc.d
        made_policy=yes
    fi
    apt-get update -qq
    # shellcheck disable=SC2086 # packages are words
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    [ $made_policy = no ] || rm -f /usr/sbin/policy-rc.d
fi

mkdir -p $run "$out"
rm -f "$out"/peers-*
pids=
stop_all() {
    for p in $pids; do
        kill "$p" 2>/dev/null || true
    done
    for p in $pids; do
        wait "$p" 2>/dev/null || true
    done
    pids=
}
down() {
    stop_all
    for n in client node gateway; do
        ip netns del tgw-peers-$n 2>/dev/null || true
    done
}
trap down EXIT
trap 'exit 1' INT TERM

plain() {
    ip netns exec "$1" ethtool -K "$2" tx off tso off gso off gro off >/dev/null 2>&1 || true
}
up() {
    for n in client node gateway; do
        ip netns add tgw-peers-$n
        ip netns exec tgw-peers-$n ip link set lo up
        # Thousands of sessions a round: ports of the last one are not waited for.
        ip netns exec tgw-peers-$n sysctl -q -w net.ipv4.tcp_tw_reuse=1 \
            "net.ipv4.ip_local_port_range=10000 65000"
    done
    i=0
    for side in client node; do
        ip link add $side netns tgw-peers-gateway type veth peer name eth0 netns tgw-peers-$side
        ip netns exec tgw-peers-$side ip addr add 198.18.$i.1/24 dev eth0
        ip netns exec tgw-peers-$side ip link set eth0 up
        ip netns exec tgw-peers-gateway ip link set $side up
        plain tgw-peers-$side eth0
        plain tgw-peers-gateway $side
        i=$((i + 1))
    done
}
kernel_addresses() { # add | del
    ip netns exec tgw-peers-gateway ip addr "$1" 198.18.0.2/24 dev client
    ip netns exec tgw-peers-gateway ip addr "$1" 198.18.1.2/24 dev node
}

# `ip netns exec` and taskset become the command itself: $! is the program's.
background() { # CPU NAMESPACE LOG COMMAND...
    cpu=$1
    space=$2
    log=$3
    shift 3
    ip netns exec tgw-peers-"$space" taskset -c "$cpu" "$@" >"$run/$log" 2>&1 &
    pids="$pids $!"
}
is_listening() { # NAMESPACE ADDRESS:PORT
    ip netns exec tgw-peers-"$1" ss -ltnH "src $2" | grep -q .
}
agent() {
    background $load_cpu node agent.log $wsload agent 198.18.1.1 7681
    until_good agent.log is_listening node 198.18.1.1:7681
}

# Time on its CPU in ns, with the kernel's work for it: system calls, interrupts and softirqs
# that ran on its back, and the CPU's softirq thread where it is to be seen.
run_ns() { # PROCESS
    softirqd=$(pgrep -x "ksoftirqd/$proxy_cpu" || true)
    for p in "$1" $softirqd; do
        cut -d ' ' -f 1 "/proc/$p/schedstat"
    done | awk '{n += $1} END {printf "%.0f", n}'
}
# In clock ticks, by the kernel's sampling: how much of the proxy's CPU was used, by anybody.
cpu_ticks() {
    awk -v cpu="cpu$proxy_cpu" '$1 == cpu {print $2 + $3 + $4 + $7 + $8}' /proc/stat
}

# measure NAME PROCESS: the client's run, and what the process used meanwhile.
measure() {
    result=$out/peers-$1-$sessions-$bytes-$round
    tokens=
    case $1 in gateway*) tokens=$run/tokens ;; esac
    # shellcheck disable=SC2086 # no tokens, no argument
    ip netns exec tgw-peers-client taskset -c $load_cpu $wsload client 198.18.0.2 80 \
        "$sessions" "$bytes" "$seconds" $tokens >"$result.client" &
    client=$!
    until grep -qs ready "$result.client"; do
        kill -0 $client 2>/dev/null || { echo "peers.sh: $1: the client failed" >&2; return 1; }
        sleep 0.05
    done
    from_ns=$(run_ns "$2")
    from_ticks=$(cpu_ticks)
    from_busy=$(busy "$1")
    wait $client
    echo "{\"run_ns\": $(($(run_ns "$2") - from_ns)), \"cpu_ticks\": $(($(cpu_ticks) - from_ticks))," \
        "\"busy_tsc\": $(($(busy "$1") - from_busy))}" >"$result.cost"
}
# What a polling core spends on work its own counters tell; its time as a process is all there is.
busy() {
    case $1 in
    gateway*) build/tgwctl --socket $run/control.sock metrics |
        awk '/^dataplane_cycles_total/ && !/idle/ {n += $2} END {printf "%.0f", n}' ;;
    *) echo 0 ;;
    esac
}

nginx_conf() {
    cat <<EOF
worker_processes 1;
pid $run/nginx.pid;
error_log $run/nginx.err;
daemon off;
events { worker_connections 20000; }
http {
  access_log off;
  upstream agent { server 198.18.1.1:7681; }
  server {
    listen 198.18.0.2:80 reuseport backlog=4096;
    location / {
      proxy_pass http://agent;
      proxy_http_version 1.1;
      proxy_set_header Upgrade \$http_upgrade;
      proxy_set_header Connection "upgrade";
      proxy_buffering off;
      proxy_read_timeout 600s;
    }
  }
}
EOF
}
haproxy_conf() {
    cat <<EOF
global
  maxconn 9500
  nbthread 1
defaults
  mode http
  timeout connect 5s
  timeout client 600s
  timeout server 600s
  timeout tunnel 600s
frontend f
  bind 198.18.0.2:80 backlog 4096
  default_backend b
backend b
  server agent 198.18.1.1:7681
EOF
}
gateway_conf() { # DRIVER
    cat <<EOF
{"ports": [
  {"name": "client", "driver": "$1", "device": "client", "addresses": ["198.18.0.2/24"],
   "listen": true},
  {"name": "node", "driver": "$1", "device": "node", "addresses": ["198.18.1.2/24"]}],
 "cores": ["$proxy_cpu"], "huge_pages": false, "memory_mb": 256, "sessions_max": 20000,
 "idle_mode": "spin", "shm_path": "/dev/shm/tgw-peers", "control_socket": "$run/control.sock",
 "admin_listen": "", "agent_default": "198.18.1.1:7681", "agent_networks": ["198.18.1.0/24"],
 "agent_secret_file": "$run/agent.secret", "state_dir": "$run/state",
 "idle_timeout_seconds": 0, "log_level": "INFO"}
EOF
}

run_nginx() {
    nginx_conf >$run/nginx.conf
    kernel_addresses add
    agent
    background $proxy_cpu gateway nginx.log nginx -c $run/nginx.conf
    until_good nginx.log is_listening gateway 198.18.0.2:80
    measure nginx "$(pgrep -P "$(cat $run/nginx.pid)")"
    stop_all
    kernel_addresses del
}
run_haproxy() {
    haproxy_conf >$run/haproxy.cfg
    kernel_addresses add
    agent
    background $proxy_cpu gateway haproxy.log haproxy -f $run/haproxy.cfg -db
    proxy=${pids##* }
    until_good haproxy.log is_listening gateway 198.18.0.2:80
    measure haproxy "$proxy"
    stop_all
    kernel_addresses del
}
run_gateway() { # DRIVER
    gateway_conf "$1" >$run/gateway.json
    make_secret
    agent
    background $proxy_cpu gateway dataplane.log build/tgw-dataplane --config $run/gateway.json
    dataplane=${pids##* }
    until_started
    background $load_cpu gateway control.log build/tgw-control --config $run/gateway.json
    until_good control.log build/tgwctl --socket $run/control.sock status
    build/tgwctl --socket $run/control.sock token mint --allocation peer --count "$sessions" \
        --ttl 600 >$run/tokens
    measure "gateway-$1" "$dataplane"
    stop_all
}

# The rig in the place of client and agent, its own report.
run_memif() {
    mkdir -p /run/tgw/bench
    cp $run/agent.secret /run/tgw/bench/agent.secret
    rm -f /run/tgw/bench/*.sock
    build/tgw-dataplane --config hw/rig/runs/gateway.json >$run/dataplane.log 2>&1 &
    pids="$pids $!"
    until_started
    build/tgw-rig run hw/rig/runs/echo.json sessions="$sessions" frame_bytes="$bytes" \
        duration_ms="$seconds"000 report="$out/peers-memif-$sessions-$bytes-$round.json" >$run/rig.log 2>&1 ||
        cat $run/rig.log >&2
    stop_all
}
# The core alone: the figure without kernel, neighbour or second process.
run_alone() {
    build/tests/bench/bench-inside "$sessions" echo "$bytes" 1000 2>/dev/null \
        >"$out/peers-alone-$sessions-$bytes-$round.txt"
}

up
play_all() {
    run_nginx
    run_haproxy
    run_gateway af_packet
    run_gateway af_xdp
    run_memif
    run_alone
}
for sessions in $all_sessions; do
    for bytes in $all_bytes; do
        round=1
        while [ "$round" -le "$rounds" ]; do
            play_all
            round=$((round + 1))
        done
    done
done
/usr/bin/python3 tests/bench/peers.py "$out"
