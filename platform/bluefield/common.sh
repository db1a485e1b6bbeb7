# shellcheck shell=sh disable=SC2154 # me and here are the script's
# Sourced by the scripts here. TGW_ROOT stands before every path (tests use a made-up one).
root=${TGW_ROOT:-}
dry=no

die() { # STATUS LINE
    status=$1
    shift
    echo "$me: $*" >&2
    exit "$status"
}

# Do it, or say it.
run() {
    if [ "$dry" = yes ]; then
        echo "would run: $*"
    else
        "$@"
    fi
}

# The text on standard input becomes the file, whole or not at all.
write() { # PATH
    if [ "$dry" = yes ]; then
        echo "would write $1:"
        sed 's/^/    /'
        return
    fi
    mkdir -p "$root$(dirname "$1")"
    cat >"$root$1.new"
    mv "$root$1.new" "$root$1"
}

forget() { # PATH
    [ -e "$root$1" ] || return 0
    run rm -f "$root$1"
}

load_profile() { # NAME
    case "$1" in bf2 | bf3) ;; *) die 2 "no profile \"$1\": bf2 or bf3" ;; esac
    # shellcheck disable=SC1090 # one of two
    . "$here/$1.profile"
}

# The board that this is, by the uplink's PCI identity.
check_board() {
    device=$root/sys/bus/pci/devices/$UPLINK_PCI
    [ -e "$device/device" ] ||
        die 2 "no PCI function $UPLINK_PCI here: this is no BlueField, or it runs in NIC mode (mlxconfig -d $UPLINK_PCI s INTERNAL_CPU_OFFLOAD_ENGINE=0, then a power cycle)"
    [ "$(cat "$device/vendor")" = 0x15b3 ] || die 2 "$UPLINK_PCI is not a BlueField's"
    id=$(cat "$device/device")
    case " $PCI_DEVICES " in
    *" $id "*) ;;
    *) die 2 "$UPLINK_PCI is a device $id, no $BOARD: take the other profile" ;;
    esac
}

check_netdev() { # NAME WHAT
    [ -e "$root/sys/class/net/$1" ] ||
        die 2 "no network device $1 ($2): the board is not in DPU mode, or its kernel driver is not loaded"
}
