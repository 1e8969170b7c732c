# SPDX-License-Identifier: Apache-2.0
"""That the bench of the store works.  What it measures is judged by people, not here: other things
that run on the machine show in every figure."""

import json
import os
import subprocess

from support.labs import BUILD, SOURCE

# Those that need no node to go and come back, which takes long.
NAMES = ("one-writer", "large", "reads", "visibility", "readers", "idle")
FIELDS = {"name", "value", "unit", "base", "ratio", "target", "bound", "ok"}


def test_the_bench_of_the_store_prints_its_figures():
    done = subprocess.run(
        [SOURCE / "tests/bench/cfs", "--quick", "--only", ",".join(NAMES)], text=True, timeout=120,
        capture_output=True, check=False, env={**os.environ, "ATOLL_BUILD": BUILD})
    figures = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode in (0, 1), done.stderr
    assert len(figures) >= 20, done.stderr
    assert all(set(figure) == FIELDS for figure in figures)
    assert all(figure["value"] >= 0 for figure in figures)
