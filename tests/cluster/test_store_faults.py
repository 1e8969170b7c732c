# SPDX-License-Identifier: Apache-2.0
"""The store under faults: clients on all nodes record what they do while the steps of a scenario are
carried out (the words are explained in support/faults.py).  Afterwards

    - the recorded history must be linearizable, and plain reads must never have gone back
      (support/history.py): so no acknowledged change is missing on any node;
    - all trees are equal, by digest and byte by byte through the mounts;
    - all nodes accept changes again, and no daemon has ended by itself.

ATOLL_SEED=N repeats who plays which part; `tests/cluster/soak` goes on for as long as you like."""

import pytest
from support.faults import Run, Scenario, draw_seed
from support.labs import fresh_lab, keep_logs

SCENARIOS = [
    # Crashes of the store alone.
    Scenario("kill of one", 3, ["run 1", "kill a", "run 2", "kill b", "run 2", "settled"]),
    Scenario("kill of a majority", 3, ["run 1", "kill a,b", "run 2", "settled", "run 1"]),
    Scenario("kill of all", 3, ["run 1", "kill a,b,c", "run 3", "settled", "kill a,b,c", "run 2"]),
    Scenario("kill of all but one", 5, ["run 1", "kill a,b,c,d", "run 3", "settled", "run 1"]),
    # Loss of power.
    Scenario("power cut of one", 3, ["run 1", "off a", "writable b,c", "run 1", "on a", "run 1"]),
    Scenario("power cut of a majority", 3,
             ["run 1", "off a,b", "readonly c", "run 1", "on a,b", "settled", "run 1"]),
    Scenario("power cut of all", 3, ["run 1", "off a,b,c", "on a,b,c", "settled", "run 1"]),
    Scenario("power cut of all, back one by one", 5,
             ["run 1", "off a,b,c,d,e", "on a,b", "run 1", "on c", "writable a,b,c", "run 1",
              "on d,e", "settled", "run 1"]),
    Scenario("power cut of two, then of two others", 5,
             ["run 1", "off a,b", "writable c,d,e", "run 1", "on a,b", "writable a,b", "off c,d",
              "writable a,b,e", "run 1", "on c,d"]),
    # Partitions.
    Scenario("one of three alone", 3,
             ["run 1", "cut a|b,c", "readonly a", "writable b,c", "run 1", "heal", "settled",
              "run 1"]),
    Scenario("all of three apart", 3, ["run 1", "cut a|b|c", "readonly a,b,c", "run 1", "heal"]),
    Scenario("who is alone changes", 3,
             ["run 1", "cut a|b,c", "run 4", "cut b|a,c", "run 4", "cut c|a,b", "run 4", "heal"]),
    Scenario("short cuts", 3,
             ["run 1", "cut a|b,c", "run 0.7", "heal", "run 0.7", "cut b|a,c", "run 0.7", "heal",
              "run 0.7", "cut a|b|c", "run 0.7", "heal", "run 1"]),
    Scenario("one of five alone", 5,
             ["run 1", "cut a|b,c,d,e", "readonly a", "writable b,c,d,e", "run 1", "heal",
              "settled"]),
    Scenario("two of five apart", 5,
             ["run 1", "cut a,b|c,d,e", "readonly a,b", "writable c,d,e", "run 1", "heal",
              "settled"]),
    Scenario("each of two alone", 5,
             ["run 1", "cut a|b|c,d,e", "readonly a,b", "writable c,d,e", "run 1", "heal",
              "settled"]),
    Scenario("no majority", 5,
             ["run 1", "cut a,b|c,d|e", "readonly a,b,c,d,e", "run 1", "heal", "settled"]),
    Scenario("all of five apart", 5,
             ["run 1", "cut a|b|c|d|e", "readonly a,b,c,d,e", "heal", "settled"]),
    Scenario("majorities that change without healing", 5,
             ["run 1", "cut a,b|c,d,e", "writable c,d,e", "run 1", "cut a,b,c|d,e",
              "writable a,b,c", "run 1", "cut a,d,e|b,c", "writable a,d,e", "run 1",
              "cut a|b|c,d,e", "writable c,d,e", "heal"]),
    # Who knows whom is not the same for all: corosync itself may find no stable membership.
    Scenario("a bridge", 3, ["run 1", "sever a>b b>a", "run 6", "heal", "settled"]),
    Scenario("one way only", 3, ["run 1", "sever a>b", "run 6", "heal", "settled"]),
    Scenario("a bridge between two pairs", 5,
             ["run 1", "sever a>d d>a a>e e>a b>d d>b b>e e>b", "run 6", "heal", "settled"]),
    # Time.
    Scenario("a sleeping store", 3,
             ["run 1", "stop a", "writable b,c", "run 3", "cont a", "settled", "run 1"]),
    Scenario("stores sleep in turn", 3,
             ["stop a", "run 2", "stop b", "cont a", "run 2", "stop c", "cont b", "run 2",
              "cont c"]),
    Scenario("two sleep through a cut", 5,
             ["run 1", "stop a,b", "cut a,c|b,d,e", "run 4", "heal", "cont a,b", "settled"]),
    Scenario("a starved store", 3, ["run 1", "starve a 4", "run 1"]),
    # The bus.
    Scenario("restart of one corosync", 3, ["run 1", "corosync a", "run 2", "settled"]),
    Scenario("restart of all corosyncs", 3, ["run 1", "corosync a,b,c", "run 2", "settled"]),
    # Disks.
    Scenario("a full disk", 3,
             ["small-disk a", "fill a", "silent a", "writable b,c", "run 1", "free a", "level a",
              "settled", "run 1"]),
    Scenario("all disks full", 3,
             ["small-disk a,b,c", "fill a,b,c", "full a,b,c", "free a,b,c", "settled", "run 1"]),
    # Catching up.
    Scenario("away for 2,000 changes", 3,
             ["off a", "writable b,c", "changes 2000", "on a", "settled", "run 1"]),
    Scenario("a new, empty node", 5,
             ["run 1", "drop a", "writable b,c,d,e", "run 1", "join a", "settled", "run 1"]),
    Scenario("a database is removed", 3,
             ["run 1", "lose a", "writable b,c", "run 1", "writable a", "level a", "run 1"]),
    Scenario("a database is damaged", 3,
             ["run 1", "damage a", "writable b,c", "run 1", "writable a", "level a", "run 1"]),
    Scenario("one after the other loses its database", 3,
             ["run 1", "lose a", "settled", "level a", "run 1", "damage b", "settled", "level b",
              "run 1", "lose c", "settled", "run 1"]),
    Scenario("two of five lose theirs, and too few remember", 5,
             ["run 1", "off c", "lose a,b", "forgetful a,b,d,e", "readonly a,b,d,e", "on c",
              "settled", "run 1"]),
    # One on the other.
    Scenario("kills in a cut", 5,
             ["run 1", "cut a,b|c,d,e", "run 3", "kill a,c", "run 2", "kill d", "heal", "run 1",
              "kill b,e", "settled"]),
    Scenario("power fails while a node catches up", 3,
             ["off a", "writable b,c", "changes 500", "on a", "run 0.3", "off b", "run 2", "on b",
              "settled", "run 1"]),
]

SEED = draw_seed()


@pytest.fixture(scope="module")
def five_lab():
    """Five nodes, for this file."""
    lab = fresh_lab("five", count=5)
    yield lab
    with lab.locked():
        lab.down()


def scenarios(count):
    return [pytest.param(scenario, id=scenario.name.replace(" ", "-"))
            for scenario in SCENARIOS if scenario.nodes == count]


def play(lab, scenario, request):
    try:
        problems = Run(lab, scenario, SEED).run()
    except BaseException:
        keep_logs(lab, request.node.nodeid)
        raise
    if problems:
        print(*problems, sep="\n")
        keep_logs(lab, request.node.nodeid)
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize("scenario", scenarios(3))
def test_three_nodes(cluster_lab, scenario, request):
    play(cluster_lab, scenario, request)


@pytest.mark.parametrize("scenario", scenarios(5))
def test_five_nodes(five_lab, scenario, request):
    play(five_lab, scenario, request)
