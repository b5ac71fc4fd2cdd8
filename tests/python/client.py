#!/usr/bin/env python3
"""A real gRPC client against the running binary: what an integrator would write, with plain asserts.

    pip install grpcio grpcio-tools grpcio-reflection grpcio-health-checking grpcio-status
    python tests/python/client.py [--binary target/release/rubor] [--rules rules]

It generates the stubs from `proto/` into a temporary folder, starts `rubor serve` on a free port, asks, and stops it
with SIGTERM. Every check runs, whatever the others find. The exit code is 0 when all of them passed.
"""

import contextlib
import importlib
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid

import grpc
import grpc_tools
import runner
from google.protobuf.descriptor_pool import DescriptorPool
from google.rpc import code_pb2, error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from grpc_status import rpc_status
from grpc_tools import protoc

ROOT = runner.ROOT
START_SECONDS = 30
STOP_SECONDS = 30
CALL_SECONDS = 20

# Values that no message and no log entry may ever repeat.
CANARY_WORD = "zzcanaryzz"
CANARY_AGE = 987.25
CANARY_DEGREES = 4711.5
CANARIES = (CANARY_WORD, "987.25", "4711")

triage = None  # rubor.v1.triage_pb2, once the stubs are generated
knowledge = None  # rubor.v1.knowledge_pb2


# --- The stubs and the server ---------------------------------------------------------------------------------------


def generate_stubs(folder):
    """Generates the Python stubs, as an integrator would, and makes them importable."""
    global triage, knowledge
    proto = ROOT / "proto"
    own = pathlib.Path(grpc_tools.__file__).parent / "_proto"
    files = sorted(str(path.relative_to(proto)) for path in proto.rglob("*.proto"))
    assert files, f"no .proto file under {proto}"
    arguments = ["protoc", f"-I{proto}", f"-I{own}", f"--python_out={folder}", f"--grpc_python_out={folder}", *files]
    assert protoc.main(arguments) == 0, "protoc refused the .proto files"
    sys.path.insert(0, folder)
    triage = importlib.import_module("rubor.v1.triage_pb2")
    knowledge = importlib.import_module("rubor.v1.knowledge_pb2")
    return (
        importlib.import_module("rubor.v1.triage_pb2_grpc").TriageServiceStub,
        importlib.import_module("rubor.v1.knowledge_pb2_grpc").KnowledgeServiceStub,
    )


class Server:
    """`rubor serve` as a child process. It says in its log which port it was given."""

    def __init__(self, binary, rules, folder):
        self.rules = rules
        self.log_path = pathlib.Path(folder) / "server.log"
        command = [str(binary), "serve", "--rules", str(rules), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [*command, "--log-format", "json"], env=runner.environment(), stdin=subprocess.DEVNULL, stdout=log, stderr=log
            )

    def log(self):
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    def address(self):
        """Waits until it serves, and says where."""
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            for line in self.log().splitlines():
                with contextlib.suppress(ValueError):
                    entry = json.loads(line)
                    if isinstance(entry, dict) and entry.get("message") == "serving":
                        return entry["listen"]
            if self.process.poll() is not None:
                break
            time.sleep(0.05)
        raise SystemExit(f"the server did not start (exit code {self.process.poll()}); its log:\n{self.log()}")

    def stop(self):
        """Asks it to stop; gives the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=STOP_SECONDS)

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


# --- Requests -------------------------------------------------------------------------------------------------------


def yes(finding, group=""):
    return triage.Observation(finding=finding, present=True, group=group)


def no(finding, group=""):
    return triage.Observation(finding=finding, present=False, group=group)


def number(finding, value, unit="", group=""):
    return triage.Observation(finding=finding, quantity=triage.Quantity(value=value, unit=unit), group=group)


def not_known(finding, group=""):
    return triage.Observation(finding=finding, not_known=True, group=group)


def request(*observations, age=None, **fields):
    patient = None if age is None else triage.Patient(age_years=age)
    return triage.EvaluateRequest(patient=patient, observations=observations, **fields)


def emergency_request(**fields):
    return request(yes("petechiae"), yes("non_blanching"), yes("fever"), age=24, **fields)


class World:
    """What every check gets: the stubs and a few short ways to use them."""

    def __init__(self, channel, triage_stub, knowledge_stub, server):
        self.channel = channel
        self.triage = triage_stub(channel)
        self.knowledge = knowledge_stub(channel)
        self.server = server
        # Undecoded, because "the same bytes" is about what is on the wire.
        self.raw_evaluate = channel.unary_unary(
            "/rubor.v1.TriageService/Evaluate",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=None,
        )
        self.pack = self.knowledge.GetPack(knowledge.GetPackRequest(), timeout=CALL_SECONDS).pack

    def evaluate(self, message):
        return self.triage.Evaluate(message, timeout=CALL_SECONDS)

    def refusal(self, message):
        """The code, the rich status and every text of an answer that must be an error."""
        try:
            self.evaluate(message)
        except grpc.RpcError as error:
            return error.code(), rpc_status.from_call(error), error.details()
        raise AssertionError("it was answered, and should have been refused")

    def none_of(self, *boxes, group=""):
        prints = {box.id: box.fingerprint for box in self.pack.boxes}
        return [triage.NoneOfThese(name=box, fingerprint=prints[box], group=group) for box in boxes]


def detail(status, kind):
    """The one detail of a kind in a rich status."""
    assert status is not None, "the error has no rich status"
    found = [item for item in status.details if item.Is(kind.DESCRIPTOR)]
    assert len(found) == 1, f"{len(found)} details of {kind.DESCRIPTOR.full_name}"
    message = kind()
    found[0].Unpack(message)
    return message


def urgency_name(answer):
    return triage.Urgency.Name(answer.urgency)


def equal(actual, wanted, what):
    assert actual == wanted, f"{what}: {actual!r}, and should be {wanted!r}"


def no_canary(text, where):
    for canary in CANARIES:
        assert canary not in text, f"{where} repeats {canary!r}"


# --- The checks -----------------------------------------------------------------------------------------------------

CHECKS = runner.Checks()
check = CHECKS.check


SERVICES = {
    "rubor.v1.TriageService",
    "rubor.v1.KnowledgeService",
    "grpc.health.v1.Health",
}


@check("reflection v1alpha lists the services and describes them")
def reflection_v1alpha(world):
    database = ProtoReflectionDescriptorDatabase(world.channel)
    listed = set(database.get_services())
    assert listed >= SERVICES, f"listed: {sorted(listed)}"
    service = DescriptorPool(database).FindServiceByName("rubor.v1.TriageService")
    equal({method.name for method in service.methods}, {"Evaluate", "EvaluateStream"}, "methods")


@check("reflection v1 lists the same services")
def reflection_v1(world):
    # The two versions differ in the name of the service alone.
    call = world.channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    asked = reflection_pb2.ServerReflectionRequest(list_services="")
    answer = next(call(iter([asked]), timeout=CALL_SECONDS))
    listed = {service.name for service in answer.list_services_response.service}
    assert listed >= SERVICES, f"listed: {sorted(listed)}"


@check("health says SERVING for the server and for each service")
def health(world):
    stub = health_pb2_grpc.HealthStub(world.channel)
    for name in ("", "rubor.v1.TriageService", "rubor.v1.KnowledgeService"):
        answer = stub.Check(health_pb2.HealthCheckRequest(service=name), timeout=CALL_SECONDS)
        equal(answer.status, health_pb2.HealthCheckResponse.SERVING, f"health of {name!r}")
    try:
        stub.Check(health_pb2.HealthCheckRequest(service="no.such.Service"), timeout=CALL_SECONDS)
        raise AssertionError("a service that does not exist has a health")
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.NOT_FOUND, "health of an unknown service")


@check("status, list, pack and answer name the same digest")
def digests(world):
    status = world.knowledge.GetStatus(knowledge.GetStatusRequest(), timeout=CALL_SECONDS)
    answer = world.evaluate(emergency_request())
    digest = answer.rule_set.digest
    assert len(digest) == 64 and set(digest) <= set("0123456789abcdef"), f"not a digest: {digest!r}"
    equal(status.digest, digest, "digest of the status")
    assert not status.HasField("refused"), "the status says that rules were refused"
    equal([pack.rule_set.digest for pack in status.packs], [digest], "digests of the packs in the status")
    equal(status.packs[0].held_digests[0], digest, "first held digest")
    assert status.serving_since.seconds > 0 and status.last_success.seconds > 0, "times are missing"
    packs = world.knowledge.ListPacks(knowledge.ListPacksRequest(), timeout=CALL_SECONDS).packs
    equal([pack.rule_set.digest for pack in packs], [digest], "digests of the list")
    equal(world.pack.rule_set.digest, digest, "digest of GetPack")
    equal(len(world.pack.conditions), packs[0].condition_count, "conditions in the pack and in the list")
    pinned = world.evaluate(emergency_request(expected_digest=digest))
    equal(pinned.rule_set.digest, digest, "digest of a pinned answer")


@check("the pack says how to ask for each finding, and where each rule comes from")
def pack_is_complete(world):
    assert all(finding.question and finding.name for finding in world.pack.findings), "a finding has no question"
    assert all(rule.because and rule.grade for rule in world.pack.rules), "a rule has no reason"
    assert all(flag.because and flag.floor for flag in world.pack.red_flags), "a red flag has no reason or no floor"
    assert all(box.fingerprint and len(box.findings) > 1 for box in world.pack.boxes), "a box has no fingerprint"
    sources = {source.id for source in world.pack.sources}
    cited = {source.id for rule in world.pack.rules for source in rule.sources}
    assert cited and cited <= sources, f"cited but not listed: {sorted(cited - sources)}"


@check("petechiae, non-blanching, fever, 24 years: EMERGENCY with its red flag, and no more questions")
def emergency(world):
    answer = world.evaluate(emergency_request(request_id="first"))
    equal(urgency_name(answer), "URGENCY_EMERGENCY", "urgency")
    equal(answer.request_id, "first", "request id")
    fired = {flag.id: flag for flag in answer.red_flags if flag.state == triage.RED_FLAG_STATE_FIRED}
    assert "fever_with_non_blanching_spots" in fired, f"fired: {sorted(fired)}"
    flag = fired["fever_with_non_blanching_spots"]
    equal(flag.floor, triage.URGENCY_EMERGENCY, "floor of the flag")
    assert flag.text and flag.action and flag.sources, "the flag has no text, action or source"
    assert "fever" in flag.findings, f"findings of the flag: {list(flag.findings)}"
    equal(answer.urgency_reasons[0].kind, triage.URGENCY_REASON_KIND_RED_FLAG, "first reason")
    assert answer.HasField("should_stop") and answer.should_stop, "should_stop is not set"
    equal(len(answer.next_questions), 0, "questions after an emergency")
    first = answer.differentials[0].condition.id
    assert first.startswith("petechiae"), f"first place: {first}"
    assert "draft, not for clinical use" in answer.disclaimer, f"disclaimer: {answer.disclaimer!r}"


@check("every contribution has a rule, a reason and a weight; the counted ones sum to the score")
def contributions(world):
    cherry = request(yes("bright_dome"), yes("stable"), no("non_blanching"), number("duration", 10, "a"), age=52)
    count = 0
    for asked in (emergency_request(), cherry):
        answer = world.evaluate(asked)
        assert answer.differentials, "no differential"
        for ranked in answer.differentials:
            name = ranked.condition.id
            assert ranked.contributions, f"{name} has no contribution"
            assert ranked.contributions[0].rule_id == f"{name}.prior", f"{name} does not begin with its prior"
            for contribution in ranked.contributions:
                rule, weight = contribution.rule_id, contribution.weight_decibans
                assert rule.startswith(f"{name}."), f"{rule} speaks of {name}"
                assert contribution.because, f"{rule} has no reason"
                assert contribution.grade, f"{rule} does not say how its weight was found"
                assert contribution.counting != triage.COUNTING_UNSPECIFIED, f"{rule} does not say whether it counts"
                assert weight != 0 or rule.endswith(".prior"), f"{rule} weighs nothing"
                supports = contribution.direction == triage.DIRECTION_SUPPORTS
                assert weight == 0 or supports == (weight > 0), f"{rule} speaks in the wrong direction"
                ratio = 10 ** (weight / 10)
                assert abs(contribution.likelihood_ratio - ratio) <= 1e-6 * ratio, f"{rule}: ratio and weight differ"
                if contribution.counting in (triage.COUNTING_ALREADY_COUNTED, triage.COUNTING_REPLACED):
                    assert contribution.counted_by, f"{rule} does not say what counts in its place"
                count += 1
            counted = sum(c.weight_decibans for c in ranked.contributions if c.counting == triage.COUNTING_COUNTED)
            assert abs(counted - ranked.score_decibans) <= 0.001, f"{name}: {counted} is not {ranked.score_decibans}"
            assert ranked.HasField("calibrated") and not ranked.calibrated, f"{name} claims to be calibrated"
        shares = sum(ranked.own_share for ranked in answer.differentials)
        total = shares + answer.groups[0].undetermined_share + answer.groups[0].unlisted_share
        assert abs(total - 1) < 1e-9, f"shares sum to {total}"
    return f"{count} contributions"


@check("unchanged dome-like dots for ten years, 52 years, the screen answered: cherry angioma, SELF_CARE, FINAL")
def cherry_angioma(world):
    told = [yes("bright_dome"), yes("gradual"), yes("stable"), no("non_blanching"), no("fever")]
    asked = request(
        *told,
        number("duration", 10, "a"),
        age=52,
        none_of_these=world.none_of("danger_signs", "changes"),
        reporter=triage.REPORTER_PATIENT,
    )
    answer = world.evaluate(asked)
    equal(answer.differentials[0].condition.id, "cherry_angioma", "first place")
    equal(answer.groups[0].first_place, "cherry_angioma", "first place of the group")
    equal(urgency_name(answer), "URGENCY_SELF_CARE", "urgency")
    equal(triage.UrgencyStatus.Name(answer.urgency_status), "URGENCY_STATUS_FINAL", "status")
    equal(answer.outcome, triage.OUTCOME_DETERMINED, "outcome")
    equal(answer.could_rise_to, answer.urgency, "could_rise_to of a final answer")
    assert answer.HasField("safety_net"), "no safety net"
    net = answer.safety_net
    assert net.watch_for and net.act_within and net.reassess_after, f"an empty safety net: {net}"
    kinds = {notice.kind for notice in answer.notices}
    assert triage.NOTICE_KIND_CONVERSION in kinds, "ten years became days without a notice"
    assert triage.NOTICE_KIND_BOX_ABSENT in kinds, "boxes were read as absent without a notice"


@check("old angiomas and new spots with fever, as two groups: EMERGENCY, a differential for each group")
def two_groups(world):
    answer = world.evaluate(
        request(
            yes("bright_dome", "old"),
            yes("stable", "old"),
            number("duration", 10, "a", "old"),
            no("non_blanching", "old"),
            yes("non_blanching", "new"),
            yes("petechiae", "new"),
            yes("sudden", "new"),
            yes("fever"),
            age=52,
        )
    )
    equal(urgency_name(answer), "URGENCY_EMERGENCY", "urgency")
    first = {group.group: group.first_place for group in answer.groups}
    equal(first.get("old"), "cherry_angioma", "first place of the old ones")
    assert first.get("new", "").startswith("petechiae"), f"first place of the new ones: {first.get('new')}"
    equal({ranked.group for ranked in answer.differentials}, {"old", "new"}, "groups of the differentials")


@check("an empty request: INSUFFICIENT, a safe urgency, and the first questions")
def empty(world):
    answer = world.evaluate(triage.EvaluateRequest())
    equal(triage.Outcome.Name(answer.outcome), "OUTCOME_INSUFFICIENT", "outcome")
    equal(answer.urgency_status, triage.URGENCY_STATUS_PROVISIONAL, "status")
    assert answer.urgency >= triage.URGENCY_PROMPT, f"urgency: {urgency_name(answer)}"
    assert answer.next_questions and not answer.should_stop, "nothing is asked"
    for question in answer.next_questions:
        assert question.id and question.text and question.findings and question.why, f"half a question: {question}"
        assert question.kind != triage.QUESTION_KIND_UNSPECIFIED, f"a question of no kind: {question}"
        assert bool(question.box_id) == bool(question.fingerprint), f"a box without a fingerprint: {question}"
    if answer.urgency < triage.URGENCY_URGENT:
        assert answer.safety_net.watch_for, "no safety net"
    assert answer.disclaimer, "no disclaimer"


@check("an unknown finding and impossible numbers: INVALID_ARGUMENT, every violation, no value repeated")
def invalid(world):
    asked = request(
        yes("feverr"),
        yes(CANARY_WORD),
        number("temperature", 98.6, "Cel"),
        number("temperature", CANARY_DEGREES, "Cel"),
        number("temperature", float("nan"), "Cel"),
        number("temperature", 38.5, "kg"),
        triage.Observation(finding="fever"),
        number("fever", 1),
        triage.Observation(finding="count", selection=triage.Selection(options=[CANARY_WORD])),
        age=CANARY_AGE,
    )
    code, status, message = world.refusal(asked)
    equal(code, grpc.StatusCode.INVALID_ARGUMENT, "code")
    equal(status.code, code_pb2.INVALID_ARGUMENT, "code of the rich status")
    violations = detail(status, error_details_pb2.BadRequest).field_violations
    fields = {violation.field: violation.description for violation in violations}
    report = "\n".join(f"{field}: {text}" for field, text in fields.items())
    for place in ["patient.age_years", *(f"observations[{at}]" for at in range(9))]:
        assert any(field.startswith(place) for field in fields), f"nothing about {place} in\n{report}"
    equal(len(violations), 10, "number of violations")
    suggestion = next(text for field, text in fields.items() if field.startswith("observations[0]"))
    assert "`fever`" in suggestion, f"no suggestion: {suggestion}"
    fahrenheit = next(text for field, text in fields.items() if field.startswith("observations[2]"))
    assert "25" in fahrenheit and "45" in fahrenheit and "[degF]" in fahrenheit, f"no range, no unit: {fahrenheit}"
    assert "observations[0]" in message, f"no readable summary: {message!r}"
    no_canary(message, "the message")
    no_canary(report, "a violation")
    for number_sent in ("98.6", "38.5"):
        assert number_sent not in message + report, f"{number_sent} is repeated"
    no_canary(str(status), "the rich status")
    return f"{len(violations)} violations"


@check("an age below zero and an age of 900 years: INVALID_ARGUMENT with the range")
def impossible_ages(world):
    for age in (-3, 900, float("inf")):
        code, status, _ = world.refusal(request(age=age))
        equal(code, grpc.StatusCode.INVALID_ARGUMENT, f"code for an age of {age}")
        violations = detail(status, error_details_pb2.BadRequest).field_violations
        equal([violation.field for violation in violations], ["patient.age_years"], "fields")
    assert world.evaluate(request(age=0)).evaluation_id, "a newborn is refused"


@check("an unknown pack: NOT_FOUND, with the packs that are served")
def unknown_pack(world):
    code, _, message = world.refusal(request(pack=CANARY_WORD))
    equal(code, grpc.StatusCode.NOT_FOUND, "code")
    assert world.pack.rule_set.pack in message, f"message: {message!r}"
    no_canary(message, "the message")


@check("a pinned digest that is not held: FAILED_PRECONDITION, with those that are")
def unknown_digest(world):
    code, status, message = world.refusal(request(expected_digest="0" * 64))
    equal(code, grpc.StatusCode.FAILED_PRECONDITION, "code")
    held = world.pack.rule_set.digest
    violations = detail(status, error_details_pb2.PreconditionFailure).violations
    assert held in [violation.subject for violation in violations], f"violations: {violations}"
    assert held in message, f"message: {message!r}"


@check("over 512 observations, or over 1 MiB: RESOURCE_EXHAUSTED; 512 are answered")
def limits(world):
    code, status, _ = world.refusal(request(*[yes("fever")] * 513))
    equal(code, grpc.StatusCode.RESOURCE_EXHAUSTED, "code for 513 observations")
    violations = detail(status, error_details_pb2.QuotaFailure).violations
    equal([violation.subject for violation in violations], ["observations"], "what is over its limit")
    answer = world.evaluate(request(*[yes("fever")] * 512))
    assert answer.evaluation_id, "512 observations are refused"
    code, _, message = world.refusal(request(request_id="x" * (1 << 20)))
    equal(code, grpc.StatusCode.RESOURCE_EXHAUSTED, "code for a message over 1 MiB")
    assert "1048576" in message, f"message: {message!r}"
    code, _, _ = world.refusal(request(request_id="x" * (6 << 20)))
    equal(code, grpc.StatusCode.RESOURCE_EXHAUSTED, "code for a message over 6 MiB")


# What the patient of the interview knows. A finding that is not here is absent, a number that is not here not known.
PRESENT = {"bright_dome", "gradual", "stable", "raised", "trunk_site"}
NUMBERS = {"age": (52, "a"), "duration": (10, "a")}
CHOICES = {"count": ["few"], "site": ["chest"], "color": ["bright_red"]}


def reply(question):
    """What the patient answers: words, observations, boxes declared absent."""
    here = question.group
    kind = question.kind
    if kind == triage.QUESTION_KIND_YES_NO:
        present = question.findings[0] in PRESENT
        return ("yes" if present else "no"), [yes(question.id, here) if present else no(question.id, here)], []
    if kind == triage.QUESTION_KIND_NUMBER and question.id in NUMBERS:
        value, unit = NUMBERS[question.id]
        return f"{value} {unit}", [number(question.id, value, unit, here)], []
    if kind in (triage.QUESTION_KIND_CHOICE, triage.QUESTION_KIND_MULTIPLE_CHOICE) and question.id in CHOICES:
        options = CHOICES[question.id]
        known = {option.id for option in question.options}
        assert set(options) <= known, f"{question.id} has the options {sorted(known)}"
        selection = triage.Selection(options=options, complete=kind == triage.QUESTION_KIND_MULTIPLE_CHOICE)
        return ", ".join(options), [triage.Observation(finding=question.id, selection=selection, group=here)], []
    if kind == triage.QUESTION_KIND_MULTIPLE_CHOICE:
        selection = triage.Selection(complete=True)
        return "none", [triage.Observation(finding=question.id, selection=selection, group=here)], []
    if kind in (triage.QUESTION_KIND_ANY_OF, triage.QUESTION_KIND_ONE_OF):
        ticked = [finding for finding in question.findings if finding in PRESENT]
        if ticked:
            return ", ".join(ticked), [yes(finding, here) for finding in ticked], []
        if kind == triage.QUESTION_KIND_ANY_OF:
            box = triage.NoneOfThese(name=question.box_id, fingerprint=question.fingerprint, group=here)
            return "none of these", [], [box]
        return "cannot tell", [not_known(finding, here) for finding in question.findings], []
    return "don't know", [not_known(question.id, here)], []


@check("an interview that answers the first question each time ends FINAL after a handful of them")
def interview(world):
    observations, boxes, steps = [yes("bright_dome")], [], []
    pinned = ""
    while True:
        asked = request(*observations, none_of_these=boxes, expected_digest=pinned, reporter=triage.REPORTER_PATIENT)
        answer = world.evaluate(asked)
        pinned = answer.rule_set.digest
        if answer.should_stop:
            break
        assert answer.next_questions, "should_stop is false and nothing is asked"
        assert len(steps) < 20, "it asks and asks:\n" + "\n".join(steps)
        question = answer.next_questions[0]
        words, told, absent = reply(question)
        steps.append(f"{question.text} {words}  [{urgency_name(answer)[8:].lower()}]")
        before = len(observations) + len(boxes)
        observations += told
        boxes += absent
        assert len(observations) + len(boxes) > before, f"no answer to {question.id}"
    equal(answer.differentials[0].condition.id, "cherry_angioma", "first place")
    equal(urgency_name(answer), "URGENCY_SELF_CARE", "urgency")
    equal(answer.urgency_status, triage.URGENCY_STATUS_FINAL, "status")
    assert 1 <= len(steps) <= 12, f"{len(steps)} questions"
    steps = [f"{at}. {step}" for at, step in enumerate(steps, 1)]
    return "\n".join([*steps, f"then self_care, final, after {len(steps)} questions"])


@check("a stream with a bad item in the middle: answers in order, and it goes on")
def stream(world):
    good = [emergency_request(request_id="a"), triage.EvaluateRequest(request_id="d")]
    bad = request(yes("feverr"), number("temperature", CANARY_DEGREES, "Cel"), request_id="b")
    large = request(*[yes("fever")] * 513, request_id="c")
    items = [good[0], bad, large, good[1]]
    asked = (triage.EvaluateStreamRequest(request=item) for item in items)
    answers = list(world.triage.EvaluateStream(asked, timeout=CALL_SECONDS))
    equal([answer.index for answer in answers], [0, 1, 2, 3], "indices")
    kinds = [answer.WhichOneof("result") for answer in answers]
    equal(kinds, ["response", "error", "error", "response"], "kinds of the answers")
    equal(answers[1].error.code, grpc.StatusCode.INVALID_ARGUMENT.value[0], "code of the bad item")
    equal(answers[1].error.request_id, "b", "request id of the bad item")
    equal(len(answers[1].error.field_violations), 2, "violations of the bad item")
    no_canary(str(answers[1].error), "the item's error")
    equal(answers[2].error.code, grpc.StatusCode.RESOURCE_EXHAUSTED.value[0], "code of the large item")
    for item, answer in ((items[0], answers[0].response), (items[3], answers[3].response)):
        alone = world.evaluate(item)
        alone.evaluation_id = answer.evaluation_id
        equal(answer == alone, True, f"item {item.request_id} answered as Evaluate answers it")


@check("the same request twice, and with its observations shuffled: the same bytes but for evaluation_id")
def deterministic(world):
    told = [
        yes("petechiae"),
        no("itch"),
        yes("sudden"),
        yes("fever"),
        number("temperature", 101.5, "[degF]"),
        yes("legs_site"),
        no("fever"),
        not_known("bruising"),
        number("duration", 2, "d"),
        triage.Observation(finding="count", selection=triage.Selection(options=["many"])),
    ]
    boxes = world.none_of("changes", "blood_medicines")
    shuffles = [told, told, told[::-1], told[3:] + told[:3], told[1::2] + told[::2]]
    ids, rests = set(), set()
    for at, observations in enumerate(shuffles):
        asked = request(*observations, age=30, none_of_these=boxes[:: -1 if at % 2 else 1], request_id="same")
        raw = world.raw_evaluate(asked, timeout=CALL_SECONDS)
        assert raw[:2] == b"\x0a\x24", "the answer does not begin with an evaluation_id of 36 characters"
        ids.add(raw[2:38].decode("ascii"))
        rests.add(raw[38:])
    equal(len(ids), len(shuffles), "different evaluation ids")
    equal({uuid.UUID(one).version for one in ids}, {7}, "version of the evaluation ids")
    equal(len(rests), 1, "different answers")
    return f"{len(shuffles)} answers of {len(rests.pop())} bytes"


@check("a stream that is idle past its deadline: DEADLINE_EXCEEDED; the server goes on")
def deadline(world):
    let_go = threading.Event()

    def idle():
        yield triage.EvaluateStreamRequest(request=emergency_request())
        let_go.wait(STOP_SECONDS)

    answers = world.triage.EvaluateStream(idle(), timeout=1)
    equal(next(answers).index, 0, "index before the deadline")
    try:
        next(answers)
        raise AssertionError("an item was answered that was never sent")
    except StopIteration:
        raise AssertionError("the stream ended without a word about its deadline") from None
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED, "code")
    finally:
        let_go.set()
    equal(urgency_name(world.evaluate(emergency_request())), "URGENCY_EMERGENCY", "urgency afterwards")


def pack_files(rules):
    """The files of the shipped pack, as ValidateRules takes them."""
    folder = rules / "red-spots"
    found = sorted(path for path in folder.rglob("*.y*ml") if path.suffix in (".yaml", ".yml"))
    return [
        knowledge.RuleFile(path=path.relative_to(folder).as_posix(), content=path.read_text(encoding="utf-8"))
        for path in found
    ]


@check("ValidateRules: the served files are accepted, under the served digest, and move no case")
def validate_served(world):
    asked = knowledge.ValidateRulesRequest(files=pack_files(world.server.rules))
    answer = world.knowledge.ValidateRules(asked, timeout=6 * CALL_SECONDS)
    equal(answer.WhichOneof("result"), "accepted", "result")
    tried = answer.accepted
    equal(tried.digest, world.pack.rule_set.digest, "digest")
    assert tried.cases and all(case.holds for case in tried.cases), "a case does not hold"
    equal(tried.impact.compared_with.digest, tried.digest, "digest of the compared pack")
    equal((len(tried.impact.changes), tried.impact.case_count), (0, len(tried.cases)), "changes and cases")
    return f"{len(tried.cases)} cases, {len(tried.warnings)} warnings"


@check("ValidateRules: a mistake is refused at its place, a path trick is INVALID_ARGUMENT, and nothing is published")
def validate_refused(world):
    before = world.knowledge.GetStatus(knowledge.GetStatusRequest(), timeout=CALL_SECONDS)
    files = pack_files(world.server.rules)
    extra = knowledge.RuleFile(path="extra.yaml", content="findings:\n  - id: Not An Id\n    name: x\n")
    answer = world.knowledge.ValidateRules(
        knowledge.ValidateRulesRequest(files=[*files, extra]), timeout=6 * CALL_SECONDS
    )
    equal(answer.WhichOneof("result"), "refused", "result")
    found = [one for one in answer.refused.diagnostics if one.place.file == "extra.yaml"]
    assert found and found[0].code.startswith("R") and found[0].place.line >= 2, f"found: {found}"

    tricks = ["../" + CANARY_WORD + ".yaml", "/etc/" + CANARY_WORD + ".yaml", "a/../../" + CANARY_WORD + ".yaml"]
    bad = [knowledge.RuleFile(path=path, content="") for path in tricks]
    try:
        world.knowledge.ValidateRules(knowledge.ValidateRulesRequest(files=bad), timeout=CALL_SECONDS)
        raise AssertionError("a path out of the pack was accepted")
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.INVALID_ARGUMENT, "code")
        status = rpc_status.from_call(error)
        fields = [violation.field for violation in detail(status, error_details_pb2.BadRequest).field_violations]
        equal(fields, [f"files[{at}].path" for at in range(len(tricks))], "fields")
        no_canary(str(status) + error.details(), "the error")
    after = world.knowledge.GetStatus(knowledge.GetStatusRequest(), timeout=CALL_SECONDS)
    equal(after, before, "status")


@check("RunCases: every case holds, and the figures add up")
def run_cases(world):
    answer = world.knowledge.RunCases(knowledge.RunCasesRequest(), timeout=6 * CALL_SECONDS)
    equal(answer.rule_set.digest, world.pack.rule_set.digest, "digest")
    equal(answer.failed, 0, "cases that do not hold")
    every = {figures.set: figures for figures in answer.figures.sets}["all"]
    assert 0 < every.m1 <= every.m3 <= every.m5 <= every.cases <= len(answer.cases), f"figures: {every}"
    equal(sum(sum(row.advised) for row in every.triage), every.triaged, "cases in the table of urgencies")
    assert every.triage_exact <= every.safe_strict <= every.safe_loose <= every.triaged, f"figures: {every}"
    word = answer.cases[0].id
    some = world.knowledge.RunCases(knowledge.RunCasesRequest(filter=word), timeout=6 * CALL_SECONDS)
    equal({case.id for case in some.cases}, {case.id for case in answer.cases if word in case.id}, "filtered cases")
    return f"{len(answer.cases)} cases; M1 {every.m1}, M3 {every.m3} of {every.cases}"


@check("WatchStatus: the status at once, again after ReloadRules, and CANCELLED when the caller goes")
def watch_status(world):
    watching = world.knowledge.WatchStatus(knowledge.WatchStatusRequest(), timeout=CALL_SECONDS)
    first = next(watching).status
    equal(first, world.knowledge.GetStatus(knowledge.GetStatusRequest(), timeout=CALL_SECONDS), "first status")
    reloaded = world.knowledge.ReloadRules(knowledge.ReloadRulesRequest(), timeout=6 * CALL_SECONDS)
    equal(reloaded.result, knowledge.RELOAD_RESULT_UNCHANGED, "result of the reload")
    second = next(watching).status
    equal(second.reloads_unchanged, first.reloads_unchanged + 1, "reloads that found the served set")
    equal(second.digest, first.digest, "digest")
    watching.cancel()
    try:
        next(watching)
        raise AssertionError("the stream went on")
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.CANCELLED, "code")


@check("SIGTERM while a stream is open and idle: the stream ends, exit code 0, and the log holds no patient value")
def stops(world):
    let_go = threading.Event()

    def idle():
        yield triage.EvaluateStreamRequest(request=emergency_request())
        # Silence, as from a client that keeps its stream for later.
        let_go.wait(2 * STOP_SECONDS)

    answers = world.triage.EvaluateStream(idle(), timeout=2 * STOP_SECONDS)
    equal(next(answers).index, 0, "index before the signal")
    began = time.monotonic()
    code = world.server.stop()
    took = time.monotonic() - began
    equal(code, 0, "exit code")
    try:
        next(answers)
        raise AssertionError("the stream was answered after the end")
    except StopIteration:
        raise AssertionError("the stream ended as if nothing had happened") from None
    except grpc.RpcError as error:
        equal(error.code(), grpc.StatusCode.UNAVAILABLE, "code of the idle stream")
    finally:
        let_go.set()
        answers.cancel()
    log = world.server.log()
    no_canary(log, "the log")
    assert "panic" not in log, "the log tells of a panic"
    return f"{took:.1f} s"


# --- The run --------------------------------------------------------------------------------------------------------


def main():
    arguments = runner.arguments(runner.parser("A Python gRPC client against the running rubor binary."))
    with tempfile.TemporaryDirectory(prefix="rubor-client-") as folder:
        stubs = generate_stubs(folder)
        server = Server(arguments.binary, arguments.rules, folder)
        try:
            address = server.address()
            options = [("grpc.max_receive_message_length", 16 << 20), ("grpc.enable_http_proxy", 0)]
            with grpc.insecure_channel(address, options=options) as channel:
                print(f"rubor serves on {address}; grpcio {grpc.__version__}\n")
                tell = lambda: print(f"\nthe server's log:\n{server.log()}")  # noqa: E731
                failed = CHECKS.run(World(channel, *stubs, server), at_failure=tell)
        finally:
            server.kill()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
