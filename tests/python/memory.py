#!/usr/bin/env python3
"""Measures the resident memory of the release binary, for the table in docs/operations.md. Not a part of CI.

    pip install h2 grpcio grpcio-tools grpcio-reflection grpcio-health-checking grpcio-status
    apt-get install nghttp2-client    # h2load
    python tests/python/memory.py [--binary target/release/rubor] [--rules rules]

It starts a server on loopback for each state, brings it there, and prints what the kernel says. Each step is bounded.
"""

import contextlib
import pathlib
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time

import client
import grpc
import h2.config
import h2.connection
import h2.events
import runner

MEBIBYTE = 1 << 20
LARGE = [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)]


class Measured:
    """A server of its own, its stubs and its memory."""

    def __init__(self, binary, rules, stubs):
        self.folder = tempfile.TemporaryDirectory(prefix="rubor-memory-")
        self.rules = pathlib.Path(self.folder.name) / "rules"
        shutil.copytree(rules, self.rules)
        self.server = client.Server(binary, self.rules, self.folder.name)
        self.address = self.server.address()
        self.channel = grpc.insecure_channel(self.address, options=[("grpc.use_local_subchannel_pool", 1), *LARGE])
        self.triage, self.knowledge = (stub(self.channel) for stub in stubs)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.channel.close()
        self.server.kill()
        self.folder.cleanup()

    def tell(self, state):
        text = pathlib.Path(f"/proc/{self.server.process.pid}/status").read_text()
        kilobytes = {line.split(":")[0]: int(line.split()[1]) for line in text.splitlines() if line.startswith("Vm")}
        print(f"{state}: {kilobytes['VmRSS'] / 1024:.0f} MB, at most {kilobytes['VmHWM'] / 1024:.0f} MB", flush=True)

    def load(self, message, connections, streams, calls):
        """Calls in a closed loop, with as many in flight."""
        body = pathlib.Path(self.folder.name) / "body"
        body.write_bytes(framed(message.SerializeToString()))
        to = f"http://{self.address}/rubor.v1.TriageService/Evaluate"
        counts = ["-c", str(connections), "-m", str(streams), "-n", str(calls), "-d", body]
        headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"]
        done = subprocess.run(
            ["h2load", *counts, *headers, to], capture_output=True, text=True, timeout=120, check=True
        )
        assert f"{calls} succeeded" in done.stdout, done.stdout

    def stall(self, connections, streams, declared, sent, method="Evaluate"):
        """Calls that declare a message of one size, send less, and then nothing; for as long as the block lasts."""
        host, port = self.address.split(":")
        held = contextlib.ExitStack()
        for _ in range(connections):
            held.enter_context(stalled_connection((host, int(port)), streams, declared, sent, method))
        return held


def framed(message):
    return struct.pack(">BI", 0, len(message)) + message


def stalled_connection(address, streams, declared, sent, method):
    connection = socket.create_connection(address)
    http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
    http.initiate_connection()
    path = f"/rubor.v1.TriageService/{method}"
    head = {":method": "POST", ":scheme": "http", ":authority": "memory", ":path": path}
    left = {}
    for _ in range(streams):
        stream = http.get_next_available_stream_id()
        http.send_headers(stream, [*head.items(), ("content-type", "application/grpc"), ("te", "trailers")])
        http.send_data(stream, struct.pack(">BI", 0, declared))
        left[stream] = sent
    connection.settimeout(0.3)
    quiet = 0
    while any(left.values()) and quiet < 3:
        for stream in left:
            while left[stream] and (room := min(http.local_flow_control_window(stream), http.max_outbound_frame_size)):
                piece = min(room, left[stream])
                http.send_data(stream, bytes(piece))
                left[stream] -= piece
        connection.sendall(http.data_to_send())
        try:
            for event in http.receive_data(connection.recv(1 << 16)):
                if isinstance(event, (h2.events.StreamReset, h2.events.StreamEnded)):
                    left[event.stream_id] = 0
            quiet = 0
        except TimeoutError:
            quiet += 1
        connection.sendall(http.data_to_send())
    return connection


def largest_request(server):
    kinds = client.knowledge
    pack = server.knowledge.GetPack(kinds.GetPackRequest(), timeout=client.CALL_SECONDS).pack
    yes_no = [one.id for one in pack.findings if one.kind == kinds.FINDING_KIND_YES_NO]
    every = [client.yes(finding, f"group {group}") for group in range(16) for finding in yes_no]
    return client.request(*every[:512])


def measure(start):
    with start() as server:
        server.tell("started")
        server.load(client.emergency_request(), 16, 64, 20_000)
        server.tell("1,024 usual calls in flight")
    with start() as server:
        server.load(largest_request(server), 16, 64, 1_500)
        server.tell("1,024 of the largest calls in flight")
    with start() as server:
        for number in range(1, 41):
            reload(server, number)
        server.tell("after 40 reloads")
    files = None
    with start() as server:
        files = client.pack_files(server.rules)
        validate(server, files)
        server.tell("ValidateRules of the pack")
    with start() as server:
        validate(server, files + padding())
        server.tell("ValidateRules with a message near its limit")
    with start() as server, server.stall(16, 64, MEBIBYTE, MEBIBYTE - 8_000):
        server.tell("1,024 calls that send 1 MB and then nothing")
    with start() as server, server.stall(
        4, 32, 4 * MEBIBYTE - 100, 4 * MEBIBYTE - 8_000, "EvaluateStream"
    ):
        server.tell("128 streams that send 4 MB and then nothing")


def reload(server, number):
    kinds = client.knowledge
    for path in server.rules.rglob("pack.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        version = f'  version: "99.0.{number}"\n'
        path.write_text("".join(version if line.startswith("  version:") else line for line in lines), encoding="utf-8")
    until = time.monotonic() + 60
    while time.monotonic() < until:
        server.knowledge.ReloadRules(kinds.ReloadRulesRequest(), timeout=60)
        status = server.knowledge.GetStatus(kinds.GetStatusRequest(), timeout=client.CALL_SECONDS)
        if all(pack.rule_set.version == f"99.0.{number}" for pack in status.packs):
            return
        time.sleep(0.1)
    raise AssertionError("the rules were not reloaded")


def validate(server, files):
    asked = client.knowledge.ValidateRulesRequest(files=files)
    answer = server.knowledge.ValidateRules(asked, timeout=120)
    print(f"  {asked.ByteSize() / 1e6:.1f} MB, {answer.WhichOneof('result')}")


def padding():
    """Findings that nobody uses, as many as fit into one message."""
    line = '  - {{ id: f{0}_{1}, name: n{1}, about: spots, kind: yes_no, ask: "Is it {1}?" }}\n'
    texts = ["findings:\n" + "".join(line.format(file, item) for item in range(11_000)) for file in range(16)]
    return [client.knowledge.RuleFile(path=f"padding_{at}.yaml", content=text) for at, text in enumerate(texts)]


def main():
    arguments = runner.arguments(runner.parser("Measures the memory of rubor."))
    with tempfile.TemporaryDirectory(prefix="rubor-stubs-") as folder:
        stubs = client.generate_stubs(folder)
        measure(lambda: Measured(arguments.binary, arguments.rules, stubs))


if __name__ == "__main__":
    sys.exit(main())
