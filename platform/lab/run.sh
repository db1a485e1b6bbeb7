#!/bin/sh
# The gateway between two network namespaces on this machine, with a real shell behind it.
#   sh platform/lab/run.sh [--detach] [--stop] [--no-build] [--agent-program shell|echo|sink|flood]
# Namespaces: tgw-client 198.18.0.1, tgw-node 198.18.1.1; gateway 198.18.0.2 and 198.18.1.2.
# Impairments of the node-side wire, per mille: LAB_LOSS, LAB_REORDER, LAB_DUPLICATE.
set -eu
cd "$(dirname "$0")/../.."

run=/run/tgw/lab
program=shell
detach=no
build=yes
stop=no

usage() {
    sed -n '2,5s/^# \{0,1\}//p' "$0"
    exit 2
}

while [ $# -gt 0 ]; do
    case "$1" in
    --detach) detach=yes ;;
    --stop) stop=yes ;;
    --no-build) build=no ;;
    --agent-program)
        [ $# -ge 2 ] || usage
        shift
        program=$1
        ;;
    *) usage ;;
    esac
    shift
done
case "$program" in shell | echo | sink | flood) ;; *) usage ;; esac
[ "$(id -u)" = 0 ] || { echo "run.sh: needs root (namespaces, packet sockets)" >&2; exit 1; }

take_down() {
    for p in dataplane control agent; do
        [ -f $run/$p.pid ] || continue
        kill -INT "$(cat $run/$p.pid)" 2>/dev/null || true
        [ $p = agent ] && kill "$(cat $run/$p.pid)" 2>/dev/null || true
    done
    tries=0
    while [ $tries -lt 30 ] && [ -f $run/dataplane.pid ] &&
        kill -0 "$(cat $run/dataplane.pid)" 2>/dev/null; do
        sleep 0.1
        tries=$((tries + 1))
    done
    for p in dataplane control agent; do
        [ ! -f $run/$p.pid ] || kill -9 "$(cat $run/$p.pid)" 2>/dev/null || true
    done
    ip netns del tgw-client 2>/dev/null || true
    ip netns del tgw-node 2>/dev/null || true
    ip link del tgw-c0 2>/dev/null || true
    ip link del tgw-n0 2>/dev/null || true
    rm -rf $run /dev/shm/tgw-lab
}

if [ $stop = yes ]; then
    take_down
    echo "lab: all down"
    exit 0
fi

echo "lab: packages"
sh platform/lab/deps.sh lab
if [ $build = yes ]; then
    echo "lab: build"
    sh tests/lib/build.sh build gcc >/tmp/tgw-lab-build.log 2>&1 ||
        { tail -30 /tmp/tgw-lab-build.log >&2; exit 1; }
fi
take_down
mkdir -p $run

side() { # NAME LETTER NUMBER
    ip netns add "tgw-$1"
    ip link add "tgw-${2}0" type veth peer name eth0 netns "tgw-$1"
    # The kernel keeps its hands off the gateway's ends: no addresses, no ARP, no IPv6.
    echo 1 >"/proc/sys/net/ipv6/conf/tgw-${2}0/disable_ipv6" 2>/dev/null || true
    ip link set "tgw-${2}0" up arp off
    ip netns exec "tgw-$1" ip addr add "198.18.$3.1/24" dev eth0
    ip netns exec "tgw-$1" ip -6 addr add "fd18:0:0:$3::1/64" dev eth0 nodad 2>/dev/null || true
    ip netns exec "tgw-$1" ip link set lo up
    ip netns exec "tgw-$1" ip link set eth0 up
    # veth leaves checksums half done and sends super-segments unless told otherwise.
    ethtool -K "tgw-${2}0" tx off tso off gso off gro off >/dev/null 2>&1
    ip netns exec "tgw-$1" ethtool -K eth0 tx off tso off gso off gro off >/dev/null 2>&1
}
echo "lab: namespaces"
side client c 0
side node n 1

core=$(($(nproc) - 1))
(umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >$run/agent.secret)
cat >$run/config.json <<EOF
{"ports": [
  {"name": "client", "driver": "af_packet", "device": "tgw-c0", "listen": true,
   "addresses": ["198.18.0.2/24", "fd18::2/64"], "gateway4": "198.18.0.1"},
  {"name": "node", "driver": "af_packet", "device": "tgw-n0", "addresses": ["198.18.1.2/24"],
   "loss_pm": ${LAB_LOSS:-0}, "reorder_pm": ${LAB_REORDER:-0}, "duplicate_pm": ${LAB_DUPLICATE:-0},
   "fault_seed": 1}],
 "cores": ["$core"], "huge_pages": false, "memory_mb": 256,
 "shm_path": "/dev/shm/tgw-lab", "control_socket": "/run/tgw/control.sock",
 "agent_default": "198.18.1.1:7681", "agent_networks": ["198.18.1.0/24"],
 "allowed_origins": ["http://127.0.0.1:8000"], "agent_secret_file": "$run/agent.secret",
 "state_dir": "$run/state"}
EOF

echo "lab: processes"
ip netns exec tgw-node build/tgw-agent --secret-file $run/agent.secret \
    --listen 198.18.1.1:7681 --program "$program" >$run/agent.log 2>&1 &
echo $! >$run/agent.pid
build/tgw-dataplane --config $run/config.json >$run/dataplane.log 2>&1 &
echo $! >$run/dataplane.pid
build/tgw-control --config $run/config.json >$run/control.log 2>&1 &
echo $! >$run/control.pid

tries=0
until ip netns exec tgw-client curl -fs -m 1 -o /dev/null http://198.18.0.2/readyz; do
    tries=$((tries + 1))
    if [ $tries -gt 40 ]; then
        echo "lab: the gateway did not become ready:" >&2
        tail -5 $run/*.log >&2
        take_down
        exit 1
    fi
    sleep 0.25
done

cat <<EOF
lab: ready. A terminal:
    ip netns exec tgw-client /usr/bin/python3 platform/lab/terminal.py
logs: $run/*.log   stop: sh platform/lab/run.sh --stop
EOF
[ $detach = no ] || exit 0
trap 'take_down; echo "lab: all down"; exit 0' INT TERM
while kill -0 "$(cat $run/dataplane.pid)" 2>/dev/null; do
    sleep 1
done
echo "lab: the dataplane ended" >&2
tail -5 $run/dataplane.log >&2
take_down
exit 1
