# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: a lab, timing inside a node, and the form of a figure.

A figure is one line of JSON: name, value and unit; base, what it is compared with in the same run,
and ratio to it; target, the most (the least, where bound says so) that value, or ratio where there
is a base, may be; ok, whether it is kept.  Without a target there is nothing to keep, and ok is
true.
"""

import json
import statistics
import sys
from contextlib import contextmanager
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(TESTS), str(TESTS / "lab")]

from support.labs import fresh_lab  # noqa: E402

# Runs inside a node: prints the seconds that each run of a command took.  What must happen before
# each run is not timed, and neither is a pause behind it: to move a process into a cgroup costs a
# grace period of the kernel (15 ms) unless another was moved just before, so a start right behind a
# stop would look faster than any that a user ever waits for.
TIMER = """
import json, subprocess, sys, time
count, before, timed = json.loads(sys.argv[1])
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
seconds = []
for i in range(count):
    if before:
        subprocess.run(before, **quiet)
        time.sleep(0.3)
    begun = time.perf_counter()
    subprocess.run(timed, check=True, **quiet)
    seconds.append(time.perf_counter() - begun)
print(json.dumps(seconds))
"""


@contextmanager
def bench_lab(count):
    """A lab for one benchmark."""
    lab = fresh_lab("bench", count=count)
    try:
        yield lab
    finally:
        with lab.locked():
            lab.down()


def time_command(node, count, timed, before=None):
    """Median milliseconds of a command in a node."""
    output = node.ok(["python3", "-c", TIMER, json.dumps([count, before, timed])], timeout=300)
    return statistics.median(json.loads(output)) * 1000


def figure(name, value, unit, base=None, target=None, least=False):
    """Prints a figure; whether its target is kept."""
    ratio = value / base if base else None
    judged = value if ratio is None else ratio
    kept = target is None or (judged >= target if least else judged <= target)
    print(json.dumps({
        "name": name, "value": round(value, 3), "unit": unit,
        "base": None if base is None else round(base, 3),
        "ratio": None if ratio is None else round(ratio, 2),
        "target": target, "bound": "least" if least else "most", "ok": kept}), flush=True)
    return kept
