"""Replicas of rubor and an Envoy before them, on this machine's loopback, with TLS, client certificates and tokens.

Owns starting and stopping them and what they are started with. `envoy.py` is the test that uses it.
"""

import contextlib
import http.client
import json
import pathlib
import signal
import socket
import subprocess
import sysconfig

import grpc
import runner
import yaml
from grpc_tools import protoc

ROOT = runner.ROOT
# The pause is longer than the interval of Envoy's health checks, as deploy/envoy/README.md asks for. A busy stream
# does not end by itself, so it is cut off at the timeout.
DRAIN_PAUSE, DRAIN_TIMEOUT = "1500ms", "2s"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# --- Replicas and Envoy ---------------------------------------------------------------------------------------------


class Keys:
    """An authority, a certificate for the replicas and Envoy, one for Envoy as a client, and a token for callers."""

    def __init__(self, folder, binary):
        self.folder = folder
        folder.mkdir()
        self.make("ca", "/CN=authority of this test", "basicConstraints=critical,CA:TRUE")
        self.make("tls", "/CN=rubor", "subjectAltName=DNS:rubor,IP:127.0.0.1", by="ca")
        self.make("client", "/CN=envoy", "extendedKeyUsage=clientAuth", by="ca")
        self.tokens = folder / "tokens"
        command = [binary, "token", "--name", "test", "--scopes", "evaluate", "--tokens", self.tokens]
        self.token = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def make(self, name, subject, *extensions, by=None):
        files = ["-keyout", self.folder / f"{name}.key", "-out", self.folder / f"{name}.crt"]
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", *files]
        command += ["-days", "1", "-subj", subject]
        if by:
            command += ["-CA", self.folder / f"{by}.crt", "-CAkey", self.folder / f"{by}.key"]
            extensions += ("basicConstraints=critical,CA:FALSE",)
        for extension in extensions:
            command += ["-addext", extension]
        subprocess.run(command, check=True, capture_output=True)

    def of_a_replica(self):
        """What a replica is told of them."""
        named = {"--tls-cert": "tls.crt", "--tls-key": "tls.key", "--client-ca": "ca.crt", "--tokens": "tokens"}
        return [part for flag, name in named.items() for part in (flag, str(self.folder / name))]

    def channel(self, port):
        """A channel of a caller, with its token on every call and a connection of its own."""
        roots = grpc.ssl_channel_credentials((self.folder / "ca.crt").read_bytes())
        both = grpc.composite_channel_credentials(roots, grpc.access_token_call_credentials(self.token))
        return grpc.secure_channel(f"127.0.0.1:{port}", both, options=[("grpc.use_local_subchannel_pool", 1)])


class Replica:
    """`rubor serve` on an address that stays the same over restarts, with a rules folder of its own."""

    def __init__(self, binary, folder, rules, keys):
        self.port, self.admin = free_port(), free_port()
        self.log = folder / "server.log"
        self.rules = folder / "rules"
        self.command = [str(binary), "serve", "--rules", str(self.rules)]
        self.command += ["--drain-pause", DRAIN_PAUSE, "--drain-timeout", DRAIN_TIMEOUT]
        self.command += keys.of_a_replica()
        self.command += ["--listen", f"127.0.0.1:{self.port}", "--admin", f"127.0.0.1:{self.admin}"]
        folder.mkdir()
        self.roll_out(rules)
        self.start()

    def roll_out(self, rules):
        """Puts another folder in the place of the old one in a single step, as Kubernetes does with a ConfigMap."""
        fresh = self.rules.with_name("rules.new")
        fresh.symlink_to(rules)
        fresh.replace(self.rules)

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, env=runner.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=runner.WAIT_SECONDS)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def digest(self):
        return json.loads(get(self.admin, "/status"))["digest"]


class Envoy:
    """Envoy with the configuration that is shipped, on ports of this machine's loopback."""

    def __init__(self, folder, replicas, keys):
        self.port, self.admin, self.keys = free_port(), free_port(), keys
        self.log = folder / "envoy.log"
        written = folder / "envoy.yaml"
        write_descriptors(keys.folder / "rubor.binpb")
        shipped = (ROOT / "deploy" / "envoy" / "envoy.yaml").read_text(encoding="utf-8")
        config = yaml.safe_load(shipped.replace("/etc/envoy/", f"{keys.folder}/"))
        written.write_text(yaml.safe_dump(self.at_home(config, replicas)), encoding="utf-8")
        program = pathlib.Path(sysconfig.get_path("scripts")) / "envoy"
        command = [program, "-c", written, "--disable-hot-restart", "--concurrency", "2", "--log-level", "warning"]
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def at_home(self, config, replicas):
        """The shipped configuration with other addresses, and nothing else changed."""
        here = lambda port: {"socket_address": {"address": "127.0.0.1", "port_value": port}}  # noqa: E731
        config["admin"]["address"] = here(self.admin)
        (listener,), (cluster,) = config["static_resources"]["listeners"], config["static_resources"]["clusters"]
        listener["address"] = here(self.port)
        endpoints = [{"endpoint": {"address": here(replica.port)}} for replica in replicas]
        cluster["load_assignment"]["endpoints"] = [{"lb_endpoints": endpoints}]
        return config

    def channel(self):
        return self.keys.channel(self.port)

    def hosts(self):
        """What Envoy knows of each replica, by port."""
        (cluster,) = json.loads(get(self.admin, "/clusters?format=json"))["cluster_statuses"]
        return {one["address"]["socket_address"]["port_value"]: one for one in cluster.get("host_statuses", [])}

    def healthy(self, replica):
        host = self.hosts().get(replica.port, {})
        return host.get("health_status") == {"eds_health_status": "HEALTHY"}

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(timeout=runner.WAIT_SECONDS)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


def write_descriptors(path):
    """The descriptor set, by the command of deploy/envoy/README.md."""
    packages = pathlib.Path(sysconfig.get_path("purelib"))
    files = ["rubor/v1/triage.proto", "rubor/v1/knowledge.proto", "google/rpc/error_details.proto"]
    look_in = [f"-I{folder}" for folder in (ROOT / "proto", packages, packages / "grpc_tools" / "_proto")]
    arguments = ["protoc", *look_in, "--include_imports", f"--descriptor_set_out={path}", *files]
    assert protoc.main(arguments) == 0, "protoc refused the .proto files"


def get(port, path):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200, f"{path}: {answer.status}"
        return body
