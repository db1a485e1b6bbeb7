#!/bin/sh
# A DPU in software: an emulated Arm machine with two PCI NICs behind an SMMU, our arm64
# package in it, and a terminal through it from a client's namespace to a node's.
#   sh hw/emulated/run.sh [OPTIONS]       hw/emulated/README.md tells more
#     --short           one machine, the terminal and its end; for CI
#     --out DIR         log and report there (build-emulated/)
#     --keep-deb        take the packages in build-deb/ as they are
set -eu
cd "$(dirname "$0")/../.."
short=""
out=$PWD/build-emulated
deb=yes
while [ $# -gt 0 ]; do
    case "$1" in
    --short) short=--short ;;
    --keep-deb) deb=no ;;
    --out)
        [ $# -ge 2 ] || { echo "run.sh: --out wants a folder" >&2; exit 2; }
        shift
        out=$1
        ;;
    *) sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
    esac
    shift
done
if [ "$(id -u)" != 0 ]; then
    echo "run.sh: needs root, for network namespaces and tap devices" >&2
    exit 1
fi

say() {
    echo "emulated: $*"
}
say "packages of this machine"
sh platform/lab/deps.sh cross
mkdir -p "$out"
if [ $deb = yes ]; then
    say "our arm64 package, and the agent for this machine"
    sh platform/debian/deb.sh arm64 >"$out/build.log" 2>&1 || { tail -20 "$out/build.log" >&2; exit 1; }
fi
say "the machine's root"
sh hw/emulated/image.sh "$out"
exec /usr/bin/python3 hw/emulated/scenario.py $short --out "$out" --agent build-deb-amd64/tgw-agent
