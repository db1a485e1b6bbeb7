# BlueField-2: 8 Cortex-A72, 16 GiB, two ports of ConnectX-6 Dx.
BOARD="BlueField-2"
PCI_DEVICES="0xa2d6 0xa2d2"
UPLINK_PCI=0000:03:00.0
UPLINK_NETDEV=p0
HOST_REPRESENTOR=pf0hpf
PF_NUMBER=0
# Scalable functions that the gateway takes: the Arm system keeps the ports themselves.
CLIENT_SF=10
NODE_SF=11
# Cores 0 and 1 are the Arm system's, the control process's and the handshakes'.
CPUS=8
CORES="2 3 4 5 6 7"
HANDSHAKE_THREADS=2
# 2 MiB pages: 16384 packet buffers of 2.3 KiB a core, drivers' rings, and 1 KiB a session.
HUGE_PAGES=1024
MEMORY_MB=768
SESSIONS_MAX=500000
MEMORY_MIN_MB=15000
