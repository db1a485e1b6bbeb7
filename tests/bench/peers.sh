#!/bin/sh
# nginx, HAProxy and this gateway as WebSocket proxies, one core each, over the same veth
# pairs, between the same kernel client and kernel agent; then what a frame costs this
# gateway over memif, where no kernel stands in its way. Prints the ratios.
#   sh tests/bench/peers.sh [SESSIONS [BYTES [SECONDS]]]      needs root
set -eu
cd "$(dirname "$0")/../.."

sessions=${1:-200}
bytes=${2:-64}
seconds=${3:-5}
run=/run/tgw/peers
wsload=build/tests/bench/wsload
# Two CPUs: the proxy has one to itself, client and agent share the other.
proxy_cpu=1
load_cpu=0

[ "$(id -u)" = 0 ] || { echo "peers.sh: needs root" >&2; exit 2; }
missing=
for p in nginx-light haproxy; do
    dpkg-query -W -f '${Status}' $p 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
# Without their services: they must not listen on this machine.
if [ -n "$missing" ]; then
    printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d
    apt-get update -qq
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    rm -f /usr/sbin/policy-rc.d
fi

mkdir -p $run
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

background() { # CPU NAMESPACE LOG COMMAND...
    cpu=$1
    space=$2
    log=$3
    shift 3
    ip netns exec tgw-peers-"$space" taskset -c "$cpu" "$@" >"$run/$log" 2>&1 &
    pids="$pids $!"
}
ticks() { # PROCESS...: user and system time in clock ticks
    for p in "$@"; do
        [ ! -r "/proc/$p/stat" ] || awk '{print $14 + $15}' "/proc/$p/stat"
    done | awk '{n += $1} END {print n + 0}'
}

# measure NAME PROCESS...: the client's run, and what the processes used meanwhile.
measure() {
    name=$1
    shift
    tokens=
    [ "$name" != gateway ] || tokens=$run/tokens
    rm -f "$run/$name.json"
    # shellcheck disable=SC2086
    ip netns exec tgw-peers-client taskset -c $load_cpu $wsload client 198.18.0.2 80 \
        "$sessions" "$bytes" "$seconds" $tokens >"$run/$name.json" &
    client=$!
    until grep -q ready "$run/$name.json" 2>/dev/null; do
        kill -0 $client 2>/dev/null || { echo "$name: the client failed" >&2; return 1; }
        sleep 0.05
    done
    before=$(ticks "$@")
    wait $client
    after=$(ticks "$@")
    echo "$((after - before))" >"$run/$name.ticks"
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
  maxconn 20000
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
gateway_conf() {
    cat <<EOF
{"ports": [
  {"name": "client", "driver": "af_packet", "device": "client", "addresses": ["198.18.0.2/24"],
   "listen": true},
  {"name": "node", "driver": "af_packet", "device": "node", "addresses": ["198.18.1.2/24"]}],
 "cores": ["$proxy_cpu"], "huge_pages": false, "memory_mb": 256, "sessions_max": 20000,
 "idle_mode": "spin", "shm_path": "/dev/shm/tgw-peers", "control_socket": "$run/control.sock",
 "admin_listen": "", "agent_default": "198.18.1.1:7681", "agent_networks": ["198.18.1.0/24"],
 "agent_secret_file": "$run/agent.secret", "state_dir": "$run/state",
 "idle_timeout_seconds": 0, "log_level": "INFO"}
EOF
}

listening() { # NAMESPACE ADDRESS:PORT
    tries=0
    until ip netns exec tgw-peers-"$1" ss -ltnH "src $2" | grep -q .; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "peers.sh: nobody listens on $2" >&2; return 1; }
        sleep 0.1
    done
}
agent() {
    background $load_cpu node agent.log $wsload agent 198.18.1.1 7681
    listening node 198.18.1.1:7681
}

run_nginx() {
    nginx_conf >$run/nginx.conf
    kernel_addresses add
    agent
    background $proxy_cpu gateway nginx.log nginx -c $run/nginx.conf
    listening gateway 198.18.0.2:80
    measure nginx $(pgrep -P "$(cat $run/nginx.pid)")
    stop_all
    kernel_addresses del
}
run_haproxy() {
    haproxy_conf >$run/haproxy.cfg
    kernel_addresses add
    agent
    background $proxy_cpu gateway haproxy.log haproxy -f $run/haproxy.cfg -db
    proxy=${pids##* }
    listening gateway 198.18.0.2:80
    measure haproxy "$proxy"
    stop_all
    kernel_addresses del
}

# Its own counters tell what a polling core spends on work; the process's time is always 1.
busy() {
    build/tgwctl --socket $run/control.sock metrics 2>/dev/null |
        awk '/^dataplane_cycles_total/ && !/idle/ {n += $2} END {printf "%.0f", n}'
}
run_gateway() {
    gateway_conf >$run/gateway.json
    (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >$run/agent.secret)
    agent
    background $proxy_cpu gateway dataplane.log build/tgw-dataplane --config $run/gateway.json
    tries=0
    until grep -q dataplane_started $run/dataplane.log; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { cat $run/dataplane.log >&2; return 1; }
        sleep 0.1
    done
    background $load_cpu gateway control.log build/tgw-control --config $run/gateway.json
    tries=0
    until build/tgwctl --socket $run/control.sock status >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { cat $run/dataplane.log $run/control.log >&2; return 1; }
        sleep 0.1
    done
    build/tgwctl --socket $run/control.sock token mint --allocation peer --count "$sessions" \
        --ttl 600 >$run/tokens
    from=$(busy)
    measure gateway 1
    echo "$(($(busy) - from))" >$run/gateway.cycles
    stop_all
}

up
run_nginx
run_haproxy
run_gateway || echo "peers.sh: the gateway did not run over veth" >&2
down

# A frame over memif: the rig's report of tests/bench/run.sh, or a run of its own.
memif=${TGW_BENCH_ECHO:-}
if [ -z "$memif" ]; then
    sh tests/bench/run.sh --only echo --out $run >$run/memif.log 2>&1 || true
    memif=$run/echo.json
fi
/usr/bin/python3 tests/bench/peers.py $run "$memif"
