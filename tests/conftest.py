# SPDX-License-Identifier: Apache-2.0
"""What the tests of the tiers node, cluster and vm share: labs, and the logs of failures."""

import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent
sys.path[:0] = [str(TESTS), str(TESTS / "lab")]

from labkit import template  # noqa: E402
from support.labs import fresh_lab, keep_logs, make_whole  # noqa: E402


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


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    outcome = yield
    if call.when == "call":
        item.call_report = outcome.get_result()
