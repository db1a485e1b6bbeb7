#!/bin/sh
# Build the packages terminal-gateway and terminal-gateway-agent for one architecture.
#   deb.sh amd64|arm64 [VERSION]     into build-deb/; the version is the project's
set -eu
cd "$(dirname "$0")/../.."
arch=${1:-}
case "$arch" in amd64 | arm64) ;; *) sed -n '2,3s/^# \{0,1\}//p' "$0" >&2; exit 2 ;; esac
programs="tgw-dataplane tgw-control tgwctl tgw-agent"
version=${2:-$(sed -n "s/^ *version: '\([^']*\)'.*/\1/p" meson.build | head -1)-1}
out=$PWD/build-deb
native=build-deb-amd64

# The libraries' least versions are taken from this machine's; Debian's release is one for all.
[ -f $native/build.ninja ] || CC=gcc meson setup $native -Db_pie=true \
    -Db_lto=true -Db_staticpic=false \
    -Dc_args="-fstack-protector-strong -Wformat -Werror=format-security -D_FORTIFY_SOURCE=2" \
    -Dc_link_args="-Wl,-z,relro -Wl,-z,now"
# shellcheck disable=SC2086 # words
ninja -C $native $programs
built=$native
strip="strip"
if [ "$arch" = arm64 ]; then
    # shellcheck disable=SC2086
    sh platform/debian/arm64.sh $programs
    built=build-arm64
    strip=aarch64-linux-gnu-strip
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
date=$(git log -1 --format=%cD 2>/dev/null || date -R)

shlibs() { # PROGRAM...
    mkdir -p "$work/debian"
    printf 'Source: terminal-gateway\n\nPackage: x\nArchitecture: any\n' >"$work/debian/control"
    (cd "$work" && dpkg-shlibdeps -O "$@") | sed 's/^shlibs:Depends=//'
}

program() { # NAME FOLDER
    mkdir -p "$tree/$2"
    $strip --strip-unneeded -R .comment -R .note -o "$tree/$2/$1" "$built/$1"
    chmod 755 "$tree/$2/$1"
    needs="$needs $PWD/$native/$1"
    page=$(basename "platform/debian/man/$1".*)
    mkdir -p "$tree/usr/share/man/man${page##*.}"
    gzip -9nc "platform/debian/man/$page" >"$tree/usr/share/man/man${page##*.}/$page.gz"
}

put() { # FILE PATH MODE
    install -D -m "$3" "$1" "$tree/$2"
}

documents() { # KIND
    doc=usr/share/doc/$package
    put "platform/debian/$1/README.Debian" "$doc"/README.Debian 644
    {
        echo "Files: *"
        sed 's/^$/./; s/^/ /' LICENSE
    } >"$work/copyright"
    put "$work/copyright" "$doc/copyright" 644
    printf '%s (%s) UNRELEASED; urgency=medium\n\n  * Built from %s.\n\n -- %s  %s\n' \
        terminal-gateway "$version" "$(git rev-parse --short=12 HEAD 2>/dev/null || echo a tarball)" \
        "$(sed -n 's/^Maintainer: //p' "platform/debian/$1/control")" "$date" |
        gzip -9n >"$tree/$doc/changelog.Debian.gz"
}

finish() { # KIND
    size=$(du -ks "$tree" | cut -f1)
    # shellcheck disable=SC2086
    libraries=$(shlibs $needs)
    mkdir -p "$tree/DEBIAN"
    for file in control postinst prerm postrm; do
        sed "s/@ARCH@/$arch/; s/@VERSION@/$version/; s/@SIZE@/$size/; s/@SHLIBS@/$libraries/" \
            "platform/debian/$1/$file" >"$tree/DEBIAN/$file"
        [ $file = control ] || chmod 755 "$tree/DEBIAN/$file"
    done
    (cd "$tree" && find etc -type f | sed 's,^,/,' >DEBIAN/conffiles)
    (cd "$tree" && find usr -type f -exec md5sum {} + | sort -k2 >DEBIAN/md5sums)
    mkdir -p "$out"
    dpkg-deb --root-owner-group -Zxz --build "$tree" "$out/${package}_${version}_$arch.deb"
}

begin() { # PACKAGE
    package=$1
    tree=$work/$1
    needs=""
    mkdir -p "$tree"
}
umask 022

begin terminal-gateway
program tgw-dataplane usr/sbin
program tgw-control usr/sbin
program tgwctl usr/bin
put platform/debian/config.json etc/tgw/config.json 640
put platform/debian/gateway/default etc/default/terminal-gateway 644
put platform/debian/gateway/sysusers usr/lib/sysusers.d/tgw.conf 644
for unit in tgw-dataplane tgw-control; do
    put platform/debian/gateway/$unit.service usr/lib/systemd/system/$unit.service 644
done
for file in common.sh functions.sh setup.sh bf2.profile bf3.profile; do
    mode=755
    case $file in common.sh | *.profile) mode=644 ;; esac
    put platform/bluefield/$file usr/lib/terminal-gateway/bluefield/$file $mode
done
documents gateway
finish gateway

begin terminal-gateway-agent
program tgw-agent usr/sbin
put platform/debian/agent/default etc/default/terminal-gateway-agent 644
put platform/debian/agent/sysusers usr/lib/sysusers.d/tgw-agent.conf 644
put platform/debian/agent/tgw-agent.service usr/lib/systemd/system/tgw-agent.service 644
for file in common.sh host.sh; do
    mode=755
    [ $file != common.sh ] || mode=644
    put platform/bluefield/$file usr/lib/terminal-gateway-agent/bluefield/$file $mode
done
documents agent
finish agent
