#!/bin/sh
# build.sh DIR COMPILER [MESON OPTIONS...]: configure once, then build.
set -eu
dir=$1
compiler=$2
shift 2
[ -f "$dir/build.ninja" ] || CC=$compiler meson setup "$dir" "$@"
ninja -C "$dir"
