# SPDX-License-Identifier: Apache-2.0
"""The checkers of histories find what they must, and nothing else."""

import random

import pytest
from support.history import History, file_model, file_state, parse, without_unseen
from support.linearizability import UNKNOWN, Operation, check


def op(kind, value, called, returned=UNKNOWN):
    return Operation(kind, value, called, returned, pure=kind == "read")


def is_linearizable(*operations, initial="absent"):
    return check(without_unseen(operations), file_model, initial, once=file_state) is None


# --- the search -----------------------------------------------------------------------------

LINEARIZABLE = {
    "nothing": [],
    "one after the other": [
        op("put", "x", 0, 1), op("read", "x", 2, 3), op("put", "y", 4, 5), op("read", "y", 6, 7)],
    "a read during a write sees the old": [
        op("put", "x", 0, 1), op("put", "y", 2, 9), op("read", "x", 3, 4)],
    "a read during a write sees the new": [
        op("put", "x", 0, 1), op("put", "y", 2, 9), op("read", "y", 3, 4), op("read", "y", 5, 6)],
    "writes at once, in the order that reads tell": [
        op("put", "x", 0, 9), op("put", "y", 0, 9), op("read", "y", 10, 11)],
    "an unknown write happens late": [
        op("put", "x", 0, 1), op("put", "y", 2), op("read", "x", 3, 4), op("read", "y", 8, 9)],
    "an unknown write never happens": [
        op("put", "x", 0, 1), op("put", "y", 2), op("read", "x", 8, 9)],
    "an unknown creation makes the file that is removed": [
        op("create", "x", 0), op("unlink", "u", 5, 6), op("read", "absent", 7, 8)],
    "two creations with a removal between": [
        op("create", "x", 0, 1), op("unlink", "u", 0, 5), op("create", "y", 2, 6)],
    "a file is made twice, by two": [
        op("make", "x", 0, 9), op("make", "y", 0, 9), op("read", "x", 10, 11)],
    "what is filled after its removal is not seen": [
        op("create", "x", 0, 1), op("unlink", "u", 2, 3), op("fill", "x", 4, 5),
        op("read", "absent", 6, 7), op("create", "y", 8, 9), op("read", "empty", 10, 11)],
}

BROKEN = {
    "a stale read": [
        op("put", "x", 0, 1), op("put", "y", 2, 3), op("read", "x", 4, 5)],
    "a lost write": [op("put", "x", 0, 1), op("read", "absent", 2, 3)],
    "two winners": [op("create", "x", 0, 3), op("create", "y", 1, 4)],
    "two removals of one file": [
        op("put", "x", 0, 1), op("unlink", "u", 2, 5), op("unlink", "v", 2, 5)],
    "two readers disagree about the order": [
        op("put", "x", 0, 9), op("put", "y", 0, 9), op("read", "x", 10, 11),
        op("read", "y", 12, 13)],
    "an unknown write happens twice": [
        op("put", "x", 0, 1), op("put", "y", 2), op("read", "y", 3, 4), op("put", "z", 5, 6),
        op("read", "y", 7, 8)],
    "an unknown write happens before its call": [
        op("put", "x", 0, 1), op("read", "y", 2, 3), op("put", "y", 4)],
    "a publication over a file": [op("put", "x", 0, 1), op("publish", "y", 2, 3)],
    "of two who made a file none is seen": [
        op("make", "x", 0, 9), op("make", "y", 0, 9), op("read", "absent", 10, 11)],
}


@pytest.mark.parametrize("name", LINEARIZABLE)
def test_what_is_linearizable_passes(name):
    assert is_linearizable(*LINEARIZABLE[name])


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_broken_is_found(name):
    assert not is_linearizable(*BROKEN[name])


def test_an_order_that_is_known_otherwise_is_kept():
    first, second = op("put", "x", 0, 9), op("put", "y", 0, 9)
    read = op("read", "x", 10, 11)
    assert is_linearizable(first, second, read)
    second.after.append(first)
    assert not is_linearizable(first, second, read)


def test_a_finding_tells_how_far_it_came():
    operations = [op("put", "x", 0, 1), op("put", "y", 2, 3), op("read", "x", 4, 5)]
    stuck = check(operations, file_model, "absent")
    assert stuck.order == operations[:2] and stuck.state == "y"
    assert stuck.candidates == operations[2:]
    assert "read 'x'" in str(stuck)


# --- long histories -------------------------------------------------------------------------


def made_up(seed, count=400, clients=12):
    """A history of one register as an atomic one gives it: clients that wait, take effect at one
    moment, and wait again; some of them never hear of it, and what they asked for happens or not."""
    draw = random.Random(seed)
    state, operations, moments = "absent", [], []
    for client in range(clients):
        now = draw.random()
        for i in range(count // clients):
            moment = now + draw.expovariate(1)
            moments.append((moment, now, moment + draw.expovariate(1), f"{client}.{i}"))
            now = moments[-1][2] + draw.expovariate(2)
    for moment, called, returned, name in sorted(moments):
        kind = draw.choice(("put", "put", "read", "read", "publish", "unlink"))
        is_unknown = kind != "read" and draw.random() < 0.05
        if is_unknown and draw.random() < 0.5:
            operations.append(op(kind, name, called))
            continue
        if kind in ("publish", "unlink") and (state == "absent") != (kind == "publish"):
            continue  # Refused.
        if kind == "read":
            operations.append(op("read", state, called, returned))
            continue
        state = "absent" if kind == "unlink" else name
        operations.append(op(kind, name, called, UNKNOWN if is_unknown else returned))
    return operations


@pytest.mark.parametrize("seed", range(20))
def test_long_histories_pass_and_a_planted_fault_is_found(seed):
    operations = made_up(seed)
    assert is_linearizable(*operations)

    # A read that shows what was there before two writes that it came after.
    reads = [o for o in operations if o.kind == "read" and o.value != "absent"]
    writes = [o for o in operations if o.kind == "put" and o.returned != UNKNOWN]
    for stale in reads[len(reads) // 2:]:
        writer = next(o for o in operations if o.kind != "read" and o.value == stale.value)
        later = [o for o in writes if o.called > min(writer.returned, stale.called)]
        if later:
            ended = max(later, key=lambda o: o.called).returned
            assert not is_linearizable(
                *operations, op("read", stale.value, ended + 1, ended + 2))
            return
    pytest.fail("no read to plant")


def test_ten_thousand_operations_are_checked():
    """Fifty registers, each with many clients at once and some unknown ends."""
    total = 0
    for seed in range(100, 150):
        operations = made_up(seed, count=240)
        total += len(operations)
        assert is_linearizable(*operations)
    assert total > 7000


# --- recorded histories ---------------------------------------------------------------------

# One event a line: name, session, called, returned, kind, register, argument, outcome, result.
# Names begin with the node: n1.0.0.1 is the first operation of thread 0 of run 0 on n1.


def problems(text, **initial):
    lines = []
    for line in text.strip().splitlines():
        name, session, called, returned, kind, register, argument, outcome, result = line.split()
        lines.append(f"call {name} {int(called) * 10**9} {session} {kind} {register} {argument}")
        if outcome != "killed":
            lines.append(f"ret {name} {int(returned) * 10**9} {outcome} {result}")
    return History(parse(lines), initial).check()


def test_a_good_record_passes():
    assert problems("""
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 ok -
        n2.0.0.1 0 2 3 read a0 - ok old
        n2.0.0.2 0 4 5 sync-read a0 - ok n1.0.0.1
        n3.0.0.1 0 6 7 write a0 n3.0.0.1 unknown EIO
        n2.0.0.3 0 8 9 read a0 - ok n3.0.0.1
        n1.0.0.2 0 8 9 create b0 n1.0.0.2 no EEXIST
        n1.0.0.3 0 10 11 guest-create g0 n1 ok -
        n2.0.0.4 0 12 13 guest-move g0 n1,n3 ok -
        n2.0.0.5 0 14 15 guest-look g0 n1 ok absent
        """, a0="old") == []


def test_a_file_may_be_seen_empty_while_it_is_made():
    assert problems("""
        n1.0.0.1 0 0 5 make c0 n1.0.0.1 ok -
        n2.0.0.1 0 1 2 sync-read c0 - ok empty
        n2.0.0.2 0 6 7 sync-read c0 - ok n1.0.0.1
        n2.0.0.3 0 8 9 unlink c0 n2.0.0.3 ok -
        n1.0.0.2 0 10 15 make c0 n1.0.0.2 no ESTALE
        n2.0.0.4 0 11 12 unlink c0 n2.0.0.4 ok -
        n2.0.0.5 0 13 14 sync-read c0 - ok absent
        n1.0.0.3 0 16 17 make c0 n1.0.0.3 no EROFS
        n2.0.0.6 0 18 19 sync-read c0 - ok empty
        """) == []


BAD_RECORDS = {
    "not linearizable": """
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 ok -
        n2.0.0.1 0 2 3 sync-read a0 - ok old""",
    "state is 'unseen'": """
        n1.0.0.1 0 0 1 make c0 n1.0.0.1 ok -
        n2.0.0.1 0 2 3 sync-read c0 - ok empty""",
    "state is ('empty', None)": """
        n1.0.0.1 0 0 1 make c0 n1.0.0.1 no EROFS
        n2.0.0.1 0 2 3 sync-read c0 - ok empty
        n2.0.0.2 0 4 5 sync-read c0 - ok absent""",
    "never written": "n1.0.0.1 0 0 1 read a0 - ok nobody",
    "the future": """
        n1.0.0.1 0 0 1 read a0 - ok n2.0.0.1
        n2.0.0.1 0 2 3 write a0 n2.0.0.1 ok -""",
    "back to the beginning": """
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 ok -
        n1.0.1.1 0 2 3 read a0 - ok old""",
    "without anybody removing it": """
        n1.0.0.1 0 0 1 put b0 n1.0.0.1 ok -
        n1.0.0.2 0 2 3 read b0 - ok absent""",
    "an error that nobody expects": "n1.0.0.1 0 0 1 write a0 n1.0.0.1 no ENOENT",
    "a0: a value that was never written": """
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 no EROFS
        n1.0.0.2 0 2 3 read a0 - ok n1.0.0.1""",
}

# All in the words `not linearizable`, for a reason that a plain read gives.
BAD_PLAIN_READS = {
    "backwards on one node": """
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 ok -
        n1.0.0.2 0 2 3 write a0 n1.0.0.2 ok -
        n2.0.0.1 0 4 5 read a0 - ok n1.0.0.2
        n2.0.1.1 0 6 7 read a0 - ok n1.0.0.1""",
    "to and fro": """
        n1.0.0.1 0 0 9 write a0 n1.0.0.1 ok -
        n3.0.0.1 0 0 9 write a0 n3.0.0.1 ok -
        n2.0.0.1 0 1 2 read a0 - ok n1.0.0.1
        n2.0.0.2 0 3 4 read a0 - ok n3.0.0.1
        n2.0.0.3 0 5 6 read a0 - ok n1.0.0.1""",
    "shown, then rolled back": """
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 killed -
        n2.0.0.1 0 4 5 read a0 - ok n1.0.0.1
        n3.0.0.1 0 6 7 sync-read a0 - ok old""",
    "two nodes have a guest": """
        n1.0.0.1 0 0 1 guest-create g0 n1 ok -
        n2.0.0.1 0 2 3 guest-create g0 n2 ok -""",
    "a guest is moved from one node to two": """
        n1.0.0.1 0 0 1 guest-create g0 n1 ok -
        n1.0.0.2 0 2 5 guest-move g0 n1,n2 ok -
        n3.0.0.1 0 2 5 guest-move g0 n1,n3 ok -""",
}


@pytest.mark.parametrize("what", BAD_RECORDS)
def test_a_bad_record_is_found(what):
    assert what in "\n".join(problems(BAD_RECORDS[what], a0="old"))


@pytest.mark.parametrize("what", BAD_PLAIN_READS)
def test_plain_reads_that_go_back_are_found(what):
    assert "not linearizable" in "\n".join(problems(BAD_PLAIN_READS[what], a0="old"))


def test_reads_may_go_back_with_a_new_mount_and_be_late_on_another_node():
    assert problems("""
        n1.0.0.1 0 0 1 write a0 n1.0.0.1 ok -
        n1.0.0.2 0 2 3 write a0 n1.0.0.2 ok -
        n2.0.0.1 0 4 5 read a0 - ok n1.0.0.2
        n2.0.0.2 1 6 7 read a0 - ok n1.0.0.1
        n3.0.0.1 0 8 9 read a0 - ok n1.0.0.1
        """, a0="old") == []
