#!/bin/sh
# tgw-rig against tgw-dataplane over two veth pairs between two namespaces: keystrokes in a
# closed loop and at 20 % of what that gave, and session setups. Needs root.
#   sh tests/bench/veth.sh [--seconds S] [--out DIR]
# Reports (JSON) lie in DIR, /tmp/tgw-bench if none is named.
set -eu
cd "$(dirname "$0")/../.."
. tests/bench/common.sh

seconds=5
out=/tmp/tgw-bench
while [ $# -gt 0 ]; do
    [ $# -ge 2 ] || { sed -n '4p' "$0" >&2; exit 2; }
    case "$1" in
    --seconds) seconds=$2 ;;
    --out) out=$2 ;;
    *) sed -n '4p' "$0" >&2; exit 2 ;;
    esac
    shift 2
done
[ "$(id -u)" = 0 ] || { echo "veth.sh: needs root" >&2; exit 2; }

run=/run/tgw/bench
mkdir -p $run "$out"
make_secret
gateway=
down() {
    [ -z "$gateway" ] || { kill -INT "$gateway" && wait "$gateway"; } 2>/dev/null || true
    for n in rig gateway; do
        ip netns del tgw-veth-$n 2>/dev/null || true
    done
}
trap down EXIT
trap 'exit 1' INT TERM

# Both ends belong to packet sockets: the kernel is to answer nothing on them.
for n in rig gateway; do
    ip netns add tgw-veth-$n
    ip netns exec tgw-veth-$n sysctl -q -w net.ipv6.conf.default.disable_ipv6=1
done
for side in client node; do
    ip link add $side netns tgw-veth-gateway type veth peer name $side netns tgw-veth-rig
    for n in rig gateway; do
        ip -n tgw-veth-$n link set $side up arp off
    done
done
ip netns exec tgw-veth-gateway build/tgw-dataplane --config hw/rig/runs/veth-gateway.json \
    >$run/dataplane.log 2>&1 &
gateway=$!
until_started

play() { # NAME [KEY=VALUE ...]
    name=$1
    shift
    ip netns exec tgw-veth-rig build/tgw-rig run hw/rig/runs/veth.json name="$name" \
        report="$out/$name.json" duration_ms="${seconds}000" "$@" 2>"$out/$name.log" ||
        { echo "  (sessions were refused or lost: $out/$name.log)"; tail -3 "$out/$name.log"; }
}
play veth
rate=$(python3 -c 'import json,sys; print(int(json.load(open(sys.argv[1]))["rates"]["answered_per_s"] * 0.2))' \
    "$out/veth.json")
play veth-load20 rate_per_s="$rate"
play veth-churn scenario=churn
