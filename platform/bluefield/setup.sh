#!/bin/sh
# First-time setup of the gateway on a BlueField, and its undoing. The package
# terminal-gateway is installed before.
#   setup.sh bf2|bf3 [--dry-run]
#   setup.sh undo [--dry-run]
# Reserves huge pages and cores, makes the scalable functions now and at each boot, writes a
# configuration for them where there is none yet, enables the services. A reboot gives the
# cores; nothing else waits for it. `undo` takes back what setup did, in reverse.
# shellcheck disable=SC2034,SC2153,SC2154,SC1091 # common.sh and the profile
set -eu
me=setup.sh
here=$(cd "$(dirname "$0")" && pwd)
. "$here/common.sh"
state=/var/lib/tgw-setup
sysctl_file=/etc/sysctl.d/60-tgw.conf
grub_file=/etc/default/grub.d/60-tgw.cfg
unit_file=/etc/systemd/system/tgw-setup.service
drop_in=/etc/systemd/system/tgw-dataplane.service.d/bluefield.conf
config=/etc/tgw/config.json

usage() {
    sed -n '2,8s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

check_machine() {
    [ "${TGW_ROOT:-}" ] || [ "$(id -u)" = 0 ] || [ "$dry" = yes ] || die 2 "must be root"
    check_board
    check_netdev "$UPLINK_NETDEV" uplink
    check_netdev "$HOST_REPRESENTOR" "the host's representor"
    cpus=$(grep -c '^processor' "$root/proc/cpuinfo")
    [ "$cpus" -ge "$CPUS" ] || die 2 "$cpus cores here, $CPUS on a $BOARD"
    memory_mb=$(($(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' "$root/proc/meminfo") / 1024))
    [ "$memory_mb" -ge "$MEMORY_MIN_MB" ] ||
        die 2 "$memory_mb MB of memory here, at least $MEMORY_MIN_MB on a $BOARD"
    [ -e "$root/usr/sbin/tgw-dataplane" ] ||
        die 2 "the package terminal-gateway is not installed: dpkg -i terminal-gateway_VERSION_arm64.deb"
    [ -e "$root/etc/default/grub.d" ] || die 2 "no /etc/default/grub.d: is this the BlueField's own system?"
}

# The operator's own way in must not be what goes under a bridge.
check_login() {
    [ -n "${SSH_CONNECTION:-}" ] || return 0
    here_ip=$(echo "$SSH_CONNECTION" | cut -d' ' -f3)
    if ip -o addr show dev "$UPLINK_NETDEV" | grep -Fq " $here_ip/"; then
        die 2 "you are logged in by $UPLINK_NETDEV, which goes under a bridge: come by oob_net0 or tmfifo_net0"
    fi
}

comma() {
    echo "$*" | tr ' ' ','
}

reserve() {
    before=$(cat "$root/proc/sys/vm/nr_hugepages")
    [ -e "$root$state/nr_hugepages" ] || echo "$before" | write $state/nr_hugepages
    echo "vm.nr_hugepages = $HUGE_PAGES" | write $sysctl_file
    run sysctl -q -w "vm.nr_hugepages=$HUGE_PAGES"
    cores=$(comma "$CORES")
    write $grub_file <<GRUB
GRUB_CMDLINE_LINUX="\$GRUB_CMDLINE_LINUX isolcpus=managed_irq,domain,$cores nohz_full=$cores rcu_nocbs=$cores"
GRUB
    run update-grub
}

service() {
    write $unit_file <<UNIT
[Unit]
Description=Terminal gateway, network functions of the $BOARD
After=openvswitch-switch.service mlnx_interface_mgr.service
Wants=openvswitch-switch.service
Before=tgw-dataplane.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=$here/functions.sh $profile up
TimeoutStartSec=60

[Install]
WantedBy=multi-user.target
UNIT
    write $drop_in <<UNIT
[Unit]
Requires=tgw-setup.service
After=tgw-setup.service
UNIT
    run systemctl daemon-reload
    run "$here/functions.sh" "$profile" up
}

# The auxiliary device of an SF: what DPDK takes it by.
auxiliary() { # SF
    for file in "$root"/sys/bus/auxiliary/devices/mlx5_core.sf.*/sfnum; do
        if [ -e "$file" ] && [ "$(cat "$file")" = "$1" ]; then
            basename "$(dirname "$file")"
            return
        fi
    done
    [ "$dry" = yes ] || die 1 "SF $1 has no auxiliary device: is mlx5_core's driver loaded?"
    echo "mlx5_core.sf.N"
}

configure() {
    if ! grep -q '"ports": *\[\]' "$root$config" 2>/dev/null; then
        echo "$me: $config describes ports already: left as it is"
        return
    fi
    client=$(auxiliary "$CLIENT_SF")
    node=$(auxiliary "$NODE_SF")
    # shellcheck disable=SC2086 # words
    cores=$(printf '"%s", ' $CORES)
    [ -e "$root$state/config.json" ] || write $state/config.json <"$root$config"
    sed "s|\"ports\": *\[\]|\"ports\": [\\
    {\"name\": \"client\", \"driver\": \"mlx5\", \"device\": \"$client\", \"listen\": true,\\
     \"addresses\": [\"198.18.0.2/24\"], \"gateway4\": \"198.18.0.1\"},\\
    {\"name\": \"node\", \"driver\": \"mlx5\", \"device\": \"$node\",\\
     \"addresses\": [\"198.18.1.2/24\"]}]|
        s|\"cores\": *\[\]|\"cores\": [${cores%, }]|
        s|\"memory_mb\": *[0-9]*|\"memory_mb\": $MEMORY_MB,\\
  \"sessions_max\": $SESSIONS_MAX,\\
  \"tls_handshake_threads\": $HANDSHAKE_THREADS,\\
  \"idle_mode\": \"spin\"|" "$root$config" | write $config
    run chgrp tgw "$root$config"
    run chmod 640 "$root$config"
}

undo() {
    profile=$(cat "$root$state/profile" 2>/dev/null) || die 1 "nothing to undo: no setup was made here"
    load_profile "$profile"
    run systemctl disable --now tgw-dataplane tgw-control tgw-setup
    run "$here/functions.sh" "$profile" down
    forget $drop_in
    forget $unit_file
    run systemctl daemon-reload
    forget $grub_file
    run update-grub
    forget $sysctl_file
    run sysctl -q -w "vm.nr_hugepages=$(cat "$root$state/nr_hugepages")"
    if [ -e "$root$state/config.json" ]; then
        run cp "$root$config" "$root$config.bluefield"
        write $config <"$root$state/config.json"
        run chgrp tgw "$root$config"
        run chmod 640 "$root$config"
    fi
    run rm -rf "$root$state"
    echo "$me: undone; the cores are the system's again after a reboot"
}

[ $# -ge 1 ] || usage
profile=$1
case "${2:-}" in
"") ;;
--dry-run) dry=yes ;;
*) usage ;;
esac
if [ "$profile" = undo ]; then
    undo
    exit 0
fi
load_profile "$profile"
check_machine
check_login
echo "$profile" | write $state/profile
reserve
service
configure
run systemctl enable tgw-setup tgw-dataplane tgw-control
echo "$me: done. Give the ports their addresses in $config, reboot for the isolated cores,"
echo "$me: then: tgwctl config check --file $config && systemctl start tgw-dataplane tgw-control"
