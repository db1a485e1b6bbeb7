# BlueField-3: 16 Cortex-A78, 32 GiB, two ports of ConnectX-7.
BOARD="BlueField-3"
PCI_DEVICES="0xa2dc 0xa2da"
UPLINK_PCI=0000:03:00.0
UPLINK_NETDEV=p0
HOST_REPRESENTOR=pf0hpf
PF_NUMBER=0
CLIENT_SF=10
NODE_SF=11
# Cores 0 to 3 are the Arm system's, the control process's and the handshakes'.
CPUS=16
CORES="4 5 6 7 8 9 10 11 12 13 14 15"
HANDSHAKE_THREADS=4
# As for BlueField-2, with twice the cores and sessions.
HUGE_PAGES=2048
MEMORY_MB=1536
SESSIONS_MAX=1000000
MEMORY_MIN_MB=30000
