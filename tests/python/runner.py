"""What the checks of this folder share: finding the binary, a clean environment, running checks, waiting.

Owns how checks are run and told of. What they check is theirs.
"""

import argparse
import contextlib
import http.client
import os
import pathlib
import signal
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
WAIT_SECONDS = 20


def parser(description, rules=True):
    """A command line with what every check needs; the caller adds what is its own."""
    made = argparse.ArgumentParser(description=description)
    made.add_argument("--binary", type=pathlib.Path, default=ROOT / "target" / "release" / "rubor")
    if rules:
        made.add_argument("--rules", type=pathlib.Path, default=ROOT / "rules")
    return made


def arguments(made):
    """Reads the command line; says what to do where the checks cannot be run. Paths come back whole."""
    given = made.parse_args()
    if not __debug__:
        raise SystemExit("run it without -O: the checks are assertions")
    if not given.binary.is_file():
        raise SystemExit(f"no binary at {given.binary}; run `cargo build --release`, or name it with --binary")
    given.binary = given.binary.resolve()
    if hasattr(given, "rules"):
        given.rules = given.rules.resolve()
    # So that what was started is stopped when this process is told to stop.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    return given


def environment():
    """The environment without the settings of a server that somebody runs in this shell."""
    return {name: value for name, value in os.environ.items() if not name.startswith("RUBOR_")}


def wait_for(what, holds, seconds=WAIT_SECONDS):
    """Asks again and again until something holds; that nobody answers yet is no reason to give up."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(OSError, http.client.HTTPException):
            if holds():
                return
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s: {what}")


class Checks:
    """The checks of one script, in the order in which they are written."""

    def __init__(self):
        self.known = []

    def check(self, title):
        """Makes a check of a function. It gets the world, fails by an exception, and may give a remark."""

        def keep(function):
            self.known.append((title, function))
            return function

        return keep

    def run(self, world, at_failure=lambda: None):
        """Runs every check, whatever the others find; gives how many failed."""
        failed = 0
        for title, function in self.known:
            began = time.monotonic()
            try:
                said = function(world)
            # Whatever a check stumbles over, the others still run.
            except Exception as error:  # noqa: BLE001
                failed += 1
                print(f"FAIL  {title}")
                told(reason(error, function))
            else:
                print(f"ok    {title} ({time.monotonic() - began:.2f} s)")
                told(said or "")
            sys.stdout.flush()
        if failed:
            at_failure()
        print(f"\n{len(self.known) - failed} passed, {failed} failed")
        return failed


def reason(error, function):
    """Why a check failed: of an assertion the line of the check and its words, else the whole way."""
    if not isinstance(error, AssertionError):
        return "".join(traceback.format_exception(error))
    place = traceback.extract_tb(error.__traceback__)
    line = next((frame.lineno for frame in reversed(place) if frame.name == function.__name__), 0)
    return f"line {line}: {error}"


def told(text):
    for line in text.splitlines():
        print(f"      {line}")
