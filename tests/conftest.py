# SPDX-License-Identifier: Apache-2.0
"""What the tests of the tiers node, cluster and vm share: labs, and the logs of failures."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS / "lab"))

from labkit import template  # noqa: E402
from labkit.cluster import Lab  # noqa: E402

BUILD = os.environ.get("ATOLL_BUILD", str(TESTS.parent / "build"))
LOGS = Path(os.environ.get("ATOLL_TEST_LOGS", TESTS.parent / "build/test-logs"))


def fresh_lab(name, **options):
    """A lab of this name, without what an earlier run may have left."""
    lab = Lab(name)
    with lab.locked():
        lab.down()
    lab = Lab(name)
    with lab.locked():
        lab.up(build=BUILD, **options)
    return lab


@pytest.fixture(scope="session")
def cluster_lab():
    """Three nodes with a busybox template; up for the whole session."""
    lab = fresh_lab("test")
    lab.busybox = template.install("busybox", lab.nodes)
    yield lab
    with lab.locked():
        lab.down()


@pytest.fixture
def lab(cluster_lab, request):
    """The three-node lab for one test: whole when it begins, made whole again afterwards."""
    yield cluster_lab
    report = getattr(request.node, "call_report", None)
    if report is not None and report.failed:
        keep_logs(cluster_lab, request.node.nodeid)
    make_whole(cluster_lab)


@pytest.fixture(scope="session")
def single_lab():
    """One node without corosync, a cluster of one, with a busybox template."""
    lab = fresh_lab("test1", count=1, cluster=False)
    lab.busybox = template.install("busybox", lab.nodes)
    yield lab
    with lab.locked():
        lab.down()


@pytest.fixture
def node(single_lab, request):
    """The node of single_lab, for one test."""
    yield single_lab.node("n1")
    report = getattr(request.node, "call_report", None)
    if report is not None and report.failed:
        keep_logs(single_lab, request.node.nodeid)


@pytest.fixture
def n1(lab):
    return lab.node("n1")


@pytest.fixture
def n2(lab):
    return lab.node("n2")


@pytest.fixture
def n3(lab):
    return lab.node("n3")


def make_whole(lab):
    """Heals the ring, powers on what is off, starts what is stopped."""
    with lab.locked():
        if len(lab.state["groups"]) > 1:
            lab.heal()
        for node in lab.nodes:
            if not node.is_on():
                node.power_on()
        for node in lab.nodes:
            node.wait_settled()
            for service in node.services().values():
                if service["state"] in ("stopped", "dead"):
                    node.service("start", service["name"])
        lab.wait_formed()


def keep_logs(lab, nodeid):
    """Copies the logs of a failed test's nodes to where tests/run keeps logs."""
    target = LOGS / re.sub(r"[^A-Za-z0-9_.-]+", "-", nodeid)
    for node in lab.nodes:
        for path in node.logs():
            copy = target / node.name / path.name
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, copy)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()
