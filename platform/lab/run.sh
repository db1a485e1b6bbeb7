#!/bin/sh
# The gateway between two network namespaces on this machine, with a real shell behind it.
#   sh platform/lab/run.sh [OPTIONS]      docs/lab.md tells more
#     --detach               leave it running
#     --stop                 take it all down
#     --agent-program P      shell (default), echo, sink or flood
#     --port DRIVER          af_packet (default) or af_xdp
#     --redis                a Redis server of its own holds the tokens
#     --tls, --no-tls        wss on port 443 beside ws on port 80 (default), or not
#     --tls-agent            mutual TLS between the gateway and the agent, too
#     --no-build             run what is in build/
# Impairments of the node-side wire, per mille: LAB_LOSS, LAB_REORDER, LAB_DUPLICATE.
set -eu
cd "$(dirname "$0")/../.."

run=/run/tgw/lab
program=shell
port=af_packet
redis=no
tls=yes
tls_agent=no
detach=no
build=yes
stop=no
redis_port=16379
memory_mb=256
page_url=http://127.0.0.1:8000

usage() {
    sed -n '2,12s/^# \{0,1\}//p' "$0"
    exit 2
}

die() {
    echo "run.sh: $*" >&2
    exit 1
}

arguments="$*"
while [ $# -gt 0 ]; do
    case "$1" in
    --detach) detach=yes ;;
    --stop) stop=yes ;;
    --no-build) build=no ;;
    --redis) redis=yes ;;
    --tls) tls=yes ;;
    --no-tls) tls=no ;;
    --tls-agent) tls_agent=yes ;;
    --agent-program)
        [ $# -ge 2 ] || usage
        shift
        program=$1
        ;;
    --port)
        [ $# -ge 2 ] || usage
        shift
        port=$1
        ;;
    *) usage ;;
    esac
    shift
done
case "$program" in shell | echo | sink | flood) ;; *) usage ;; esac
case "$port" in af_packet | af_xdp) ;; *) usage ;; esac

if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || die "needs root (namespaces, packet sockets), or sudo"
    echo "lab: needs root for namespaces and packet sockets: asking sudo"
    # shellcheck disable=SC2086 # the options are words without blanks
    exec sudo env LAB_LOSS="${LAB_LOSS:-0}" LAB_REORDER="${LAB_REORDER:-0}" \
        LAB_DUPLICATE="${LAB_DUPLICATE:-0}" LAB_PUBLIC_URL="${LAB_PUBLIC_URL:-}" \
        sh platform/lab/run.sh $arguments
fi

. platform/lab/net.sh
. platform/lab/memory.sh

# The process of a pid file, if it still is what the file says.
pid_of() {
    pid=$(cat "$run/$1.pid" 2>/dev/null) || return 1
    [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ] && echo "$pid"
}

stop_process() { # NAME COMM
    pid=$(pid_of "$1" "$2") || return 0
    kill -INT "$pid" 2>/dev/null || true
    tries=0
    while [ $tries -lt 30 ] && kill -0 "$pid" 2>/dev/null; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -9 "$pid" 2>/dev/null || true
}

take_down() {
    dataplane=$(cat $run/dataplane.pid 2>/dev/null || echo none)
    stop_process dataplane tgw-dataplane
    stop_process control tgw-control
    stop_process agent tgw-agent
    stop_process redis redis-server
    net_down
    rm -rf "/dev/hugepages/tgw${dataplane}map"* "/run/dpdk/tgw$dataplane"
    memory_give_back
    rm -rf $run /dev/shm/tgw-lab
}

if [ $stop = yes ]; then
    take_down
    echo "lab: all down"
    exit 0
fi

step_pid=""
up=no
leave() {
    [ -z "$step_pid" ] || kill -- "-$step_pid" 2>/dev/null || true
    [ $up = yes ] || { take_down && echo "lab: all down"; }
}
trap leave EXIT
trap 'echo; exit 130' INT
trap 'exit 143' TERM HUP

# step NAME COMMAND...: a long step, with a sign of life and its log's end when it fails.
step() {
    name=$1
    shift
    log=$(mktemp)
    began=$(date +%s)
    setsid "$@" >"$log" 2>&1 </dev/null &
    step_pid=$!
    said=0
    while kill -0 $step_pid 2>/dev/null; do
        seconds=$(($(date +%s) - began))
        if [ -t 1 ] && [ $seconds -ge 1 ]; then
            printf '\r\033[Klab: %s %d s  %s' "$name" $seconds "$(tail -n 1 "$log" | cut -c 1-50)"
        elif [ $seconds -ge $((said + 15)) ]; then
            said=$seconds
            echo "lab: $name, $seconds s"
        fi
        sleep 0.1
    done
    status=0
    wait $step_pid || status=$?
    step_pid=""
    [ ! -t 1 ] || printf '\r\033[K'
    echo "lab: $name"
    [ $status = 0 ] || tail -n 20 "$log" >&2
    rm -f "$log"
    return $status
}

# What is built belongs to whom the tree belongs to.
owner=$(stat -c %u build 2>/dev/null || stat -c %u .)
as_owner() {
    if [ "$owner" = 0 ]; then
        step "$@"
        return
    fi
    what=$1
    shift
    step "$what" setpriv --reuid "$owner" --regid "$(id -g "$owner")" --init-groups \
        env HOME="$(getent passwd "$owner" | cut -d: -f6)" "$@"
}

step packages sh platform/lab/deps.sh lab || exit 1
if [ $build = yes ]; then
    as_owner build sh tests/lib/build.sh build gcc || exit 1
    if step "packages of the page" sh platform/lab/deps.sh page && command -v npm >/dev/null; then
        as_owner page sh platform/lab/page/build.sh build ||
            echo "lab: the page was not built; everything else works"
    else
        echo "lab: no npm here, so no page in the browser; everything else works"
    fi
fi

take_down
mkdir -p $run
echo $$ >$run/owner
huge=$(memory_take $memory_mb)
echo "lab: namespaces"
net_up

store='"token_store": "memory"'
if [ $redis = yes ]; then
    store="\"token_store\": \"redis\", \"redis_url\": \"redis://127.0.0.1:$redis_port/0\""
    setsid redis-server --bind 127.0.0.1 --port $redis_port --save "" --appendonly no \
        --dir $run >$run/redis.log 2>&1 &
    echo $! >$run/redis.pid
    tries=0
    until redis-cli -p $redis_port ping >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 50 ] || die "redis-server did not start: $(tail -n 1 $run/redis.log)"
        sleep 0.1
    done
fi

certificates=""
agent_tls=""
if [ $tls = yes ] || [ $tls_agent = yes ]; then
    step certificates sh platform/lab/certificates.sh $run/tls || exit 1
fi
if [ $tls_agent = yes ]; then
    agent_tls="\"tls_agent_ca\": \"$run/tls/ca.pem\",
 \"tls_agent_certificate\": \"$run/tls/gateway-agent.pem:$run/tls/gateway-agent.key\","
fi
if [ $tls = yes ]; then
    certificates="\"$run/tls/gateway.pem:$run/tls/gateway.key\",
  \"$run/tls/gateway-rsa.pem:$run/tls/gateway-rsa.key\""
fi

core=$(($(nproc) - 1))
(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >$run/agent.secret)
cat >$run/config.json <<CONFIG
{"ports": [
  {"name": "client", "driver": "$port", "device": "tgw-c0", "listen": true,
   "addresses": ["198.18.0.2/24", "fd18::2/64"], "gateway4": "198.18.0.1"},
  {"name": "node", "driver": "$port", "device": "tgw-n0", "addresses": ["198.18.1.2/24"],
   "loss_pm": ${LAB_LOSS:-0}, "reorder_pm": ${LAB_REORDER:-0}, "duplicate_pm": ${LAB_DUPLICATE:-0},
   "fault_seed": 1}],
 "tls_certificates": [$certificates], $agent_tls
 "cores": ["$core"], "huge_pages": $huge, "memory_mb": $memory_mb,
 "shm_path": "/dev/shm/tgw-lab", "control_socket": "/run/tgw/control.sock",
 "agent_default": "198.18.1.1:7681", "agent_networks": ["198.18.1.0/24"],
 "allowed_origins": ["$page_url", "http://localhost:8000"],
 "agent_secret_file": "$run/agent.secret", "state_dir": "$run/state", $store,
 "lab_listen": "${page_url#http://}", "lab_page_dir": "$PWD/build/page",
 "lab_public_url": "${LAB_PUBLIC_URL:-ws://198.18.0.2}"}
CONFIG

# A shell for everybody who reaches the page: not root's, where sudo tells whose else.
as_user=""
if [ "${SUDO_UID:-0}" != 0 ]; then
    chown "$SUDO_UID" $run/agent.secret
    as_user="setpriv --reuid $SUDO_UID --regid $SUDO_GID --init-groups
        env HOME=$(getent passwd "$SUDO_UID" | cut -d: -f6)"
fi

agent_options=""
if [ $tls_agent = yes ]; then
    agent_options="--tls-certificate $run/tls/agent.pem --tls-key $run/tls/agent.key
        --tls-client-ca $run/tls/ca.pem --tls-client-name gateway.lab"
    [ "${SUDO_UID:-0}" = 0 ] || chown "$SUDO_UID" $run/tls/agent.pem $run/tls/agent.key
fi

# Each in a session of its own: Ctrl-C here is for this script.
start() { # NAME COMMAND...
    name=$1
    shift
    setsid "$@" >"$run/$name.log" 2>&1 </dev/null &
    echo $! >"$run/$name.pid"
}
echo "lab: processes"
# shellcheck disable=SC2086 # words
start agent ip netns exec tgw-node $as_user build/tgw-agent --secret-file $run/agent.secret \
    --listen 198.18.1.1:7681 --program "$program" $agent_options
start dataplane build/tgw-dataplane --config $run/config.json
start control build/tgw-control --config $run/config.json

tries=0
until ip netns exec tgw-client curl -fs -m 1 -o /dev/null http://198.18.0.2/readyz; do
    tries=$((tries + 1))
    if [ $tries -gt 40 ] || ! pid_of dataplane tgw-dataplane >/dev/null ||
        { [ $tries -gt 4 ] && ! pid_of control tgw-control >/dev/null; }; then
        echo "lab: the gateway did not become ready:" >&2
        tail -n 5 $run/*.log >&2
        exit 1
    fi
    sleep 0.25
done

echo "lab: ready"
if [ -f build/page/xterm.mjs ]; then
    echo "  a terminal in the browser:  $page_url"
else
    echo "  (the page for the browser is not built: it wants npm)"
fi
cat <<READY
  a terminal in this window:  ip netns exec tgw-client /usr/bin/python3 platform/lab/terminal.py
  what the gateway says:      build/tgwctl status
  logs:                       $run/*.log
  the end of it:              $([ $detach = yes ] && echo "sh platform/lab/run.sh --stop" || echo Ctrl-C)
READY
dataplane=$(cat $run/dataplane.pid)
if [ $detach = yes ]; then
    up=yes
    exit 0
fi
while kill -0 "$dataplane" 2>/dev/null; do
    sleep 1
done
if [ "$(cat $run/owner 2>/dev/null)" != $$ ]; then
    up=yes # another's now, or down already
    echo "lab: ended by another run.sh"
    exit 0
fi
echo "lab: the dataplane ended" >&2
tail -n 5 $run/dataplane.log >&2
exit 1
