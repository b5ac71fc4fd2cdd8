#!/usr/bin/env python3
"""Alerts and dashboard, held against promtool, against the metrics that a running server gives, and against the runbooks.

    pip install pyyaml grpcio grpcio-tools grpcio-reflection grpcio-health-checking grpcio-status
    python tests/python/observe.py --promtool promtool [--binary target/release/rubor] [--rules rules]

promtool comes with Prometheus (Debian: the package `prometheus`). Every check runs. The exit code is 0 when all passed.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import urllib.request

import client
import grpc
import runner
import yaml

ROOT = runner.ROOT
PROMETHEUS = ROOT / "deploy" / "prometheus"
DASHBOARD = ROOT / "deploy" / "grafana" / "dashboard.json"
RUNBOOKS = ROOT / "docs" / "operations.md"
METRIC = re.compile(r"\brubor_[a-z_]+\b")
# What Grafana puts in the place of its variables.
VARIABLES = {"$__rate_interval": "5m", "$job": "rubor", "$instance": ".*"}

CHECKS = runner.Checks()
check = CHECKS.check


class World:
    """What every check gets."""

    def __init__(self, promtool, folder, metrics):
        self.promtool, self.folder, self.metrics = promtool, folder, metrics
        (group,) = yaml.safe_load((PROMETHEUS / "alerts.yaml").read_text(encoding="utf-8"))["groups"]
        self.alerts = group["rules"]
        self.dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
        self.panels = self.dashboard["panels"]
        self.expressions = [target["expr"] for panel in self.panels for target in panel.get("targets", [])]
        self.expressions += [one["expr"] for one in self.dashboard["annotations"]["list"]]

    def tool(self, *arguments, given=None):
        done = subprocess.run(
            [self.promtool, *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
            cwd=PROMETHEUS,
        )
        assert done.returncode == 0, f"promtool {' '.join(map(str, arguments))}:\n{done.stdout}{done.stderr}"


def live_metrics(binary, rules, folder):
    """What `/metrics` says after calls of several kinds."""
    stubs = pathlib.Path(folder) / "stubs"
    stubs.mkdir()
    triage_stub, knowledge_stub = client.generate_stubs(str(stubs))
    server = client.Server(binary, rules, folder)
    try:
        with grpc.insecure_channel(server.address()) as channel:
            triage = triage_stub(channel)
            triage.Evaluate(client.emergency_request(), timeout=client.CALL_SECONDS)
            try:
                triage.Evaluate(client.request(client.yes("no_such_finding")), timeout=client.CALL_SECONDS)
            except grpc.RpcError as error:
                assert error.code() == grpc.StatusCode.INVALID_ARGUMENT, f"{error.code()}"
            reload = client.knowledge.ReloadRulesRequest()
            knowledge_stub(channel).ReloadRules(reload, timeout=6 * client.CALL_SECONDS)
        entries = [json.loads(line) for line in server.log().splitlines() if line.startswith("{")]
        (admin,) = (entry["admin"] for entry in entries if entry.get("message") == "serving")
        with urllib.request.urlopen(f"http://{admin}/metrics", timeout=5) as answer:
            return answer.read().decode()
    finally:
        server.kill()


@check("promtool accepts the metrics, the alerts and the scrape configuration")
def accepted(world):
    world.tool("check", "metrics", given=world.metrics)
    world.tool("check", "rules", "alerts.yaml")
    world.tool("check", "config", "prometheus.yaml")
    return f"{len(world.alerts)} alerts"


@check("promtool accepts every expression of the dashboard")
def expressions(world):
    rules = []
    for number, expression in enumerate(world.expressions):
        for name, value in VARIABLES.items():
            expression = expression.replace(name, value)
        assert "$" not in expression, f"a variable that nobody sets: {expression}"
        rules.append({"record": f"panel:{number}", "expr": expression})
    path = world.folder / "panels.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    world.tool("check", "rules", path)
    return f"{len(rules)} expressions"


@check("the alerts fire when they should, and not on a healthy day")
def alerts_fire(world):
    world.tool("test", "rules", "alerts.test.yaml")
    tests = yaml.safe_load((PROMETHEUS / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
    expected = [one["labels"] for test in tests for asked in test["promql_expr_test"] for one in asked["exp_samples"]]
    silent = [alert["alert"] for alert in world.alerts if not any(f'"{alert["alert"]}"' in one for one in expected)]
    assert not silent, f"no case shows that these fire: {silent}"


@check("every metric that is asked for is one that the server gives")
def metrics_exist(world):
    given = set(re.findall(r"^# TYPE (\S+) ", world.metrics, re.MULTILINE))
    histograms = set(re.findall(r"^# TYPE (\S+) histogram", world.metrics, re.MULTILINE))
    given |= {name + end for name in histograms for end in ("_bucket", "_count", "_sum")}
    # Counters by reason are there from the first thing that they count; until then the source is all that names them.
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src" / "observe").glob("*.rs"))
    registered = {name + end for name in re.findall(r'"(rubor_[a-z_]+)"', source) for end in ("", "_total")}
    asked = set(METRIC.findall(" ".join([*world.expressions, *(alert["expr"] for alert in world.alerts)])))
    unknown = asked - given - registered
    assert not unknown, f"asked for, and not given: {sorted(unknown)}"
    unseen = sorted(given - histograms - {name for name in given if name.endswith(("_sum", "_bucket"))} - asked)
    return (
        f"{len(asked & given)} seen, {len(asked - given)} known from the source only; on no panel: {unseen or 'none'}"
    )


@check("every alert has its runbook, every runbook its alert, and a summary and a severity")
def runbooks(world):
    headings = re.findall(r"^#+ (Rubor\w+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    names = [alert["alert"] for alert in world.alerts]
    assert headings == names, f"runbooks {headings}\nalerts {names}"
    for alert in world.alerts:
        assert alert["annotations"]["runbook"] == f"docs/operations.md#{alert['alert'].lower()}", alert["alert"]
        assert alert["annotations"]["summary"].endswith("."), alert["alert"]
        assert alert["labels"]["severity"] in ("critical", "warning", "info"), alert["alert"]


@check("the panels of the dashboard have their own places and names")
def dashboard(world):
    taken = set()
    for panel in world.panels:
        place = panel["gridPos"]
        fields = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert place["x"] + place["w"] <= 24 and not fields & taken, f"`{panel['title']}` lies on another panel"
        taken |= fields
    for key in ("id", "title"):
        values = [panel[key] for panel in world.panels]
        assert len(set(values)) == len(values), f"the same {key} twice"
    return f"{len(world.panels)} panels and rows"


def main():
    parser = runner.parser("Checks of the alerts and the dashboard.")
    parser.add_argument("--promtool", default="promtool")
    arguments = runner.arguments(parser)
    promtool = pathlib.Path(arguments.promtool)
    promtool = promtool.resolve() if promtool.is_file() else arguments.promtool
    with tempfile.TemporaryDirectory(prefix="rubor-observe-") as folder:
        metrics = live_metrics(arguments.binary, arguments.rules, folder)
        return 1 if CHECKS.run(World(promtool, pathlib.Path(folder), metrics)) else 0


if __name__ == "__main__":
    sys.exit(main())
