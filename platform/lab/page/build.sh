#!/bin/sh
# build.sh DIR [--with-tests]: the page's files into DIR/page, npm's packages into DIR/npm.
# There is no bundler: the packages' ES modules are served as they are.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
packages=$1/npm
omit=--omit=dev
stamp=$packages/installed
if [ "${2:-}" = --with-tests ]; then
    omit=
    stamp=$packages/installed-with-tests
fi
mkdir -p "$packages" "$1/page"
if ! cmp -s "$here/package-lock.json" "$stamp"; then
    rm -f "$packages"/installed*
    cp "$here/package.json" "$here/package-lock.json" "$packages"
    (cd "$packages" && npm ci $omit --ignore-scripts --no-audit --no-fund --loglevel=error)
    cp "$here/package-lock.json" "$packages/installed"
    [ "$omit" ] || cp "$here/package-lock.json" "$stamp"
fi
xterm=$packages/node_modules/@xterm
cp "$here"/*.html "$here"/*.css "$here"/*.js "$here"/*.svg "$xterm/xterm/css/xterm.css" "$1/page"
for module in xterm addon-attach addon-fit; do
    sed '/^\/\/# sourceMappingURL=/d' "$xterm/$module/lib/$module.mjs" >"$1/page/$module.mjs"
done
