#!/bin/sh
# Unpack Debian packages of an architecture, with all that they depend on, into a folder: a
# sysroot to build against, or the root of an emulated machine or a chroot. Nothing is
# installed on this machine and no package's script runs; dpkg in the folder knows what is there.
#   root.sh ARCHITECTURE DIR PACKAGE...
# The mirrors are those of this machine's apt. Packages are kept in DIR.apt/ for the next time.
set -eu
[ $# -ge 3 ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
arch=$1
root=$2
shift 2
wanted=$*
case "$root" in /*) ;; *) root=$PWD/$root ;; esac
apt=$root.apt

# Nothing to do where the same was unpacked within a day.
if [ "$(cat "$apt/done" 2>/dev/null)" = "$arch $wanted" ] &&
    [ -n "$(find "$apt/done" -mmin -1440)" ]; then
    exit 0
fi
rm -rf "$root" "$apt/done"
mkdir -p "$apt/lists/partial" "$apt/archives/partial" "$apt/none/partial" "$apt/preferences.d" "$root"
: >"$apt/status"

# Debian's own repositories, as this machine's apt knows them.
# shellcheck disable=SC2016 # apt's variables
apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) $(COMPONENT)' \
    'Identifier: Packages' 'Origin: Debian' | sort -u >"$apt/sources.list"
if [ ! -s "$apt/sources.list" ]; then
    echo "root.sh: apt knows no Debian mirror: apt-get update" >&2
    exit 1
fi

other_apt() {
    apt-get -qq -o APT::Architecture="$arch" -o APT::Architectures="$arch" \
        -o Dir::State="$apt" -o Dir::State::lists="$apt/lists" -o Dir::State::status="$apt/status" \
        -o Dir::Cache="$apt" -o Dir::Cache::archives="$apt/archives" \
        -o Dir::Etc::sourcelist="$apt/sources.list" -o Dir::Etc::sourceparts=/dev/null \
        -o Dir::Etc::preferences=/dev/null -o Dir::Etc::preferencesparts="$apt/preferences.d" \
        -o APT::Install-Recommends=false -o APT::Sandbox::User=root -o Acquire::Retries=3 \
        -o APT::Keep-Downloaded-Packages=true -o Debug::NoLocking=true "$@"
}
other_apt update
# shellcheck disable=SC2086 # words
other_apt -o Dir::Cache::archives="$apt/none" --print-uris -y install $wanted |
    sed -n "s/^'[^']*' \([^ ]*\) .*/\1/p" >"$apt/list"
if [ ! -s "$apt/list" ]; then
    echo "root.sh: apt finds no way to install: $wanted" >&2
    exit 1
fi
# shellcheck disable=SC2086
other_apt -y --download-only install $wanted

# One /usr, as Debian's installer makes it; links that a package brings are kept.
mkdir -p "$root/usr"
for d in bin sbin lib; do
    mkdir -p "$root/usr/$d"
    ln -s "usr/$d" "$root/$d"
done
[ "$arch" != amd64 ] || { mkdir -p "$root/usr/lib64" && ln -s usr/lib64 "$root/lib64"; }
db=$root/var/lib/dpkg
mkdir -p "$db/info" "$db/updates" "$db/triggers" "$apt/control"
echo 1 >"$db/info/format"
: >"$db/available"
: >"$db/status"

# What dpkg would have noted after installing it.
note() { # DEB
    rm -rf "$apt/control"
    dpkg-deb -e "$1" "$apt/control"
    package=$(sed -n 's/^Package: //p' "$apt/control/control")
    name=$package
    ! grep -q '^Multi-Arch: same' "$apt/control/control" || name=$package:$arch
    sed '/^Package: /a Status: install ok installed' "$apt/control/control" >>"$db/status"
    echo >>"$db/status"
    rm "$apt/control/control"
    for file in "$apt/control"/*; do
        [ ! -f "$file" ] || mv "$file" "$db/info/$name.${file##*/}"
    done
    tar -t -f "$apt/data.tar" | sed 's,^\./,/,; s,/$,,; s,^$,/.,' >"$db/info/$name.list"
}
while read -r deb; do
    dpkg-deb --fsys-tarfile "$apt/archives/$deb" >"$apt/data.tar"
    tar -x --keep-directory-symlink --no-same-owner -C "$root" -f "$apt/data.tar"
    note "$apt/archives/$deb"
done <"$apt/list"
rm -rf "$apt/data.tar" "$apt/control"

# What the base packages' scripts would have made.
for file in passwd group; do
    [ ! -f "$root/usr/share/base-passwd/$file.master" ] ||
        cp "$root/usr/share/base-passwd/$file.master" "$root/etc/$file"
done
# Absolute links would lead out of the folder.
find "$root/usr/lib" "$root/etc" -type l -lname '/*' | while read -r link; do
    target=$(readlink "$link")
    [ ! -e "$root$target" ] || ln -sfr "$root$target" "$link"
done
echo "$arch $wanted" >"$apt/done"
