# The lab's network, sourced by run.sh.
#
#   this machine        tgw-client            tgw-dataplane            tgw-node
#   198.18.2.1 ──veth── 198.18.2.2
#                       198.18.0.1 ──veth── 198.18.0.2  198.18.1.2 ──veth── 198.18.1.1
#
# The first wire is for the browser: it takes the gateway's network through tgw-client.

# veth leaves checksums half done and sends super-segments unless told otherwise.
net_plain() { # COMMAND-PREFIX... DEVICE
    "$@" tx off tso off gso off gro off >/dev/null 2>&1 || true
}

net_side() { # NAME LETTER NUMBER
    ip netns add "tgw-$1"
    ip link add "tgw-${2}0" type veth peer name eth0 netns "tgw-$1"
    # The kernel keeps its hands off the gateway's ends: no addresses, no ARP, no IPv6.
    echo 1 >"/proc/sys/net/ipv6/conf/tgw-${2}0/disable_ipv6" 2>/dev/null || true
    ip link set "tgw-${2}0" up arp off
    ip netns exec "tgw-$1" ip addr add "198.18.$3.1/24" dev eth0
    ip netns exec "tgw-$1" ip -6 addr add "fd18:0:0:$3::1/64" dev eth0 nodad 2>/dev/null || true
    ip netns exec "tgw-$1" ip link set lo up
    ip netns exec "tgw-$1" ip link set eth0 up
    net_plain ethtool -K "tgw-${2}0"
    net_plain ip netns exec "tgw-$1" ethtool -K eth0
}

net_host() {
    ip link add tgw-h0 type veth peer name host0 netns tgw-client
    ip addr add 198.18.2.1/30 dev tgw-h0
    ip link set tgw-h0 up
    ip netns exec tgw-client ip addr add 198.18.2.2/30 dev host0
    ip netns exec tgw-client ip link set host0 up
    ip netns exec tgw-client sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
    net_plain ethtool -K tgw-h0
    net_plain ip netns exec tgw-client ethtool -K host0
    ip route add 198.18.0.0/24 via 198.18.2.2
}

net_up() {
    net_side client c 0
    net_side node n 1
    net_host || echo "lab: no way from this machine to the gateway: no page in the browser"
}

# The routes go with their devices.
net_down() {
    for device in tgw-h0 tgw-c0 tgw-n0; do
        ip link del $device 2>/dev/null || true
    done
    ip netns del tgw-client 2>/dev/null || true
    ip netns del tgw-node 2>/dev/null || true
}
