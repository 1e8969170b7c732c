# SPDX-License-Identifier: Apache-2.0
"""The tiers of tests/run: builds the source, runs each tier, counts.

A test counts as passed or as failed.  One that was skipped, or that was never reached because its
tier broke, has failed: nothing is green that did not run.
"""

import os
import re
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2]
BUILDS = SOURCE / "build"
LOGS = BUILDS / "test-logs"

MINUTE = 60
FLAGS = "CFLAGS=-O1 -g"
GOALS = {"fuzz": ["fuzz-targets"]}  # What is made in a build, where that is not all.
TAIL = 15  # Lines of a failed program's log that are shown.


@dataclass
class Result:
    """What came of a tier."""

    passed: int = 0
    failures: list = field(default_factory=list)

    def add(self, other):
        self.passed += other.passed
        self.failures += other.failures


def say(text):
    print(text, flush=True)


def run(argv, log, timeout, directory=SOURCE, environment=None):
    """Runs argv with its output in a log file: its exit status, -1 after too long a time.  Its
    whole process group ends with it."""
    with open(log, "ab") as out:
        process = subprocess.Popen(argv, cwd=directory, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=out, start_new_session=True,
                                   env={**os.environ, **(environment or {})})
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            out.write(f"\nrunner: ended after {timeout} s\n".encode())
            return -1
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def show(log):
    """The end of a log, indented."""
    lines = log.read_text(errors="replace").splitlines()[-TAIL:]
    say("\n".join("    " + line for line in lines))


# --- builds ---------------------------------------------------------------------------------------


def build(name, options):
    """Builds the source into its own directory: that, or None when it failed."""
    directory = BUILDS / name
    directory.mkdir(parents=True, exist_ok=True)
    log = LOGS / f"build-{name}.log"
    steps = []
    if not (SOURCE / "configure").exists():
        steps.append((["autoreconf", "-fi"], SOURCE))
    if not (directory / "Makefile").exists():
        steps.append(([str(SOURCE / "configure"), "--prefix=/usr", "--sysconfdir=/etc",
                       "--localstatedir=/var", *options, FLAGS], directory))
    steps.append((["make", "-j2", *GOALS.get(name, [])], directory))
    for argv, where in steps:
        if run(argv, log, 15 * MINUTE, where):
            say(f"  {' '.join(argv)} failed, see {log}")
            show(log)
            return None
    return directory


class Builds:
    """The builds, each made when the first tier asks."""

    OPTIONS = {
        "plain": ["--enable-werror"],
        "sanitizers": ["--enable-sanitizers"],
        "fuzz": ["--enable-fuzzing", "CC=clang-14"],
    }

    def __init__(self):
        self.made = {}

    def get(self, name):
        if name not in self.made:
            say(f"  building ({name})")
            self.made[name] = build(name, self.OPTIONS[name])
        return self.made[name]


# --- tiers of make check --------------------------------------------------------------------------


def tests_below(directory, prefix):
    """The programs of `make check` whose name begins with prefix."""
    printed = subprocess.run(
        ["make", "-s", "--no-print-directory", "--eval=tests-named:;@echo $(TESTS)", "tests-named"],
        cwd=directory, capture_output=True, text=True, check=True)
    # The scripts' names are paths into the source.
    names = [os.path.relpath(directory / name, SOURCE) if name.startswith((".", "/")) else name
             for name in printed.stdout.split()]
    return [given for name, given in zip(names, printed.stdout.split()) if name.startswith(prefix)]


def count_check(text, log):
    """Reads automake's summary."""
    counts = {key: int(number) for key, number in
              re.findall(r"^# (TOTAL|PASS|SKIP|XFAIL|FAIL|XPASS|ERROR): +(\d+)$", text, re.M)}
    if not counts.get("TOTAL"):
        return Result(0, [f"no test was run, see {log}"])
    failures = re.findall(r"^(?:FAIL|ERROR|SKIP|XPASS|XFAIL): (.*)$", text, re.M)
    bad = counts["TOTAL"] - counts["PASS"]
    # Every one of them counts, even if it had no line of its own.
    failures += ["(a test without a name)"] * (bad - len(failures))
    return Result(counts["PASS"], failures)


def make_check(directory, prefix, timeout):
    names = tests_below(directory, prefix)
    if not names:
        return Result(0, [f"there is no test below {prefix}"])
    log = LOGS / f"{prefix.replace('/', '-')}-{directory.name}.log"
    status = run(["make", "-j2", "check", f"TESTS={' '.join(names)}"], log, timeout, directory)
    result = count_check(log.read_text(errors="replace"), log)
    if status and not result.failures:
        result.failures.append(f"make check ended with status {status}")
    if result.failures:
        show(log)
    return result


def check_tier(prefix, timeout, names=("plain", "sanitizers")):
    def tier(builds):
        result = Result()
        for name in names:
            directory = builds.get(name)
            if directory:
                result.add(make_check(directory, prefix, timeout))
            else:
                result.failures.append(f"{prefix}: the build {name} failed")
        return result

    return tier


# --- tiers of pytest ------------------------------------------------------------------------------


def count_pytest(report):
    result = Result()
    for case in ElementTree.parse(report).iter("testcase"):
        if any(case.find(kind) is not None for kind in ("failure", "error", "skipped")):
            result.failures.append(f"{case.get('classname')}.{case.get('name')}")
        else:
            result.passed += 1
    return result


def pytest_tier(folder, timeout):
    def tier(builds):
        directory = builds.get("plain")
        if not directory:
            return Result(0, [f"{folder}: the build failed"])
        log = LOGS / f"{folder}.log"
        report = LOGS / f"{folder}.xml"
        status = run(["/usr/bin/python3", "-m", "pytest", "-v", "-rfEs", "-p", "no:cacheprovider",
                      f"--junitxml={report}", f"tests/{folder}"], log, timeout,
                     environment={"ATOLL_BUILD": str(directory), "ATOLL_TEST_LOGS": str(LOGS),
                                  "PYTHONDONTWRITEBYTECODE": "1"})
        result = count_pytest(report) if report.exists() else Result()
        if not result.passed and not result.failures:
            result.failures.append(f"{folder}: no test was run")
        elif status not in (0, 1):
            result.failures.append(f"{folder}: pytest ended with status {status}")
        if result.failures:
            show(log)
        return result

    return tier


# --- tier of fuzzing ------------------------------------------------------------------------------


def count_fuzz(text):
    """Reads what tests/fuzz/run prints: a line for each target, and one for each finding below."""
    result = Result()
    for target, *lines in re.findall(r"^(\w+): \d+ executions.*\n((?:  FOUND .*\n)*)", text, re.M):
        if lines[0]:
            result.failures.append(f"fuzz {target}: {lines[0].strip()}")
        else:
            result.passed += 1
    return result


def fuzz_tier(minutes):
    def tier(builds):
        if not builds.get("fuzz"):
            return Result(0, ["fuzz: the build failed"])
        log = LOGS / "fuzz.log"
        # The same inputs each time: what passes here says something about the change.
        status = run([str(SOURCE / "tests/fuzz/run"), "--minutes", str(minutes), "--seed", "1"],
                     log, (minutes + 10) * MINUTE)
        result = count_fuzz(log.read_text(errors="replace"))
        if not result.passed and not result.failures:
            result.failures.append(f"fuzz: no target was run, see {log}")
        elif status and not result.failures:
            result.failures.append(f"fuzz: tests/fuzz/run ended with status {status}")
        if result.failures:
            show(log)
        return result

    return tier


TIERS = {
    "lint": check_tier("tests/lint-", 5 * MINUTE, ("plain",)),
    "unit": check_tier("tests/unit/", 10 * MINUTE),
    "sim": check_tier("tests/sim/", 10 * MINUTE),
    "fuzz": fuzz_tier(minutes=1),
    "node": pytest_tier("node", 10 * MINUTE),
    "cluster": pytest_tier("cluster", 30 * MINUTE),
    "vm": pytest_tier("vm", 20 * MINUTE),
}


def start_image():
    """The image of the vm tier takes minutes to make: it is begun while other things go on.  The
    tier waits for it."""
    with open(LOGS / "vm-image.log", "wb") as log:
        return subprocess.Popen(["nice", "/usr/bin/python3", str(SOURCE / "tests/lab/lab"),
                                 "image"], stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def main():
    wanted = sys.argv[1:] or list(TIERS)
    unknown = [name for name in wanted if name not in TIERS]
    if unknown:
        sys.exit(f"tests/run: no tier '{unknown[0]}': there are {', '.join(TIERS)}")
    if os.geteuid() != 0 and not set(wanted) <= {"lint", "unit", "sim", "fuzz"}:
        sys.exit("tests/run: the tiers node, cluster and vm need root")

    LOGS.mkdir(parents=True, exist_ok=True)
    for old in LOGS.glob("*.*"):
        if old.is_file():
            old.unlink()
    image = start_image() if "vm" in wanted else None
    builds = Builds()
    total = Result()
    for name in wanted:
        say(f"{name}:")
        begun = time.monotonic()
        if name == "vm":
            image.wait()
        result = TIERS[name](builds)
        for failure in result.failures:
            say(f"  FAILED {failure}")
        say(f"  {result.passed} passed, {len(result.failures)} failed, "
            f"{time.monotonic() - begun:.0f} s")
        total.add(result)

    if total.failures:
        say(f"The logs are in {LOGS}")
    say(f"{total.passed} passed, {len(total.failures)} failed")
    sys.exit(1 if total.failures else 0)


if __name__ == "__main__":
    main()
