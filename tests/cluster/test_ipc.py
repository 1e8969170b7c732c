# SPDX-License-Identifier: Apache-2.0
"""Clients of the store on three nodes: what one says, the others know."""

import errno
import json
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import pytest
from labkit.run import wait_for
from support import cfsipc
from support.cfsipc import Client, Failed

# Corosync notices a cut after its token and consensus timeouts.
NOTICE = 15


def client(node, **options):
    return Client(f"/proc/{node.pid()}/root/run/atoll/store.sock", **options)


def view(node, name):
    return json.loads(Path(f"/proc/{node.pid()}/root/etc/pve/{name}").read_text())


def is_writable(node):
    try:
        return client(node, timeout_ms=1000)("state")["writable"]
    except (Failed, TypeError, ValueError):
        return False


def all_serve(lab):
    """Everybody takes changes, and nobody is catching up."""
    for node in lab.nodes:
        if not is_writable(node):
            return False
        nodes = client(node)("state")["nodes"].values()
        if not all(n["in_store"] and not n["catching_up"] for n in nodes):
            return False
    return True


@pytest.fixture(autouse=True)
def whole(lab):
    wait_for(lambda: all_serve(lab), 60, "a store that serves everywhere")


def keys_of(node):
    return {(key["node"], key["key"]) for key in client(node)("status-list")}


def messages(node, tag=None):
    return [(entry["node"], entry["msg"]) for entry in view(node, ".clusterlog")["data"]
            if tag in (None, entry["tag"])]


# --- status ---------------------------------------------------------------------------------


def test_what_a_node_tells_is_known_everywhere_and_goes_with_it(lab):
    n1, n2, n3 = lab.nodes
    for number, node in enumerate(lab.nodes, 1):
        client(node)("status-set", "who", f"node {number}")
    for node in lab.nodes:
        wait_for(lambda node=node: {(1, "who"), (2, "who"), (3, "who")} <= keys_of(node), 5,
                 "all keys")
        assert client(node)("status-get", 3, "who")["value"] == "node 3"
    version = client(n1)("status-get", 3, "who")["version"]
    assert view(n1, ".version")["kvstore"]["n3"] == {"who": version}

    with client(n1).start("watch", cfsipc.STATUS, 0, "who") as watch:
        watch.wait(event="connected")
        n3.power_off()
        watch.wait(NOTICE, node=3, on=False)
        assert (3, "who") not in keys_of(n1) | keys_of(n2)
        n3.power_on()
        wait_for(lambda: is_writable(n3), 30, "n3 being back")
        wait_for(lambda: {(1, "who"), (2, "who")} <= keys_of(n3), 30, "the keys of the others")
        assert client(n3)("status-get", 2, "who")["value"] == "node 2"
        client(n3)("status-set", "who", "node 3 again")
        assert watch.wait(node=3, on=True)["version"] > version
    for node in (n1, n2):
        client(node)("status-set", "who")


def test_large_values_arrive_whole(lab):
    n1, n2, _ = lab.nodes
    for i in range(15):
        client(n1)("status-set", f"large{i}", str(i % 10) * 65536)
    wait_for(lambda: len([key for key in keys_of(n2) if key[1].startswith("large")]) == 15, 10,
             "all keys")
    for i in range(15):
        assert client(n2)("status-get", 1, f"large{i}")["value"] == str(i % 10) * 65536
        client(n1)("status-set", f"large{i}")
    wait_for(lambda: not any(key[1].startswith("large") for key in keys_of(n2)), 10, "no keys")


# --- events ---------------------------------------------------------------------------------


def test_events_arrive_on_other_nodes(lab):
    n1, n2, n3 = lab.nodes
    with client(n2).start("watch", cfsipc.PATH, 0, "test-events") as paths, \
            client(n2).start("watch", cfsipc.MEMBERS, 0, "") as members, \
            client(n3).start("watch", cfsipc.QUORUM, 0, "") as quorum:
        for watch in (paths, members, quorum):
            watch.wait(event="connected")
        client(n1).change({"op": "create", "path": "test-events", "data": "x"})
        told = paths.wait(text="test-events", on=True)
        assert client(n2)("read", "test-events")["version"] == told["version"]
        client(n1).change({"op": "unlink", "path": "test-events"})
        paths.wait(text="test-events", on=False)
        lab.partition(["n1,n2", "|", "n3"])
        members.wait(NOTICE, kind=cfsipc.MEMBERS)
        wait_for(lambda: not client(n2)("state")["nodes"]["n3"]["online"], NOTICE, "n3 away")
        quorum.wait(NOTICE, kind=cfsipc.QUORUM, on=False)
        state = client(n3)("state")
        assert (state["quorate"], state["writable"]) == (False, False)
        with pytest.raises(Failed) as caught:
            client(n3).change({"op": "create", "path": "minority"})
        assert caught.value.errno == errno.EROFS
        lab.heal()
        quorum.wait(30, kind=cfsipc.QUORUM, on=True)


def test_after_a_barrier_all_that_was_acknowledged_is_read(lab):
    n1, n2, _ = lab.nodes
    version = client(n1).change({"op": "create", "path": "test-barrier", "data": "0"})
    for i in range(1, 20):
        version = client(n1).change({"op": "replace", "path": "test-barrier", "data": str(i),
                                     "version": version})
        client(n2)("barrier")
        assert client(n2)("read", "test-barrier")["content"] == str(i)
    client(n2).change({"op": "unlink", "path": "test-barrier"})


def in_threads(functions):
    threads = [threading.Thread(target=function) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_a_conditional_transaction_has_one_winner(lab):
    for i in range(10):
        won = []

        def race(node, i=i, won=won):
            try:
                client(node).change(
                    {"op": "create", "path": f"test-race{i}", "absent": True},
                    {"op": "create", "path": f"test-race{i}-{node.name}"})
                won.append(node.name)
            except Failed as failed:
                assert failed.errno == errno.EEXIST

        in_threads([lambda node=node: race(node) for node in lab.nodes])
        assert len(won) == 1
        names = client(lab.nodes[0])
        names("barrier")
        found = [name for name in names("read", "")["names"] if name.startswith(f"test-race{i}")]
        assert sorted(found) == [f"test-race{i}", f"test-race{i}-{won[0]}"]
        for name in found:
            names.change({"op": "unlink", "path": name})


# --- locks ----------------------------------------------------------------------------------


def test_contenders_hold_a_lock_one_after_the_other(lab):
    """What a lock guards is a file that each holder reads and writes back with one more."""
    rounds, contenders = 4, 2
    path = "test-counter"
    client(lab.nodes[0]).change({"op": "create", "path": path, "data": "0"})
    held = []
    failures = []

    def contend(node):
        call = client(node, timeout_ms=20000)
        try:
            for _ in range(rounds):
                token = call("lock", "contended", node.name, 60, 40000)["token"]
                held.append(token)
                call("barrier")
                count = int(call("read", path)["content"])
                call.change({"op": "replace", "path": path, "data": str(count + 1)})
                call("unlock", token)
        except (Failed, ValueError) as failed:
            failures.append(failed)

    in_threads([lambda node=node: contend(node) for node in lab.nodes * contenders])
    assert not failures
    call = client(lab.nodes[1])
    call("barrier")
    assert int(call("read", path)["content"]) == len(lab.nodes) * contenders * rounds
    assert held == sorted(set(held)) and len(held) == len(lab.nodes) * contenders * rounds
    call.change({"op": "unlink", "path": path})


def test_the_lock_of_a_dead_node_is_taken_over_after_its_lease(lab):
    n1, _, n3 = lab.nodes
    ttl = 4
    with client(n3).start("hold", "ha", "n3", ttl) as holder:
        token = holder.wait(event="held")["token"]
        with client(n1).start("hold", "ha", "n1", ttl) as waiter:
            waiter.wait(event="connected")
            time.sleep(2 * ttl)
            assert not waiter.has_more()
            died = time.monotonic()
            n3.power_off()
            held = waiter.wait(NOTICE + 2 * ttl, event="held")
            assert held["token"] > token
            # Its last renewal was a third of the lease ago at the most.
            assert held["at"] - died > ttl / 2
    n3.power_on()


def test_a_holder_that_is_cut_off_knows_before_another_has_the_lock(lab):
    n1, _, n3 = lab.nodes
    with client(n3).start("hold", "cut", "n3", 3) as holder:
        token = holder.wait(event="held")["token"]
        with client(n1).start("hold", "cut", "n1", 3) as waiter:
            waiter.wait(event="connected")
            lab.partition(["n1,n2", "|", "n3"])
            lost = holder.wait(NOTICE, event="lost")
            held = waiter.wait(NOTICE + 6, event="held")
            assert lost["at"] < held["at"]
            assert held["token"] > token
            lab.heal()


def test_a_lock_is_kept_while_any_daemon_is_killed(lab):
    n1, _, n3 = lab.nodes
    with ExitStack() as stack:
        holder = stack.enter_context(client(n3).start("hold", "kept", "n3", 10))
        holder.wait(event="held")
        waiter = stack.enter_context(client(n1).start("hold", "kept", "n1", 10))
        waiter.wait(event="connected")
        for node in lab.nodes:
            pid = node.services()["atoll-cfs"]["pid"]
            node.ok(["kill", "-9", str(pid)])
            wait_for(lambda: all_serve(lab), 30, "all serving")
        holder.process.stdin.close()
        said = []
        while not holder.lines.empty():
            said.append(holder.lines.get()[1]["event"])
        assert "lost" not in said
        waiter.wait(NOTICE, event="held")


# --- cluster log ----------------------------------------------------------------------------


def test_the_cluster_log_is_the_same_on_all_nodes(lab):
    for i in range(5):
        in_threads([lambda node=node, i=i: client(node)("log-write", 6, "same",
                                                       f"{node.name} says {i}")
                    for node in lab.nodes])
    wait_for(lambda: len(messages(lab.nodes[0], "same")) == 15 and
             messages(lab.nodes[0]) == messages(lab.nodes[1]) == messages(lab.nodes[2]), 5,
             "equal logs")


def test_the_cluster_log_tells_of_a_cut_and_what_both_sides_said(lab):
    n1, n2, n3 = lab.nodes
    lab.partition(["n1,n2", "|", "n3"])
    wait_for(lambda: ("n3", "quorum lost") in messages(n3, "cfs"), NOTICE, "the loss of quorum")
    wait_for(lambda: ("n1", "node 'n3' left the cluster") in messages(n2, "cfs"), NOTICE,
             "n3 having left")
    client(n3)("log-write", 4, "cut", "said alone")
    client(n1)("log-write", 4, "cut", "said by the others")
    wait_for(lambda: messages(n2, "cut"), 5, "what n1 said")
    assert [text for _, text in messages(n2, "cut")] == ["said by the others"]
    lab.heal()
    wait_for(lambda: all_serve(lab), 30, "all serving")
    wait_for(lambda: messages(n1) == messages(n2) == messages(n3), 5, "equal logs")
    assert {text for _, text in messages(n2, "cut")} == {"said alone", "said by the others"}
    assert ("n1", "node 'n3' joined the cluster") in messages(n3, "cfs")
    assert ("n3", "quorum lost") in messages(n1, "cfs")


# --- the disk -------------------------------------------------------------------------------


def written(lab):
    return [view(node, ".store")["counters"]["bytes_written"] for node in lab.nodes]


def test_what_goes_beside_the_log_costs_no_disk(lab):
    with client(lab.nodes[1]).start("hold", "silent", "n2", 9) as holder:
        holder.wait(event="held")
        time.sleep(1)
        before = written(lab)
        for i in range(10):
            client(lab.nodes[0])("status-set", "load", str(i))
            client(lab.nodes[2])("log-write", 6, "disk", f"message {i}")
        time.sleep(8)
        assert written(lab) == before
        assert [line for _, line in list(holder.lines.queue) if line["event"] == "lost"] == []
        holder.stop()
    client(lab.nodes[0])("status-set", "load")
