#!/bin/sh
# Install the Debian packages that are missing. Quiet and quick when all are there.
#   deps.sh build   to build and run the gateway
#   deps.sh lab     build, and the namespaces' lab
#   deps.sh page    to build the lab's page
#   deps.sh cross   to build for arm64 and run that here, to make packages, to emulate a DPU
#   deps.sh test    all of it, and what the tests want
set -eu

build="gcc libc6-dev meson ninja-build pkg-config libdpdk-dev libwslay-dev libhiredis-dev
libcjson-dev libssl-dev libuv1-dev libmicrohttpd-dev libseccomp-dev libcunit1-dev"
lab="iproute2 ethtool procps curl openssl python3 python3-websockets redis-server redis-tools"
cross="gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static qemu-system-arm dpkg-dev lintian
file kmod cpio xz-utils systemd shellcheck"
test="clang clang-format libclang-rt-14-dev universal-ctags prometheus chromium tcpdump python3-yaml
python3-jsonschema
gnutls-bin liblwip-dev nginx-light nmap testssl.sh valgrind"
# Where node comes from elsewhere, npm comes with it and Debian's packages would clash.
page=""
command -v npm >/dev/null || page="nodejs npm"

case "${1:-build}" in
build) want="$build" ;;
lab) want="$build $lab" ;;
page) want="$page" ;;
cross) want="$build $lab $cross" ;;
test) want="$build $lab $page $cross $test" ;;
*)
    echo "usage: deps.sh build|lab|page|cross|test" >&2
    exit 2
    ;;
esac

missing=""
for p in $want; do
    dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || { echo "deps.sh: needs root or sudo to install:$missing" >&2; exit 1; }
    as_root=sudo
fi
echo "installing:$missing"
# Servers among the packages must not start by themselves.
policy=/usr/sbin/policy-rc.d
made_policy=no
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $as_root tee $policy >/dev/null
    $as_root chmod 755 $policy
    made_policy=yes
fi
status=0
{
    $as_root apt-get update -qq &&
        $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq \
            --no-install-recommends $missing >/dev/null
} || status=$?
[ $made_policy = no ] || $as_root rm -f $policy
[ $status = 0 ] || echo "deps.sh: apt-get failed for:$missing" >&2
exit $status
