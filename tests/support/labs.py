# SPDX-License-Identifier: Apache-2.0
"""Labs of tests: made fresh, made whole again, their logs kept."""

import hashlib
import os
import re
import shutil
from pathlib import Path

from labkit.cluster import Lab
from labkit.run import LabError

from . import store

SOURCE = Path(__file__).resolve().parents[2]
BUILD = os.environ.get("ATOLL_BUILD", str(SOURCE / "build/plain"))
LOGS = Path(os.environ.get("ATOLL_TEST_LOGS", SOURCE / "build/test-logs"))


def lab_name(purpose):
    """A lab's name: of this source tree alone, so that the tests of two trees may run at once."""
    return f"{purpose}-{hashlib.sha256(str(SOURCE).encode()).hexdigest()[:6]}"


def fresh_lab(purpose, **options):
    """A lab for this purpose, without what an earlier run may have left."""
    name = lab_name(purpose)
    lab = Lab(name)
    with lab.locked():
        lab.down()
    lab = Lab(name)
    with lab.locked():
        lab.up(build=BUILD, **options)
    return lab


def _is_whole(lab):
    """Whether there is nothing to do.  Asks no programs, which take their time."""
    if len(lab.state["groups"]) > 1 or lab.state.get("severed"):
        return False
    try:
        return all(node.is_on() and store.level_members(node) == len(lab.nodes) and
                   all(service["state"] == "ready" for service in node.services().values())
                   for node in lab.nodes)
    except (OSError, LabError):
        return False


def make_whole(lab):
    """Heals the ring, powers on what is off, starts what is stopped."""
    with lab.locked():
        if _is_whole(lab):
            return
        if len(lab.state["groups"]) > 1 or lab.state.get("severed"):
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
