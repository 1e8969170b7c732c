# SPDX-License-Identifier: Apache-2.0
"""A member of the store's group that sends what nobody can read: the others go on, and do not guess."""

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import pytest
from labkit.run import wait_for
from support.labs import BUILD
from support.store import (compare_trees, is_writable, probe, put, root, state, wait_writable)

MESSAGES = 400


def store_log(node):
    return node.disk / "var/log/lab/atoll-cfs.log"


@contextmanager
def noise(lab, node, kind, seed):
    """busnoise in a node, which has sent all that it will and is still there."""
    shutil.copy(Path(BUILD) / "tests/cluster/busnoise", lab.place.shared / "busnoise")
    process = node.popen(["/mnt/shared/busnoise", kind, str(MESSAGES), str(seed)],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        assert process.stdout.readline() == b"sent\n"
        yield
        process.stdin.close()
        assert process.wait(30) == 0


@pytest.fixture(autouse=True)
def unharmed(lab):
    """No store has died of it, and all trees are equal."""
    wait_writable(lab.nodes)
    sizes = {node.name: store_log(node).stat().st_size for node in lab.nodes}
    yield
    wait_writable(lab.nodes)
    for node in lab.nodes:
        said = store_log(node).read_text(errors="replace")[sizes[node.name]:]
        ends = [line for line in said.splitlines() if line.startswith("---") and " end (" in line]
        assert all("(exit status 0)" in line for line in ends), ends
    compare_trees(lab)
    for node in lab.nodes:
        (root(node) / f"probe-{node.name}").unlink()


@pytest.mark.parametrize("seed", range(4))
def test_nonsense_is_ignored(lab, n2, seed):
    put(root(n2) / "before", b"x")
    with noise(lab, n2, "noise", seed):
        for node in lab.nodes:
            wait_for(lambda node=node: is_writable(node), 30, f"writes on {node.name}")
            assert (root(node) / "before").read_bytes() == b"x"
    (root(n2) / "before").unlink()


def test_nonsense_fills_no_log(lab, n1, n2):
    log = store_log(n1)
    before = log.stat().st_size
    with noise(lab, n2, "noise", 7):
        wait_writable(lab.nodes)
    assert log.stat().st_size - before < 20_000


def test_what_a_newer_version_says_is_not_guessed_at(lab, n1, n2, n3):
    with noise(lab, n2, "newer", 1):
        for node in (n1, n3):
            wait_for(lambda node=node: probe(node) is not None, 30, f"refusal on {node.name}")
            assert state(node)["format"]["newer_node"] == n2.number
            assert (root(node) / f"probe-{node.name}").read_bytes() == b"x"
    # That node is believed again when it has been away.
    n2.service("restart", "atoll-cfs")
