#!/bin/sh
# build.sh DIR COMPILER [MESON OPTIONS...] [-- TARGET...]: configure once, then build.
set -eu
dir=$1
compiler=$2
shift 2
options=""
while [ $# -gt 0 ] && [ "$1" != -- ]; do
    options="$options $1"
    shift
done
[ $# = 0 ] || shift
# shellcheck disable=SC2086 # options are words
[ -f "$dir/build.ninja" ] || CC=$compiler meson setup "$dir" $options
ninja -C "$dir" "$@"
