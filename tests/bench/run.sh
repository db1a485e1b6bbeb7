#!/bin/sh
# The benchmarks: tgw-rig against tgw-dataplane over memif, a core each, and the gateway's
# core alone in one thread with the rig (cycles that a busy machine cannot blur).
#   sh tests/bench/run.sh [--quick] [--million] [--huge-pages] [--only NAME] [--out DIR]
# --huge-pages: for the gateway's memory; 200 of 2 MiB must be there (vm.nr_hugepages).
# Every report (JSON) and its plots lie in DIR, /tmp/tgw-bench if none is named.
set -eu
cd "$(dirname "$0")/../.."
. tests/bench/common.sh

out=/tmp/tgw-bench
seconds=5
million=no
huge=no
only=
while [ $# -gt 0 ]; do
    case "$1" in
    --quick) seconds=2 ;;
    --million) million=yes ;;
    --huge-pages) huge=yes ;;
    --only)
        [ $# -ge 2 ] || { sed -n '4p' "$0" >&2; exit 2; }
        shift
        only=$1
        ;;
    --out)
        [ $# -ge 2 ] || { sed -n '4p' "$0" >&2; exit 2; }
        shift
        out=$1
        ;;
    *) sed -n '4p' "$0" >&2; exit 2 ;;
    esac
    shift
done

run=/run/tgw/bench
runs=hw/rig/runs
mkdir -p $run "$out"
[ -n "$only" ] || rm -f "$out/inside.txt"
make_secret
config=$runs/gateway.json
if [ $huge = yes ]; then
    config=$run/gateway.json
    sed 's/"huge_pages": false/"huge_pages": true/' $runs/gateway.json >$config
fi
gateway=
control=
stop() {
    for p in $control $gateway; do
        kill -INT "$p" 2>/dev/null && wait "$p" 2>/dev/null || true
    done
    gateway=
    control=
}
trap stop EXIT
trap 'exit 1' INT TERM

start_gateway() {
    rm -f $run/*.sock /dev/shm/tgw-bench
    build/tgw-dataplane --config $config >$run/dataplane.log 2>&1 &
    gateway=$!
    until_started
}

play() { # NAME RUN [KEY=VALUE ...]
    name=$1
    [ -z "$only" ] || [ "$only" = "$name" ] || return 0
    file=$runs/$2.json
    shift 2
    start_gateway
    build/tgw-rig run "$file" name="$name" report="$out/$name.json" duration_ms=${seconds}000 "$@" \
        2>"$out/$name.log" || echo "  (sessions were refused or lost: $out/$name.log)"
    build/tgw-rig plot "$out/$name.json" "$out" && mv "$out/latency.svg" "$out/$name-latency.svg" &&
        mv "$out/series.svg" "$out/$name-series.svg"
    stop
}

value() { # NAME GROUP KEY
    python3 -c 'import json,sys; r=json.load(open(sys.argv[1])); print(int(r[sys.argv[2]].get(sys.argv[3],0)))' \
        "$out/$1.json" "$2" "$3"
}

rounds=4000
[ $seconds -gt 2 ] || rounds=1000
[ -n "$only" ] || echo "== one thread, in-memory wires: cycles (flood: a KiB of output)"
for args in "1000 echo 64 $rounds" "100000 echo 64 $rounds" "100000 idle 64 $rounds 1000" \
    "16 flood 64 $rounds" "1000 echo 64 $rounds 0 - 2"; do
    # shellcheck disable=SC2086
    [ -n "$only" ] || build/tests/bench/bench-inside $args 2>/dev/null | tee -a "$out/inside.txt"
done

echo "== over memif, the gateway on CPU 1, the rig on CPU 0"
play echo echo
if [ -z "$only" ] || [ "$only" = load70 ]; then
    [ -s "$out/echo.json" ] || { echo "run.sh: the echo run goes first" >&2; exit 1; }
    rate=$(($(value echo rates answered_per_s) * 7 / 10))
    play load70 load rate_per_s=$rate
fi
play flood flood
play paste paste
play churn churn
play mixed mixed
play idle idle
[ $million = no ] || play million idle sessions=1000000 typing_sessions=10000 rate_per_s=100000

/usr/bin/python3 tests/bench/table.py "$out"
