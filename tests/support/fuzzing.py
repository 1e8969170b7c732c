# SPDX-License-Identifier: Apache-2.0
"""Runs of the fuzz targets: builds them, gives each its share of the time, keeps what it finds.

The committed inputs in tests/fuzz/corpus are tried first, always all of them.  What a run discovers
beyond stays in the build directory, so that the next one goes on from there; so do the inputs that
a target did not survive.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from .runner import BUILDS, LOGS, SOURCE, Builds

CORPUS = SOURCE / "tests/fuzz/corpus"

# Longest input, and longest time for one.
SIZE_MAX = 16384
SECONDS_MAX = 20

# A target says what it found, and begins again with another input.
LEAST_SECONDS = 2


@dataclass
class Outcome:
    """What came of one target."""

    target: str
    executions: int
    coverage: int
    inputs: int
    findings: list

    def __str__(self):
        text = (f"{self.target}: {self.executions} executions, coverage {self.coverage}, "
                f"{self.inputs} inputs")
        for finding in self.findings:
            text += f"\n  FOUND {finding}"
        return text


def targets():
    """All targets: each has inputs to begin with."""
    return sorted(path.name for path in CORPUS.iterdir() if path.is_dir())


def last_number(pattern, text):
    found = re.findall(pattern, text)
    return int(found[-1]) if found else 0


def fuzz(build, target, seconds, seed):
    """Fuzzes one target for some seconds.  Inputs are drawn from seed; 0: others each time."""
    discovered = build / "corpus" / target
    findings = build / "findings" / target
    for directory in (discovered, findings):
        directory.mkdir(parents=True, exist_ok=True)
    before = set(findings.iterdir())
    log = LOGS / f"fuzz-{target}.log"
    with tempfile.TemporaryDirectory(prefix="atoll-fuzz-",
                                     dir="/dev/shm" if os.path.isdir("/dev/shm") else None) as place:
        with open(log, "wb") as out:
            process = subprocess.run(
                [build / "tests/fuzz" / target, discovered, CORPUS / target,
                 f"-max_total_time={max(LEAST_SECONDS, round(seconds))}", f"-max_len={SIZE_MAX}",
                 f"-seed={seed}", f"-timeout={SECONDS_MAX}", "-rss_limit_mb=2048", "-print_final_stats=1",
                 "-close_fd_mask=1",
                 f"-artifact_prefix={findings}/"],
                stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=False,
                env={**os.environ, "TMPDIR": place,
                     "ASAN_OPTIONS": "quarantine_size_mb=16:detect_leaks=1"})
    text = log.read_text(errors="replace")
    found = [str(path) for path in sorted(set(findings.iterdir()) - before)]
    if process.returncode and not found:
        found = [f"exit status {process.returncode}, see {log}"]
    return Outcome(target, last_number(r"stat::number_of_executed_units: (\d+)", text),
                   last_number(r"cov: (\d+)", text), len(list(discovered.iterdir())), found)


def build_targets():
    """The directory of a build with all targets; None when it failed."""
    return Builds().get("fuzz")


def fuzz_all(build, names, seconds, seed, say):
    """Fuzzes the named targets in turn, in about so many seconds in all."""
    outcomes = []
    for name in names:
        outcomes.append(fuzz(build, name, seconds / len(names), seed))
        say(str(outcomes[-1]))
    return outcomes


def main():
    parser = argparse.ArgumentParser(prog="tests/fuzz/run", description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=10, metavar="M",
                        help="for all targets together (10)")
    parser.add_argument("--seed", type=int, default=0, metavar="N",
                        help="draw the same inputs as another run with this number")
    parser.add_argument("targets", nargs="*", metavar="TARGET",
                        help="of " + ", ".join(targets()))
    options = parser.parse_args()
    unknown = [name for name in options.targets if name not in targets()]
    if unknown:
        parser.error(f"there is no target '{unknown[0]}'")
    LOGS.mkdir(parents=True, exist_ok=True)
    build = build_targets()
    if not build:
        sys.exit("tests/fuzz/run: the targets cannot be built")
    outcomes = fuzz_all(build, options.targets or targets(), options.minutes * 60,
                        options.seed, print)
    sys.exit(1 if any(outcome.findings for outcome in outcomes) else 0)
