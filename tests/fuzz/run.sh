#!/bin/sh
# Runs the fuzzers from their corpora for so many seconds in all; prints TAP.
#   sh tests/fuzz/run.sh BUILD SECONDS [NAME...]
# What is new stays in BUILD/fuzz/NAME; an input that fails in BUILD/fuzz/NAME-crash-*.
set -u
cd "$(dirname "$0")/../.." || exit 1
build=$1
seconds=$2
shift 2
[ $# != 0 ] || set -- commands events http1 net seg tcp tls ws ws_oracle
targets=""
for name; do
    targets="$targets tests/fuzz/fuzz-$name"
done
# shellcheck disable=SC2086
ninja -C "$build" $targets >/dev/null || { echo "Bail out! the fuzzers do not build"; exit 1; }

echo "1..$#"
share=$((seconds / $#))
number=0
failed=0
# A large quarantine, and scheduling by rare features, cost most of the time of harnesses that
# make and end a whole stack an input.
export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1:quarantine_size_mb=4:malloc_context_size=4
for name; do
    number=$((number + 1))
    found=$build/fuzz/$name
    mkdir -p "$found"
    log=$build/fuzz/$name.log
    known=tests/fuzz/corpus/$name
    [ -d "$known" ] || known=""
    # shellcheck disable=SC2086
    "$build/tests/fuzz/fuzz-$name" -entropic=0 -max_total_time="$share" -max_len=4096 -timeout=20 -rss_limit_mb=3000 \
        -print_final_stats=1 -verbosity=1 -artifact_prefix="$found-" "$found" $known >"$log" 2>&1
    status=$?
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -1)
    covered=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -1)
    what="fuzz $name: ${runs:-0} executions, $share s, ${covered:-0} edges"
    if [ $status = 0 ] && [ "${runs:-0}" -gt 0 ]; then
        echo "ok $number - $what"
    else
        failed=1
        echo "not ok $number - $what"
        grep -v '^#[0-9]' "$log" | tail -40 | sed 's/^/# /'
    fi
done
exit $failed
