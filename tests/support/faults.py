# SPDX-License-Identifier: Apache-2.0
"""Runs a scenario of faults under load, and judges what came of it.

A scenario is a list of steps, which are words.  Nodes are called a, b, c …: which ones they are is
drawn anew each time, and so is how long `run` takes.

    run S               the clients work for about S seconds
    kill A              kill -9 of the store; it is started again
    off A / on A        a power cut / boot with the disk as it is
    cut A|B             partition of the cluster network, also from one shape to another
    sever A>B           packets from A do not reach B
    heal                the network is whole
    stop A / cont A     SIGSTOP / SIGCONT of the store
    starve A S          the store gets a fifth of its time for S seconds
    corosync A          restart of corosync alone
    small-disk A        a database on a file system with 64 MiB of room: more than logs take
    fill A / free A     no byte is left there / room again
    changes N           N changes, as fast as they go
    drop A / join A     A leaves the nodelist and loses its database / comes back, empty
    lose A              the database is removed under the store, which is then killed
    damage A            most of the database is overwritten under the store, which is then killed;
                        waits until it was found and set aside
    writable A          waits until changes are accepted
    readonly A          waits until changes are refused with EROFS
    full A              waits until no disk takes changes, and they end with EIO, or are refused
                        with EROFS as others have waited in vain
    silent A            waits until A's disk takes nothing while other disks do
    level A             waits until A's disk holds what is committed
    forgetful A         waits until A says that too few remember for an epoch
    settled             waits until everybody accepts changes
"""

import contextlib
import errno
import functools
import os
import random
import re
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from labkit.run import wait_for

from . import store
from .labs import LOGS, make_whole
from .load import Load

LETTERS = "abcde"

# How daemons may end: killed by us, or asked to.
EXPECTED_ENDS = {"killed by signal 9", "exit status 0"}


@dataclass
class Scenario:
    """A line of the table."""

    name: str
    nodes: int
    steps: list


def draw_scenario(draw, size, length=8):
    """A scenario that nobody wrote."""
    letters = LETTERS[:size]
    on, steps = set(letters), ["run 1"]

    def some(of):
        return ",".join(sorted(draw.sample(sorted(of), draw.randint(1, len(of)))))

    def cut():
        groups = {}
        for letter in letters:
            groups.setdefault(draw.randrange(3), []).append(letter)
        if len(groups) > 1:
            steps.append("cut " + "|".join(",".join(group) for group in groups.values()))

    def sever():
        pairs = [f"{a}>{b}" for a in letters for b in letters if a != b]
        steps.append("sever " + " ".join(draw.sample(pairs, draw.randint(1, 3))))

    def power():
        victims = some(letters)
        off = ",".join(sorted(on & set(victims)))
        back = ",".join(sorted(set(victims.split(",")) - on))
        steps.extend([f"off {off}"] if off else [])
        steps.extend([f"on {back}"] if back else [])
        on.symmetric_difference_update(victims.split(","))

    def on_some(verb):
        return lambda: steps.append(f"{verb} {some(on)}") if on else None

    def database():
        # Once, and one: what more of them held may be gone for good.
        if on and not any(step.startswith(("lose", "damage")) for step in steps):
            steps.append(f"{draw.choice(('lose', 'damage'))} {draw.choice(sorted(on))}")

    moves = [cut, cut, sever, power, power, lambda: steps.append("heal"), on_some("kill"),
             on_some("kill"), on_some("stop"), on_some("cont"), on_some("corosync"), database]
    for _ in range(length):
        draw.choice(moves)()
        steps.append(f"run {draw.choice((0.2, 1, 3))}")
    return Scenario("drawn", size, steps)


def draw_seed():
    """The seed of this process: ATOLL_SEED, or a new one."""
    return os.environ.get("ATOLL_SEED") or f"{random.SystemRandom().randrange(10**8)}"


def at_once(functions):
    """Runs functions at the same time, to their end."""
    with ThreadPoolExecutor(32) as pool:
        for made in [pool.submit(function) for function in functions]:
            made.result()


class Run:
    """One run of a scenario in a lab."""

    def __init__(self, lab, scenario, seed):
        self.lab = lab
        self.scenario = scenario
        self.seed = f"{seed} {scenario.name}"
        self.random = random.Random(self.seed)
        self.load = Load(lab, re.sub(r"\W+", "-", self.seed))
        names = [node.name for node in lab.nodes]
        self.random.shuffle(names)
        self.names = dict(zip(LETTERS, names))
        self.background = []
        self.small = {}
        self.log_sizes = {}

    # --- words ------------------------------------------------------------------------------

    def real(self, word):
        """A word with the names of this run's nodes."""
        return re.sub(r"\b[a-e]\b", lambda match: self.names[match.group()], word)

    def nodes(self, word):
        return [self.lab.node(name) for name in self.real(word).split(",")]

    def step(self, text):
        verb, *words = text.split()
        getattr(self, "do_" + verb.replace("-", "_"))(*words)

    # --- steps ------------------------------------------------------------------------------

    def do_run(self, seconds):
        time.sleep(float(seconds) * self.random.uniform(0.5, 1.5))

    def do_kill(self, word):
        for node in self.nodes(word):
            store.kill_store(node)

    def do_off(self, word):
        at_once(node.power_off for node in self.nodes(word))

    def do_on(self, word):
        for node in self.nodes(word):
            node.power_on()
            self.load.start_on(node)

    def do_cut(self, word):
        with self.lab.locked():
            self.lab.partition([self.real(word)])

    def do_sever(self, *words):
        with self.lab.locked():
            self.lab.sever(*(self.real(word).split(">") for word in words))

    def do_heal(self):
        with self.lab.locked():
            self.lab.heal()

    def _signal(self, word, name):
        for node in self.nodes(word):
            pid = node.services()["atoll-cfs"]["pid"]
            if pid:  # It may just be between two lives.
                node.run(["kill", f"-{name}", str(pid)])

    def do_stop(self, word):
        self._signal(word, "STOP")

    def do_cont(self, word):
        self._signal(word, "CONT")

    def do_starve(self, word, seconds):
        ticks = []
        for node in self.nodes(word):
            pid = node.services()["atoll-cfs"]["pid"]
            ticks.append(node.popen(["sh", "-c", f"""
                for i in $(seq {int(float(seconds) * 10)}); do
                    kill -STOP {pid}; sleep 0.08; kill -CONT {pid}; sleep 0.02
                done"""]))
        for process in ticks:
            process.wait(float(seconds) * 30)

    def do_corosync(self, word):
        at_once(functools.partial(node.service, "restart", "corosync")
                for node in self.nodes(word))

    def do_small_disk(self, word):
        for node in self.nodes(word):
            node.service("stop", "atoll-cfs")
            node.ok(["sh", "-c", """set -e
                mkdir /run/small
                size=$(($(du -sk /var/lib/atoll | cut -f1) + 65536))
                mount -t tmpfs -o size=${size}k,mode=700 tmpfs /run/small
                cp -a /var/lib/atoll/. /run/small
                mount --move /run/small /var/lib/atoll"""])
            node.service("start", "atoll-cfs")
            self.small[node.name] = node

    def _large_disk(self, node):
        node.service("stop", "atoll-cfs")
        node.ok(["sh", "-c", """set -e
            rm -f /var/lib/atoll/filler
            mount --move /var/lib/atoll /run/small
            rm -rf /var/lib/atoll/*
            cp -a /run/small/. /var/lib/atoll
            umount /run/small
            rmdir /run/small"""])
        node.service("start", "atoll-cfs")

    def do_fill(self, word):
        for node in self.nodes(word):
            node.run(["dd", "if=/dev/zero", "of=/var/lib/atoll/filler", "bs=4k"])

    def do_free(self, word):
        for node in self.nodes(word):
            node.ok(["rm", "/var/lib/atoll/filler"])

    def do_changes(self, count):
        """Writers of its own, beside the clients, on a node that is on."""
        node = next(node for node in self.lab.nodes if node.is_on())
        top = store.root(node) / self.load.directory
        left = iter(range(int(count)))
        lock = threading.Lock()

        def write(path):
            while True:
                with lock:
                    number = next(left, None)
                if number is None:
                    return
                store.put(path, b"%d" % number)

        at_once(functools.partial(write, top / f"change-{i}") for i in range(16))
        assert next(left, None) is None, "the changes were not made"

    def do_drop(self, word):
        self.do_off(word)
        gone = self.nodes(word)
        for node in gone:
            shutil.rmtree(node.disk / "var/lib/atoll")
            (node.disk / "var/lib/atoll").mkdir()
        names = {node.name for node in gone}
        with self.lab.locked():
            self.lab.set_nodelist([n.name for n in self.lab.nodes if n.name not in names])

    def do_join(self, word):
        with self.lab.locked():
            self.lab.set_nodelist([node.name for node in self.lab.nodes])
        self.do_on(word)

    def _kill_and(self, word, do):
        """Kills stores, and does something to their databases before they know."""
        for node in self.nodes(word):
            pid = wait_for(lambda node=node: node.services()["atoll-cfs"]["pid"], store.NOTICE,
                           f"the store of {node.name}")
            node.ok(["sh", "-c", f"cd /var/lib/atoll; kill -STOP {pid}; {do}; kill -KILL {pid}"])

    def do_lose(self, word):
        self._kill_and(word, "rm config.db config.db-wal config.db-shm")

    def do_damage(self, word):
        self._kill_and(word, "dd if=/dev/urandom of=config.db conv=notrunc bs=4096 seek=1 "
                       "count=$(($(stat -c %s config.db) / 4096 - 1)) status=none")
        for node in self.nodes(word):
            wait_for(lambda node=node: self._set_aside(node), store.NOTICE,
                     f"the damaged database of {node.name} being set aside")

    @staticmethod
    def _set_aside(node):
        """The damaged databases that there are; they take no room in the lab any longer."""
        found = list((node.disk / "var/lib/atoll").glob("config.db.damaged-*"))
        for path in found:
            path.unlink()
        return found

    def do_writable(self, word):
        store.wait_writable(self.nodes(word))

    def do_readonly(self, word):
        for node in self.nodes(word):
            wait_for(lambda node=node: store.is_readonly(node), store.NOTICE,
                     f"EROFS on {node.name}")

    def do_full(self, word):
        # Each look may take the 10 s after which a change is given up.
        for node in self.nodes(word):
            wait_for(lambda node=node: store.probe(node) in (errno.EIO, errno.EROFS),
                     3 * store.NOTICE, f"EIO on {node.name}")

    def _disk_of(self, node):
        """What another node, that is on, knows of a node's disk, and what is committed."""
        other = next(o for o in self.lab.nodes if o.name != node.name and o.is_on())
        seen = store.state(other)
        held = [member["acknowledged"] for member in seen["members"]
                if member["id"] == node.number]
        return held[0] if held else 0, seen["commit"]

    def do_silent(self, word):
        def is_silent(node):
            held, commit = self._disk_of(node)
            time.sleep(0.5)
            now_held, now_commit = self._disk_of(node)
            return now_held == held and now_commit > commit + 10

        for node in self.nodes(word):
            wait_for(lambda node=node: is_silent(node), store.NOTICE,
                     f"the silence of {node.name}")

    def do_level(self, word):
        for node in self.nodes(word):
            _, commit = self._disk_of(node)
            wait_for(lambda node=node, commit=commit: self._disk_of(node)[0] >= commit,
                     store.NOTICE, f"the disk of {node.name} being level")

    def do_forgetful(self, word):
        for node in self.nodes(word):
            wait_for(lambda node=node: store.is_forgetful(node), store.NOTICE,
                     f"{node.name} saying that too few remember")

    def do_settled(self):
        store.wait_writable(self.lab.nodes)

    # --- before and after -------------------------------------------------------------------

    def begin(self):
        make_whole(self.lab)
        store.wait_writable(self.lab.nodes)
        self.log_sizes = {path: path.stat().st_size for path in self._daemon_logs()}
        self.load.start()

    def mend(self):
        """Takes back what the steps have left."""
        for node in self.lab.nodes:
            if node.is_on():
                self._signal(node.name, "CONT")
        off = [node for node in self.lab.nodes if not node.is_on()]
        make_whole(self.lab)
        for node in self.small.values():
            self._large_disk(node)
        self.small = {}
        for node in off:
            self.load.start_on(node)
        store.wait_writable(self.lab.nodes)
        # Everybody has a turn on what is whole again.
        time.sleep(1)

    def _daemon_logs(self):
        return [path for node in self.lab.nodes for path in node.logs()
                if path.name == "atoll-cfs.log" or path.name == "corosync.log"]

    def bad_ends(self):
        """Daemons that ended by themselves during the run."""
        found = []
        for path in self._daemon_logs():
            with open(path, encoding="utf-8", errors="replace") as log:
                log.seek(self.log_sizes.get(path, 0))
                for line in log:
                    match = re.match(r"--- \S+ end \((.*)\) of (\S+)", line)
                    if match and match.group(1) not in EXPECTED_ENDS:
                        found.append(f"{path}: {line.strip()}")
        return found

    def judge(self):
        """What is wrong, as sentences; and the history."""
        made = self.load.history()
        problems = self.load.complaints() + self.bad_ends() + made.check()
        acknowledged = made.acknowledged()
        for node in self.lab.nodes:
            if acknowledged[node.name] < 20:
                problems.append(f"{node.name} has acknowledged {acknowledged[node.name]} changes: "
                                "nothing was tried")
        store.compare_trees(self.lab)
        return problems, made

    def keep_history(self):
        """Copies the record of a run that failed to where the logs are."""
        target = LOGS / f"history-{self.load.directory}"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self.load.logs, target)
        return target

    def run(self):
        """All of it: what is wrong, as sentences."""
        roles = ", ".join(f"{letter} is {name}" for letter, name in self.names.items())
        print(f"seed {self.seed!r}: {roles}", file=sys.stderr, flush=True)
        self.begin()
        try:
            for text in self.scenario.steps:
                print(f"  {time.monotonic():.3f} {self.real(text)}", file=sys.stderr, flush=True)
                self.step(text)
            self.mend()
            self.load.stop()
            problems, made = self.judge()
            print(f"  {made.summary()}", file=sys.stderr, flush=True)
            if not problems:
                self.load.remove()
        except BaseException:
            self.keep_history()
            # The next scenario may find the lab usable; if not, it says so itself.
            with contextlib.suppress(Exception):
                self.mend()
            raise
        finally:
            self.load.kill()
        if problems:
            problems.append(f"the history is in {self.keep_history()}")
        return problems
