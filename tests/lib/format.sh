#!/bin/sh
# Every C file is as clang-format leaves it.
set -eu
git ls-files '*.c' '*.h' | xargs -r clang-format --dry-run -Werror
