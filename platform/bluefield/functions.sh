#!/bin/sh
# The gateway's two scalable functions, made at each boot (tgw-setup.service):
#   functions.sh bf2|bf3 up|down [--dry-run]
# One is bridged to the uplink, the other to the host's representor; the Arm system's own
# addresses on its ports stay where they are.
# shellcheck disable=SC2034,SC2153,SC2154,SC1091 # common.sh and the profile
set -eu
me=functions.sh
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
[ $# -ge 2 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }
load_profile "$1"
what=$2
[ "${3:-}" != --dry-run ] || dry=yes
mlxdevm=${MLXDEVM:-/opt/mellanox/iproute2/sbin/mlxdevm}

representor() { # SF: as the kernel names it
    echo "en3f${PF_NUMBER}pf${PF_NUMBER}sf$1"
}

# The port index that mlxdevm has given to an SF; empty: there is none.
port_of() { # SF
    "$mlxdevm" port show 2>/dev/null |
        sed -n "s|\$| |; s|^\(pci/$UPLINK_PCI/[0-9]*\):.* pfnum $PF_NUMBER sfnum $1 .*|\1|p" | head -n 1
}

sf_up() { # SF BRIDGE OTHER-PORT
    port=$(port_of "$1")
    if [ -z "$port" ]; then
        run "$mlxdevm" port add "pci/$UPLINK_PCI" flavour pcisf pfnum "$PF_NUMBER" sfnum "$1"
        port=$(port_of "$1")
        [ -n "$port" ] || [ "$dry" = yes ] || die 1 "SF $1 was not made: mlxconfig PF_TOTAL_SF, PER_PF_NUM_SF?"
    fi
    run "$mlxdevm" port function set "${port:-pci/$UPLINK_PCI/SF$1}" trust on state active
    run ovs-vsctl --may-exist add-br "$2"
    run ovs-vsctl --may-exist add-port "$2" "$3"
    run ovs-vsctl --may-exist add-port "$2" "$(representor "$1")"
}

sf_down() { # SF BRIDGE
    run ovs-vsctl --if-exists del-port "$2" "$(representor "$1")"
    port=$(port_of "$1")
    [ -n "$port" ] || return 0
    run "$mlxdevm" port function set "$port" state inactive
    run "$mlxdevm" port del "$port"
}

check_board
case "$what" in
up)
    check_netdev "$UPLINK_NETDEV" uplink
    check_netdev "$HOST_REPRESENTOR" "the host's representor"
    sf_up "$CLIENT_SF" tgw-uplink "$UPLINK_NETDEV"
    sf_up "$NODE_SF" tgw-host "$HOST_REPRESENTOR"
    ;;
down)
    sf_down "$NODE_SF" tgw-host
    sf_down "$CLIENT_SF" tgw-uplink
    ;;
*) die 2 "up or down, not \"$what\"" ;;
esac
