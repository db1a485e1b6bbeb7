#!/bin/sh
# Build for arm64 on this machine, against Debian's arm64 packages unpacked beside the tree.
#   arm64.sh [TARGET...]      into build-arm64/; all of it without a target
# Programs for arm64 then run here under qemu-user: arm64-run.sh PROGRAM...
set -eu
cd "$(dirname "$0")/../.."
root=$PWD/build-arm64-root

for tool in aarch64-linux-gnu-gcc qemu-aarch64-static; do
    command -v $tool >/dev/null && continue
    echo "arm64.sh: $tool is missing: sh platform/lab/deps.sh cross" >&2
    exit 1
done
sh platform/debian/root.sh arm64 "$root" libc6-dev libgcc-12-dev libdpdk-dev libwslay-dev \
    libhiredis-dev libcjson-dev libssl-dev libuv1-dev libmicrohttpd-dev libseccomp-dev libcunit1-dev

cat >build-arm64-root.apt/cross <<CROSS
[binaries]
c = [$(command -v ccache >/dev/null && echo "'ccache', ")'aarch64-linux-gnu-gcc']
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64-static', '-L', '$root']
[properties]
sys_root = '$root'
pkg_config_libdir = '$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig'
[built-in options]
c_args = ['--sysroot=$root']
c_link_args = ['--sysroot=$root', '-Wl,-rpath-link,$root/usr/lib/aarch64-linux-gnu']
[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8-a'
endian = 'little'
CROSS
[ -f build-arm64/build.ninja ] ||
    meson setup build-arm64 --cross-file build-arm64-root.apt/cross -Db_pie=true
ninja -C build-arm64 "$@"
