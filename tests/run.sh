#!/bin/sh
# Sets everything up and runs every test; ends with "N passed, N failed".
#   sh tests/run.sh [--quick]     --quick: the part under five minutes
# Every test program prints TAP; a program that dies or stops short counts as a failure.
set -u
cd "$(dirname "$0")/.." || exit 1

quick=no
case "${1:-}" in
"") ;;
--quick) quick=yes ;;
*)
    echo "usage: sh tests/run.sh [--quick]" >&2
    exit 2
    ;;
esac

passed=0
failed=0
began=$(date +%s)
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT

say() {
    echo "== $(($(date +%s) - began)) s: $*"
}

# tap NAME SECONDS COMMAND...: run a TAP program and count its lines.
tap() {
    name=$1
    limit=$2
    shift 2
    out=$logs/$(echo "$name" | tr '/ ' '__')
    timeout "$limit" "$@" >"$out" 2>&1
    status=$?
    ok=$(grep -c '^ok ' "$out")
    bad=$(grep -c '^not ok ' "$out")
    plan=$(sed -n 's/^1\.\.\([0-9][0-9]*\).*/\1/p' "$out" | tail -1)
    if [ "$((ok + bad))" != "${plan:-none}" ] || { [ $status != 0 ] && [ "$bad" = 0 ]; }; then
        bad=$((bad + 1))
        echo "$name: ended with status $status after $ok good cases of ${plan:-no plan}"
    fi
    passed=$((passed + ok))
    failed=$((failed + bad))
    if [ "$bad" != 0 ]; then
        grep -A 5 '^not ok ' "$out" | head -60
        tail -20 "$out"
    fi
    echo "$name: $ok passed, $bad failed"
}

# check NAME SECONDS COMMAND...: one case, good when the command succeeds.
check() {
    name=$1
    limit=$2
    shift 2
    if timeout "$limit" "$@" >"$logs/check" 2>&1; then
        passed=$((passed + 1))
        echo "$name: ok"
    else
        failed=$((failed + 1))
        echo "$name: failed"
        tail -40 "$logs/check"
    fi
}

unit() { # DIR LABEL [RUNNER...]
    dir=$1
    label=$2
    shift 2
    for program in "$dir"/tests/test-*; do
        [ -f "$program" ] && [ -x "$program" ] || continue
        case " $leave_out " in *" ${program##*/test-} "*) continue ;; esac
        tap "$label ${program##*/test-}" 300 "$@" "$program"
    done
}

# Programs that `unit` does not run where it is called next.
leave_out=""

packet() { # DIR LABEL [RUNNER...]
    dir=$1
    label=$2
    shift 2
    for topic in tests/packet/*/; do
        topic=${topic%/}
        [ "${topic##*/}" != open ] || continue # beginnings that others include
        tap "$label packet ${topic##*/}" 120 "$@" "$dir/tests/packet/test-packet" "$topic"
    done
}

# The two-thread tests under ThreadSanitizer, and the proof that it would find a ring
# without order.
threads() {
    check "build tsan" 300 sh tests/lib/build.sh build-tsan gcc -Db_sanitize=thread \
        -- tests/test-contract-order tests/test-tls-threads
    tap "tsan contract-order" 120 build-tsan/tests/test-contract-order
    tap "tsan tls-threads" 120 build-tsan/tests/test-tls-threads
    check "tsan finds a relaxed ring" 60 sh -c \
        'build-tsan/tests/test-contract-order relaxed 2>&1 | grep -q "WARNING: ThreadSanitizer: data race"'
}

finish() {
    say "done"
    echo "$passed passed, $failed failed"
    [ "$failed" = 0 ]
    exit
}

# Terminals of the tests start without the files of whoever runs them: what those start
# (and lock) is not ours to wait for.
export TGW_AGENT_SHELL="$PWD/tests/lib/plain_shell"

say "packages"
if ! sh platform/lab/deps.sh test; then
    failed=1
    finish
fi

tap "house" 60 /usr/bin/python3 tests/house_test.py
tap "reasons" 60 /usr/bin/python3 tests/reasons_test.py

say "build with gcc"
check "build gcc" 900 sh tests/lib/build.sh build gcc
[ "$failed" = 0 ] || finish
say "unit tests"
unit build gcc
say "packet scripts"
packet build gcc

if [ "$quick" = no ]; then
    say "build with clang, AddressSanitizer and UndefinedBehaviorSanitizer"
    check "build clang" 900 sh tests/lib/build.sh build-asan clang \
        -Db_sanitize=address,undefined -Db_lundef=false
    export ASAN_OPTIONS=detect_leaks=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
    unit build-asan asan
    packet build-asan asan
    say "fuzzers"
    tap "fuzz" 400 sh tests/fuzz/run.sh build-asan 63
    say "simulation, more seeds"
    tap "sim more seeds" 120 build/tests/test-sim --first 100000 --seeds 1000000 --stop-after 60
    check "format" 60 sh tests/lib/format.sh
    say "instructions a frame"
    tap "instruction budget" 180 /usr/bin/python3 tests/bench/budget.py
    unset ASAN_OPTIONS UBSAN_OPTIONS
    say "two-thread tests under ThreadSanitizer"
    threads
    say "arm64, under qemu-user"
    check "build arm64" 900 sh platform/debian/arm64.sh
    # Not for qemu-user, which is no arm64 kernel: it has no system call filters, knows
    # nothing of packet sockets' versions, and keeps a program's memory in a copy of its own.
    # The emulated machine below runs the whole dataplane on a real one.
    leave_out="control-confine drivers-kernel tls-hide"
    unit build-arm64 arm64 sh platform/debian/arm64-run.sh
    leave_out=""
    packet build-arm64 arm64 sh platform/debian/arm64-run.sh
    say "packages"
    tap "packages" 300 /usr/bin/python3 tests/platform/package_test.py
    tap "bluefield" 120 /usr/bin/python3 tests/platform/bluefield_test.py
    tap "kubernetes" 30 /usr/bin/python3 tests/platform/kubernetes_test.py
    say "an emulated DPU, the short form"
    check "emulated dpu" 480 sh hw/emulated/run.sh --short --keep-deb
fi

if [ "$quick" = no ]; then
    say "interoperation with Linux"
    tap "interop" 300 /usr/bin/python3 tests/interop/interop_test.py
fi

# The quick part: a shell, its agent, the page, orders from afar.
for script in tests/e2e/*_test.py; do
    [ -f "$script" ] || continue
    name=${script##*/}
    case $quick/$name in
    no/* | yes/agent_test.py | yes/lab_test.py | yes/page_test.py | yes/remote_test.py) ;;
    *) continue ;;
    esac
    say "end to end: $name"
    tap "e2e ${name%_test.py}" 900 /usr/bin/python3 "$script" $([ $quick = no ] || echo --quick)
done

finish
