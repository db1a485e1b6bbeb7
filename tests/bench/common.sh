# shellcheck shell=sh disable=SC2154 # run is the script's
# For the benches' scripts, which source it: what they share before they measure. $run is a
# script's folder under /run.

# The secret of gateway and agents, once.
make_secret() {
    [ -s "$run/agent.secret" ] ||
        (umask 077 && head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n' >"$run/agent.secret")
}

until_good() { # LOG COMMAND...: for ten seconds
    log=$1
    shift
    tries=0
    until "$@" >/dev/null 2>&1; do
        tries=$((tries + 1))
        [ $tries -lt 100 ] || { echo "${0##*/}: gave up on: $*" >&2; cat "$run/$log" >&2; return 1; }
        sleep 0.1
    done
}

until_started() { # the gateway whose log is dataplane.log
    until_good dataplane.log grep -q dataplane_started "$run/dataplane.log"
}
