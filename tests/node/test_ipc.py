# SPDX-License-Identifier: Apache-2.0
"""Clients of a store that stands alone: what they may ask, and what they cannot do to it."""

import errno
import grp
import json
import os
import signal
import struct
import subprocess
import time
from pathlib import Path

import pytest
from support import cfsipc
from support.cfsipc import Bare, Client, Failed, string
from test_store import Store, serving, wait_for

NOBODY = 65534
MIB = 1 << 20


class Served(Store):
    """A store with a socket."""

    def __init__(self, directory):
        super().__init__(directory)
        self.socket = directory / "run/socket"

    def argv(self):
        return [*super().argv(), "--socket", str(self.socket)]

    def start(self):
        # As its unit has it.
        before = os.umask(0o077)
        try:
            super().start()
        finally:
            os.umask(before)
        wait_for(self.socket.exists)
        return self


@pytest.fixture
def store(tmp_path):
    # Others must be able to knock.
    for directory in (tmp_path, *tmp_path.parents[:3]):
        if directory != Path("/tmp"):
            directory.chmod(directory.stat().st_mode | 0o011)
    yield from serving(Served(tmp_path))


@pytest.fixture
def client(store):
    return Client(store.socket)


def refuses(code, client, *arguments, **options):
    with pytest.raises(Failed) as caught:
        client(*arguments, **options)
    assert errno.errorcode[caught.value.errno] == errno.errorcode[code]


def refuses_change(code, client, *ops):
    with pytest.raises(Failed) as caught:
        client.change(*ops)
    assert errno.errorcode[caught.value.errno] == errno.errorcode[code]


def create(path, data="", **condition):
    return {"op": "create", "path": path, "data": data, **condition}


# --- the tree -------------------------------------------------------------------------------


def test_a_client_reads_what_the_file_system_shows(store, client):
    (store.mount / "a").write_bytes(b"one")
    found = client("read", "a")
    assert (found["content"], found["directory"]) == ("one", False)
    (store.mount / "a").write_bytes(b"two")
    assert client("read", "a")["version"] > found["version"]
    assert "a" in client("read", "")["names"]
    refuses(errno.ENOENT, client, "read", "missing")


def test_a_change_says_which_version_it_made(store, client):
    version = client.change(create("a", "one"))
    assert client("read", "a")["version"] == version
    assert (store.mount / "a").read_bytes() == b"one"
    assert client.change({"op": "replace", "path": "a", "data": "two", "version": version})
    refuses_change(errno.ESTALE, client,
                   {"op": "replace", "path": "a", "data": "three", "version": version})
    assert (store.mount / "a").read_bytes() == b"two"


def test_a_transaction_happens_entirely_or_not_at_all(store, client):
    client.change(create("a", "one"))
    refuses_change(errno.EEXIST, client,
                   create("b"), {"op": "unlink", "path": "a"}, create("b", absent=True))
    assert sorted(client("read", "")["names"]) == ["a", "nodes", "priv"]
    client.change(create("b", "new"), {"op": "unlink", "path": "a"})
    assert not (store.mount / "a").exists()
    assert (store.mount / "b").read_bytes() == b"new"


def test_wrong_changes_get_the_right_errno(client):
    refuses_change(errno.EPERM, client, create(".members"))
    refuses_change(errno.EPERM, client, create("a"), create("local"))
    refuses_change(errno.EINVAL, client, {"op": "lock", "path": "priv/lock/x"})
    refuses_change(errno.EINVAL, client, create("../a"))
    refuses_change(errno.ENOENT, client, create("no/such/directory"))
    assert client("read", "")["names"] == ["nodes", "priv"]


def test_a_file_of_a_mebibyte_passes_and_larger_ones_are_refused(client):
    client("fill", "big", MIB)
    assert client("read", "big")["size"] == MIB
    refuses(errno.EFBIG, client, "fill", "bigger", MIB + 1)
    refuses(errno.EMSGSIZE, client, "fill", "huge", 5 * MIB)


def test_a_barrier_and_the_state(client):
    assert client("barrier") == {}
    state = client("state")
    assert (state["standalone"], state["writable"], state["state"]) == (True, True, "active")
    assert list(state["nodes"].values()) == [
        {"id": 1, "online": True, "in_store": True, "catching_up": False}]


# --- status, cluster log, events ------------------------------------------------------------


def test_status_keys_are_set_and_counted(store, client):
    client("status-set", "load", "0.5")
    first = client("status-get", 1, "load")
    assert first["value"] == "0.5"
    client("status-set", "load", "0.7")
    second = client("status-get", 1, "load")
    assert second["version"] > first["version"]
    assert [(key["node"], key["key"]) for key in client("status-list")] == [(1, "load")]
    assert list(store.view(".version")["kvstore"].values()) == [{"load": second["version"]}]
    client("status-set", "load")
    assert client("status-list") == []
    refuses(errno.ENOENT, client, "status-get", 1, "load")
    refuses(errno.EINVAL, client, "status-set", "a b", "x")
    refuses(errno.EFBIG, client, "status-set", "large", "x" * 65537)


def test_the_cluster_log_has_the_last_messages(store, client):
    for i in range(60):
        client("log-write", 6, "test", f"message {i}")
    shown = store.view(".clusterlog")["data"]
    assert [entry["msg"] for entry in shown] == [f"message {i}" for i in range(59, 9, -1)]
    assert [entry["msg"] for entry in client("log-read")] == [entry["msg"] for entry in shown]
    assert {(entry["tag"], entry["user"], entry["pri"]) for entry in shown} == {
        ("test", "root@pam", 6)}
    refuses(errno.EINVAL, client, "log-write", 6, "test", "two\nlines")
    refuses(errno.EMSGSIZE, client, "log-write", 6, "test", "x" * 3000)


def test_what_clients_say_of_themselves_breaks_no_view(store, client):
    keys = ["a/b", '"},{"', "\\", "../..", "k" * 127]
    for key in keys:
        client("status-set", key, "x")
    shown = list(store.view(".version")["kvstore"].values())
    assert [sorted(node) for node in shown] == [sorted(keys)]
    for key in ("", "k" * 128, "a\nb", "a\tb", "\x7f", "ä"):
        refuses(errno.EINVAL, client, "status-set", key, "x")
    client("log-write", 6, '"}],', '"}]}\\ ä')
    assert store.view(".clusterlog")["data"][0]["msg"] == '"}]}\\ ä'
    for text in ("a\rb", "\x1b[31m", "\x7f", "\x9b31m"):
        refuses(errno.EINVAL, client, "log-write", 6, "tag", text)
        refuses(errno.EINVAL, client, "log-write", 6, text, "text")
    refuses(errno.EMSGSIZE, client, "log-write", 6, "t" * 64, "text")
    for owner in ("a\nb", "\x1b[31m", "\x9b31m"):
        refuses(errno.EINVAL, client, "lock", "ha", owner, 60, 0)
    refuses(errno.ENAMETOOLONG, client, "lock", "ha", "o" * 256, 60, 0)
    refuses(errno.ENAMETOOLONG, client, "lock", "h" * 256, "me", 60, 0)


def test_status_has_a_limit_in_all(client):
    for i in range(15):
        client("status-set", f"k{i:02}", "x" * 65536)
    refuses(errno.ENOSPC, client, "status-set", "more", "x" * 65536)
    client("status-set", "k00", "x")
    client("status-set", "more", "x" * 65536)


def test_events_are_told_to_who_asked(store, client):
    (store.mount / "dir").mkdir()
    with client.start("watch", cfsipc.PATH, 0, "dir") as below, \
            client.start("watch", cfsipc.PATH, 1, "dir/a") as exact, \
            client.start("watch", cfsipc.STATUS | cfsipc.LOG, 0, "") as others:
        for watch in (below, exact, others):
            watch.wait(event="connected")
        (store.mount / "outside").write_bytes(b"x")
        (store.mount / "dir/a").write_bytes(b"x")
        (store.mount / "dir/b").write_bytes(b"x")
        os.unlink(store.mount / "dir/a")
        client("status-set", "key", "value")
        client("log-write", 6, "test", "text")
        below.wait(text="dir/b", on=True)
        below.wait(text="dir/a", on=False)
        assert exact.wait(event="told", on=True)["text"] == "dir/a"
        exact.wait(text="dir/a", on=False)
        assert others.wait(event="told")["text"] == "key"
        others.wait(kind=cfsipc.LOG)
        time.sleep(0.1)
        assert not exact.has_more() and not others.has_more()


def test_a_renamed_file_goes_at_one_path_and_comes_at_the_other(store, client):
    (store.mount / "a").write_bytes(b"x")
    with client.start("watch", cfsipc.PATH, 0, "") as watch:
        watch.wait(event="connected")
        os.rename(store.mount / "a", store.mount / "b")
        watch.wait(text="a", on=False)
        watch.wait(text="b", on=True)


# --- locks ----------------------------------------------------------------------------------


def test_a_lock_has_one_holder_and_growing_tokens(client):
    first = client("lock", "ha", "me", 60, 0)
    assert 50_000 < first["left_ms"] <= 60_000
    refuses(errno.EEXIST, client, "lock", "ha", "other", 60, 0)
    assert client("renew", first["token"])["left_ms"] > 50_000
    client("unlock", first["token"])
    refuses(errno.ESTALE, client, "renew", first["token"])
    refuses(errno.ESTALE, client, "unlock", first["token"])
    assert client("lock", "ha", "other", 60, 0)["token"] > first["token"]


def test_wrong_locks_are_refused(client):
    refuses(errno.EINVAL, client, "lock", "a/b", "me", 60, 0)
    refuses(errno.EINVAL, client, "lock", "ha", "me", 0, 0)
    refuses(errno.EINVAL, client, "lock", "ha", "me", 3601, 0)
    refuses(errno.ESTALE, client, "renew", 12345)


def test_a_waiter_gets_the_lock_when_it_is_freed(client):
    with client.start("hold", "ha", "first", 60) as first:
        token = first.wait(event="held")["token"]
        with client.start("hold", "ha", "second", 60) as second:
            second.wait(event="connected")
            time.sleep(0.3)
            assert not second.has_more()
            began = time.monotonic()
            first.stop()
            held = second.wait(event="held")
            assert held["token"] > token
            assert held["at"] - began < 1


def test_a_lock_is_kept_by_renewing_and_lost_with_its_holder(client):
    with client.start("hold", "ha", "first", 2) as first, \
            client.start("hold", "ha", "second", 2) as second:
        holder, waiter = first, second
        first.wait(event="connected")
        second.wait(event="connected")
        time.sleep(0.2)
        if second.has_more():
            holder, waiter = second, first
        token = holder.wait(event="held")["token"]
        time.sleep(5)
        assert not waiter.has_more() and not holder.has_more()
        died = time.monotonic()
        holder.kill()
        held = waiter.wait(event="held")
        assert held["token"] > token
        # Not before the lease could have been renewed the last time.
        assert 1 < held["at"] - died < 4


def test_a_holder_that_cannot_renew_is_told_in_time(store, client):
    with client.start("hold", "ha", "me", 3) as holder:
        holder.wait(event="held")
        store.process.send_signal(signal.SIGSTOP)
        stopped = time.monotonic()
        try:
            lost = holder.wait(event="lost")
        finally:
            store.process.send_signal(signal.SIGCONT)
        assert lost["errno"] == errno.ETIME
        assert lost["at"] - stopped < 3
        # A renewal that was under way is the last one.
        client("lock", "ha", "other", 60, 8000)
        assert not holder.has_more()


def test_who_stops_waiting_takes_nothing(client):
    token = client("lock", "ha", "me", 60, 0)["token"]
    impatient = Client(client.argv[-1].partition("=")[2], timeout_ms=200)
    refuses(errno.ETIMEDOUT, impatient, "lock", "ha", "other", 60, 100)
    with client.start("hold", "ha", "third", 60) as waiter:
        waiter.wait(event="connected")
        waiter.kill()
    client("unlock", token)
    time.sleep(0.2)
    client("lock", "ha", "me", 60, 0)


def is_held(client, token):
    try:
        client("renew", token)
    except Failed as failed:
        assert failed.errno == errno.ESTALE
        return False
    return True


def test_a_lock_outlives_a_restart_of_the_store(store, client):
    with client.start("hold", "ha", "me", 30) as holder:
        token = holder.wait(event="held")["token"]
        store.kill()
        holder.wait(event="disconnected")
        store.start()
        holder.wait(event="connected")
        assert client("renew", token)["left_ms"] > 25_000
        holder.stop()
        # Its last word was to free the lock; nobody waited for that.
        wait_for(lambda: not is_held(client, token))


# --- who may come in ------------------------------------------------------------------------


def as_user(user, group, groups=()):
    """Options that run a program as somebody else."""
    return {"user": user, "group": group, "extra_groups": list(groups)}


def test_the_group_reads_and_changes_nothing(store, client):
    group = grp.getgrnam("www-data").gr_gid
    (store.mount / "a").write_bytes(b"open")
    (store.mount / "priv/key").write_bytes(b"secret")
    for who in (as_user(NOBODY, group), as_user(NOBODY, NOBODY, [group])):
        assert client("read", "a", **who)["content"] == "open"
        assert client("state", **who)["writable"]
        assert client("barrier", **who) == {}
        refuses(errno.EACCES, client, "read", "priv/key", **who)
        refuses(errno.EACCES, client, "read", "priv", **who)
        refuses(errno.EPERM, client, "status-set", "a", "b", **who)
        refuses(errno.EPERM, client, "log-write", 6, "a", "b", **who)
        refuses(errno.EPERM, client, "lock", "a", "b", 60, 0, **who)
        refuses(errno.EPERM, client, "change", json.dumps(create("x")), **who)
    assert not (store.mount / "x").exists()


def test_others_are_refused_when_they_connect(store, client):
    refuses(errno.EACCES, client, "state", **as_user(NOBODY, NOBODY))
    # However many knock, and wait: the store keeps none of them.
    before = len(os.listdir(f"/proc/{store.process.pid}/fd"))
    program = ("import socket, time\nkept = []\n"
               "for i in range(500):\n"
               "    s = socket.socket(socket.AF_UNIX)\n"
               f"    s.connect({str(store.socket)!r})\n"
               "    kept.append(s)\n"
               "print('connected', flush=True)\ntime.sleep(60)\n")
    crowd = subprocess.Popen(["/usr/bin/python3", "-c", program], stdout=subprocess.PIPE,
                             **as_user(NOBODY, NOBODY))
    try:
        assert crowd.stdout.readline() == b"connected\n"
        assert client("state")["writable"]
        assert len(os.listdir(f"/proc/{store.process.pid}/fd")) <= before + 1
    finally:
        crowd.kill()
        crowd.wait()


def test_secrets_are_not_told_by_events(store, client):
    group = grp.getgrnam("www-data").gr_gid
    watch = subprocess.Popen([*client.argv, "--", "watch", "1", "0", ""], stdin=subprocess.PIPE,
                             stdout=subprocess.PIPE, text=True, **as_user(NOBODY, group))
    try:
        assert json.loads(watch.stdout.readline())["event"] == "connected"
        (store.mount / "priv/key").write_bytes(b"secret")
        (store.mount / "open").write_bytes(b"x")
        assert json.loads(watch.stdout.readline())["text"] == "open"
    finally:
        watch.kill()
        watch.wait()


# --- clients that behave badly --------------------------------------------------------------


def subscribe_to_all(bare):
    return bare.ask(cfsipc.SUBSCRIBE, struct.pack("<IB", cfsipc.PATH, 0) + string(""))


def test_a_client_that_never_reads_its_events_is_disconnected(store, client):
    deaf = Bare(store.socket)
    assert deaf.greeting() == 0
    subscribe_to_all(deaf)
    name = "n" * 200
    with client.start("watch", cfsipc.PATH, 1, "last") as other:
        other.wait(event="connected")
        for i in range(12000):
            os.close(os.open(store.mount / f"{name}{i % 4}", os.O_WRONLY | os.O_CREAT))
            os.unlink(store.mount / f"{name}{i % 4}")
            if i % 500 == 0 and "does not read its events" in store.log():
                break
        (store.mount / "last").write_bytes(b"x")
        other.wait(text="last", on=True)
    assert store.log().count("does not read its events") == 1
    assert deaf.is_closed()


def test_a_client_that_never_reads_its_answers_holds_up_nobody(store, client):
    client("fill", "big", MIB)
    deaf = Bare(store.socket)
    deaf.socket.setblocking(False)
    body = string("big")
    asked = 0
    try:
        while asked < 100_000:
            deaf.ask(cfsipc.READ, body)
            asked += 1
    except BlockingIOError:
        pass
    # It is no longer read from, so it could not send for ever.
    assert asked < 100_000
    began = time.monotonic()
    assert client("read", "big")["size"] == MIB
    assert time.monotonic() - began < 2
    memory = Path(f"/proc/{store.process.pid}/status").read_text()
    resident = int(memory.partition("VmRSS:")[2].split()[0])
    assert resident < 64 * 1024
    deaf.close()


def test_a_request_that_waits_holds_up_no_other(store):
    client = Bare(store.socket)
    assert client.greeting() == 0
    lock = string("ha") + string("me") + struct.pack("<IB", 60, 1)
    client.ask(cfsipc.LOCK, lock)
    assert client.reply()[1:3] == (cfsipc.LOCK, 1)
    waiting = client.ask(cfsipc.LOCK, lock)
    for _ in range(10):
        asked = client.ask(cfsipc.STATE)
        assert client.reply()[2] == asked != waiting
    client.close()


@pytest.mark.parametrize("garbage", [
    struct.pack("<I", 0xffffffff),
    struct.pack("<I", 0),
    struct.pack("<IBBBBQ", 12, 9, 1, 5, 0, 1),
    struct.pack("<IBBBBQ", 12, 1, 1, 200, 0, 1),
    struct.pack("<IBBBBQ", 12, 1, 1, 5, 0, 0),
    os.urandom(4096),
])
def test_a_client_that_talks_nonsense_is_disconnected(store, client, garbage):
    bare = Bare(store.socket)
    assert bare.greeting() == 0
    bare.socket.sendall(garbage + bytes(64))
    assert bare.is_closed()
    assert client("state")["writable"]


def test_many_who_ask_for_a_barrier_share_it(store):
    bare = Bare(store.socket)
    assert bare.greeting() == 0
    before = store.view(".store")["commit"]
    asked = [bare.ask(cfsipc.BARRIER) for _ in range(1000)]
    answered = [bare.reply() for _ in asked]
    assert [number for _, _, number, _ in answered] == asked
    assert {rest for _, _, _, rest in answered} == {bytes(4)}
    assert store.view(".store")["commit"] - before < 200


def test_half_a_request_waits_for_its_rest(store, client):
    bare = Bare(store.socket)
    assert bare.greeting() == 0
    message = struct.pack("<IBBBBQ", 12, 1, 1, cfsipc.STATE, 0, 1)
    for byte in message[:-1]:
        bare.socket.sendall(bytes([byte]))
    assert client("state")["writable"]
    bare.socket.sendall(message[-1:])
    assert bare.reply()[:3] == (cfsipc.ANSWER, cfsipc.STATE, 1)


def test_a_hundred_clients_are_told_of_each_change(store, client):
    watches = [Bare(store.socket) for _ in range(100)]
    for bare in watches:
        assert bare.greeting() == 0
        subscribe_to_all(bare)
        assert bare.reply()[1] == cfsipc.SUBSCRIBE
    began = time.monotonic()
    (store.mount / "a").write_bytes(b"x")
    for bare in watches:
        family, kind, _, rest = bare.reply()
        assert (family, kind) == (cfsipc.EVENT, cfsipc.PATH)
        assert rest.endswith(string("a"))
    assert time.monotonic() - began < 5
    for bare in watches:
        bare.close()
    wait_for(lambda: len(os.listdir(f"/proc/{store.process.pid}/fd")) < 50)


FLOOD = """
import select, socket, struct, sys
path, kind, body = sys.argv[1], int(sys.argv[2]), bytes.fromhex(sys.argv[3])
message = struct.pack("<IBBBBQ", 12 + len(body), 1, 1, kind, 0, 1) + body
clients = []
for _ in range(32):
    client = socket.socket(socket.AF_UNIX)
    client.connect(path)
    client.recv(64)
    client.setblocking(False)
    clients.append(client)
print("begun", flush=True)
while True:
    readable, writable, _ = select.select(clients, clients, [])
    for client in readable:
        client.recv(1 << 20)
    for client in writable:
        try:
            client.send(message * 200)
        except BlockingIOError:
            pass
"""


def median_write_ms(store, n=100):
    taken = []
    for _ in range(n):
        began = time.monotonic()
        (store.mount / "written").write_bytes(b"x" * 512)
        taken.append((time.monotonic() - began) * 1000)
    return sorted(taken)[n // 2]


@pytest.mark.parametrize("kind, body", [
    (cfsipc.READ, string("")), (cfsipc.STATE, b""), (cfsipc.BARRIER, b"")])
def test_readers_who_ask_without_pause_hold_up_no_writer(store, kind, body):
    for i in range(1000):
        (store.mount / f"file-{i}").touch()
    alone = median_write_ms(store)
    group = grp.getgrnam("www-data").gr_gid
    flood = subprocess.Popen(["/usr/bin/python3", "-c", FLOOD, str(store.socket), str(kind),
                              body.hex()], stdout=subprocess.PIPE, **as_user(NOBODY, group))
    try:
        assert flood.stdout.readline() == b"begun\n"
        # Without a limit, reading takes a hundred times as long.
        assert median_write_ms(store) < 10 * alone + 5
    finally:
        flood.kill()
        flood.wait()


def test_who_only_reads_has_few_subscriptions(store):
    group = grp.getgrnam("www-data").gr_gid
    program = ("import socket, struct\n"
               "s = socket.socket(socket.AF_UNIX)\n"
               f"s.connect({str(store.socket)!r})\n"
               "s.recv(64)\n"
               "results = []\n"
               "for i in range(10000):\n"
               f"    s.sendall(struct.pack('<IBBBBQIBIB', 22, 1, 1, {cfsipc.SUBSCRIBE}, 0, i + 1,"
               f" {cfsipc.PATH}, 0, 1, 0))\n"
               "    results.append(struct.unpack('<I', s.recv(64)[16:20])[0])\n"
               "print(results.count(0), set(results))\n")
    found = subprocess.run(["/usr/bin/python3", "-c", program], stdout=subprocess.PIPE, check=True,
                           text=True, **as_user(NOBODY, group))
    assert found.stdout == f"16 {{0, {errno.ENOSPC}}}\n"


def test_one_user_cannot_take_all_places(store, client):
    group = grp.getgrnam("www-data").gr_gid
    program = ("import socket, struct, time\nkept, results = [], []\n"
               "for i in range(40):\n"
               "    s = socket.socket(socket.AF_UNIX)\n"
               f"    s.connect({str(store.socket)!r})\n"
               "    results.append(struct.unpack('<I', s.recv(64)[16:20])[0])\n"
               "    kept.append(s)\n"
               "print(results.count(0), set(results))\n")
    found = subprocess.run(["/usr/bin/python3", "-c", program], stdout=subprocess.PIPE, check=True,
                           text=True, **as_user(NOBODY, group))
    assert found.stdout == f"32 {{0, {errno.EUSERS}}}\n"
    assert client("state")["writable"]


# --- restarts -------------------------------------------------------------------------------


def test_a_client_comes_back_after_the_store_was_killed(store, client):
    with client.start("watch", cfsipc.PATH, 0, "") as watch:
        watch.wait(event="connected")
        for _ in range(3):
            store.kill()
            watch.wait(event="disconnected")
            store.start()
            watch.wait(event="connected")
            (store.mount / "a").write_bytes(b"x")
            watch.wait(text="a")


def test_a_call_waits_for_a_store_that_is_restarted(store, client):
    store.kill()
    waiting = client.start("state")
    time.sleep(0.3)
    store.start()
    assert waiting.wait(state="active")
    store.stop()
    refuses(errno.ETIMEDOUT, Client(store.socket, timeout_ms=300), "state")


def test_a_second_store_does_not_take_the_socket(store, client, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    second = Served(other)
    second.socket = store.socket
    done = subprocess.run(second.argv(), stderr=subprocess.PIPE, text=True, timeout=20,
                          check=False)
    assert done.returncode == 1
    assert "cannot listen at" in done.stderr
    assert client("state")["writable"]


def test_what_clients_say_costs_no_disk(store, client):
    def written():
        return int(store.view(".store")["counters"]["bytes_written"])

    token = client("lock", "ha", "me", 60, 0)["token"]
    before = written()
    client("status-set", "key", "x" * 60000)
    client("log-write", 6, "test", "text")
    client("renew", token)
    time.sleep(0.3)
    assert written() == before
