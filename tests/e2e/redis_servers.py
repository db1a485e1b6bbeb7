"""Real Redis servers of a test's own, on loopback."""
import os
import signal
import socket
import subprocess
import time

from gateways import start, stop, wait_for


class Redis:
    """redis-server (or a sentinel) on one port."""

    def __init__(self, folder, port, *options, sentinel=False, tls=None):
        self.port, self.tls, self.password = port, tls, None
        self.folder = os.path.join(folder, f"redis{port}")
        os.makedirs(self.folder, exist_ok=True)
        self.command = ["redis-server"]
        if sentinel:
            self.config = f"{self.folder}/sentinel.conf"
            with open(self.config, "w") as f:
                f.write(f"port {port}\nbind 127.0.0.1\ndir {self.folder}\n" + "\n".join(options) + "\n")
            self.command += [self.config, "--sentinel"]
        else:
            self.command += ["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir",
                             self.folder, "--port", str(0 if tls else port), *options]
        if tls:
            self.command += ["--tls-port", str(port), "--tls-cert-file", f"{tls}/gateway.pem",
                             "--tls-key-file", f"{tls}/gateway.key", "--tls-ca-cert-file",
                             f"{tls}/ca.pem", "--tls-auth-clients", "no"]
        self.start()

    def start(self):
        self.process = start(f"{self.folder}/redis.log", *self.command)
        wait_for(f"redis on {self.port}", self.answers)

    def answers(self):
        with socket.create_connection(("127.0.0.1", self.port), 1):
            return True

    def cli(self, *words, check=True):
        extra = ["--tls", "--cacert", f"{self.tls}/ca.pem"] if self.tls else []
        if self.password:
            extra += ["-a", self.password, "--no-auth-warning"]
        done = subprocess.run(["redis-cli", "-p", str(self.port), *extra, *words],
                              capture_output=True, text=True, check=False, timeout=20)
        assert not check or done.returncode == 0, done
        return done.stdout.strip()

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def freeze(self):
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        self.process.send_signal(signal.SIGCONT)

    def stop(self):
        if self.process.poll() is None:
            self.thaw()
        stop(self.process, (signal.SIGTERM, signal.SIGKILL))


def cluster(folder, ports):
    """Masters without replicas, the slots shared out."""
    nodes = [Redis(folder, p, "--cluster-enabled", "yes", "--cluster-node-timeout", "2000",
                   "--cluster-require-full-coverage", "no") for p in ports]
    for i, node in enumerate(nodes):
        first, last = 16384 * i // len(nodes), 16384 * (i + 1) // len(nodes) - 1
        node.cli("cluster", "addslotsrange", str(first), str(last))
        node.cli("cluster", "set-config-epoch", str(i + 1))
        node.cli("cluster", "meet", "127.0.0.1", str(ports[0]))
    for node in nodes:
        wait_for("the cluster", lambda n=node: "cluster_state:ok" in n.cli("cluster", "info") and
                 f"cluster_known_nodes:{len(nodes)}" in n.cli("cluster", "info"))
        wait_for("its slots", lambda n=node: "cluster_slots_assigned:16384" in n.cli("cluster", "info"))
    time.sleep(0.2)
    return nodes
