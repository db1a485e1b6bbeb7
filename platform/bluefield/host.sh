#!/bin/sh
# The host's side of a BlueField: a way to the gateway over tmfifo_net0, and the node agent.
#   host.sh setup --secret FILE [--dry-run]    FILE: the gateway's /etc/tgw/agent.secret
#   host.sh undo [--dry-run]
# The package terminal-gateway-agent is installed before. The DPU is 192.168.100.2 then:
#   tgwctl --connect 192.168.100.2:9465 status
# shellcheck disable=SC2034,SC2153,SC2154,SC1091 # common.sh and the profile
set -eu
me=host.sh
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
netdev=tmfifo_net0
network_file=/etc/systemd/network/60-tgw-tmfifo.network
secret_file=/etc/tgw-agent/agent.secret

usage() {
    sed -n '2,6s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

setup() {
    check_netdev $netdev "the rshim driver's way to the DPU: package rshim"
    [ -e "$root/usr/sbin/tgw-agent" ] ||
        die 2 "the package terminal-gateway-agent is not installed"
    [ -r "$secret" ] || die 2 "--secret $secret: cannot be read"
    [ "$(wc -c <"$secret")" -ge 16 ] || die 2 "--secret $secret: at least 16 bytes are needed"
    write $network_file <<NETWORK
[Match]
Name=$netdev

[Network]
Address=192.168.100.1/30
LinkLocalAddressing=no
NETWORK
    run networkctl reload
    run install -o root -g tgw-agent -m 640 "$secret" "$root$secret_file"
    run systemctl enable --now tgw-agent
}

undo() {
    run systemctl disable --now tgw-agent
    forget $secret_file
    forget $network_file
    run networkctl reload
}

what=${1:-}
secret=""
[ $# = 0 ] || shift
while [ $# -gt 0 ]; do
    case "$1" in
    --dry-run) dry=yes ;;
    --secret)
        [ $# -ge 2 ] || usage
        secret=$2
        shift
        ;;
    *) usage ;;
    esac
    shift
done
case "$what" in
setup)
    [ -n "$secret" ] || usage
    setup
    ;;
undo) undo ;;
*) usage ;;
esac
