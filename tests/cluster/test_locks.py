# SPDX-License-Identifier: Apache-2.0
"""Locks of the store on three nodes: directories below priv/lock, and leases of clients."""

import os
import signal
import threading
import time

import pytest
from cluster.test_store import barrier, is_writable, kill_store, root, store_is_back
from labkit.run import wait_for
from support.cfsipc import Client

# A lease that a test can wait for.
TTL = 2


def client(node):
    return Client(f"/proc/{node.pid()}/root/run/atoll/store.sock")


def lock_path(node, name="x"):
    return root(node) / "priv/lock" / name


def exists(node, name="x"):
    barrier(node)
    return lock_path(node, name).is_dir()


@pytest.fixture(autouse=True)
def clean(lab):
    """No locks, on a store that can be written everywhere."""
    for node in lab.nodes:
        wait_for(lambda node=node: is_writable(node), 60, f"a writable store on {node.name}")
    yield
    wait_for(lambda: is_writable(lab.nodes[0]), 60, "a writable store")
    for name in os.listdir(root(lab.nodes[0]) / "priv/lock"):
        lock_path(lab.nodes[0], name).rmdir()


# --- directories ----------------------------------------------------------------------------


def test_one_node_gets_the_directory(lab):
    for _ in range(20):
        winners = []
        start = threading.Barrier(len(lab.nodes))

        def take(node, winners=winners, start=start):
            start.wait()
            try:
                lock_path(node).mkdir()
                winners.append(node)
            except FileExistsError:
                pass

        threads = [threading.Thread(target=take, args=(node,)) for node in lab.nodes]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(winners) == 1
        lock_path(winners[0]).rmdir()


def test_a_fresh_directory_is_left_alone(n1, n2):
    lock_path(n1).mkdir()
    assert exists(n2)
    os.utime(lock_path(n2), (0, 0))
    assert exists(n1)
    with pytest.raises(FileExistsError):
        lock_path(n2).mkdir()


def test_a_renewed_directory_is_left_alone_and_a_forgotten_one_is_removed(n1, n2):
    """The same directories as of mkdir(2), with a lease that a test can wait for."""
    client(n1)("lock", "x", "n1", TTL, 0)
    end = time.monotonic() + 3 * TTL
    while time.monotonic() < end:
        os.utime(lock_path(n1))
        renewed = time.monotonic()
        os.utime(lock_path(n2), (0, 0))
        assert exists(n1)
        time.sleep(TTL / 8)

    while exists(n2):
        asked = time.monotonic()
        os.utime(lock_path(n2), (0, 0))
        time.sleep(0.05)
    assert TTL <= asked + 0.1 - renewed < TTL + 1
    lock_path(n2).mkdir()


def test_a_cut_off_node_neither_takes_nor_frees(lab, n1, n3):
    lock_path(n1).mkdir()
    assert exists(n3)
    lab.partition(["n1,n2", "|", "n3"])
    wait_for(lambda: not is_writable(n3), 30, "a read-only store")
    for change in (lock_path(n3).rmdir, lock_path(n3, "y").mkdir,
                   lambda: os.utime(lock_path(n3))):
        with pytest.raises(OSError):
            change()
    lab.heal()
    wait_for(lambda: is_writable(n3), 30, "a writable store")
    assert exists(n3) and not exists(n3, "y")


# --- leases ---------------------------------------------------------------------------------


def test_a_waiter_on_another_node_is_woken(n1, n2):
    first, second = client(n1), client(n2)
    token = first("lock", "x", "n1", 60, 0)["token"]
    with second.start("hold", "x", "n2", 60) as waiter:
        waiter.wait(event="connected")
        time.sleep(0.3)
        assert not waiter.has_more()
        freed = time.monotonic()
        first("unlock", token)
        held = waiter.wait(event="held")
        assert held["token"] > token
        assert held["at"] - freed < 1


def test_the_lock_of_a_lost_node_is_taken_over_after_its_lease(lab, n1, n3):
    with client(n3).start("hold", "x", "n3", TTL) as holder:
        token = holder.wait(event="held")["token"]
        with client(n1).start("hold", "x", "n1", TTL) as waiter:
            waiter.wait(event="connected")
            time.sleep(2 * TTL)
            assert not waiter.has_more()
            lost = time.monotonic()
            n3.power_off()
            held = waiter.wait(event="held", timeout=60)
            assert held["token"] > token
            # Everybody's wait begins anew with the epoch without the lost node.
            assert held["at"] - lost > TTL
    n3.power_on()


class Holders:
    """Clients on all nodes that want one lock all the time, and what they were told."""

    def __init__(self, lab):
        self.lab = lab
        self.lines = []  # Of (time, node, event, token).
        self.stopping = threading.Event()
        self.threads = [threading.Thread(target=self._run, args=(node,)) for node in lab.nodes]
        for thread in self.threads:
            thread.start()

    def _run(self, node):
        while not self.stopping.is_set():
            try:
                with client(node).start("hold", "x", node.name, TTL) as holder:
                    self._follow(node, holder)
            except (OSError, AssertionError):
                time.sleep(0.1)  # The node is being killed.

    def _follow(self, node, holder):
        held = None
        while not self.stopping.is_set():
            try:
                line = holder.wait(timeout=0.2)
            except AssertionError:
                # Now and then the holder frees the lock by itself.
                if held and time.monotonic() - held > 2 * TTL:
                    self.lines.append((time.monotonic(), node.name, "freed", 0))
                    holder.stop()
                    return
                continue
            if line.get("event") == "held":
                held = line["at"]
                self.lines.append((line["at"], node.name, "held", line["token"]))
            elif line.get("event") == "lost" or "errno" in line:
                self.lines.append((line["at"], node.name, "lost", 0))
                return
        if held:
            self.lines.append((time.monotonic(), node.name, "freed", 0))
        holder.stop()

    def stop(self):
        self.stopping.set()
        for thread in self.threads:
            thread.join(30)
        return sorted(self.lines)


def check_holders(lines):
    """At no time do two hold the lock, and tokens grow.  Returns how often it was had."""
    holder, last, count = None, 0, 0
    for _, node, event, token in lines:
        if event == "held":
            assert holder is None, lines
            assert token > last, lines
            holder, last, count = node, token, count + 1
        elif node == holder:
            holder = None
    return count


def test_holders_never_overlap_in_a_storm(lab):
    holders = Holders(lab)
    try:
        for i, node in enumerate(list(lab.nodes) * 2):
            time.sleep(2 * TTL)
            if i % 3 == 0:
                others = ",".join(n.name for n in lab.nodes if n.name != node.name)
                lab.partition([others, "|", node.name])
                time.sleep(3 * TTL)
                lab.heal()
            elif i % 3 == 1:
                pid = kill_store(node)
                wait_for(lambda node=node, pid=pid: store_is_back(node, pid), 60, "the store")
            else:
                pid = node.services()["atoll-cfs"]["pid"]
                node.ok(["kill", f"-{int(signal.SIGSTOP)}", str(pid)])
                time.sleep(2 * TTL)
                node.ok(["kill", f"-{int(signal.SIGCONT)}", str(pid)])
    finally:
        lines = holders.stop()
    assert check_holders(lines) > 5
    wait_for(lambda: all(is_writable(node) for node in lab.nodes), 60, "writable stores")
