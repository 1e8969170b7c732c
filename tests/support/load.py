# SPDX-License-Identifier: Apache-2.0
"""Recording clients on all nodes of a lab: started, ended, and what they have recorded."""

import contextlib
import shutil
import subprocess
import time
from pathlib import Path

from . import history, store, storeclient

CLIENT = Path(storeclient.__file__)
THREADS = 4
STOP_TIMEOUT = 60


class Load:
    """Recording clients on all nodes of a lab, in a directory of the store of their own."""

    def __init__(self, lab, seed):
        self.lab = lab
        self.seed = seed
        self.directory = f"load-{seed}".replace(" ", "-")
        self.logs = lab.place.shared / "history"
        self.runs = 0
        self.processes = []
        self.initial = {}

    def start(self):
        shutil.rmtree(self.logs, ignore_errors=True)
        self.logs.mkdir()
        shutil.copy(CLIENT, self.lab.place.shared / CLIENT.name)
        self.remove()
        top = store.root(self.lab.nodes[0]) / self.directory
        top.mkdir()
        for number in range(storeclient.FILES):
            self.initial[f"a{number}"] = f"initial-a{number}"
            store.put(top / f"a{number}", storeclient.content(f"initial-a{number}"))
        for node in self.lab.nodes:
            store.barrier(node)
        for node in self.lab.nodes:
            self.start_on(node)

    def start_on(self, node):
        """A client on a node, for the first time or after a power cut."""
        self.runs += 1
        name = f"{node.name}-{self.runs}"
        nodes = ",".join(node.name for node in self.lab.nodes)
        with open(self.logs / f"{name}.err", "wb") as out:
            self.processes.append(node.popen(
                ["/usr/bin/python3", f"/mnt/shared/{CLIENT.name}", node.name, str(self.runs),
                 self.directory, f"/mnt/shared/history/{name}.log", str(self.seed), str(THREADS),
                 nodes], stdin=subprocess.DEVNULL, stdout=out, stderr=out))

    def stop(self):
        """Ends the clients: each ends with the operation that it is in."""
        (self.logs / "stop").touch()
        for process in self.processes:
            process.wait(STOP_TIMEOUT)

    def kill(self):
        """Ends what is left of them after a failure, lest it disturbs the next scenario."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.stop()
        for process in self.processes:
            if process.poll() is None:
                process.kill()
                process.wait(STOP_TIMEOUT)

    def registers(self):
        return ([f"a{i}" for i in range(storeclient.FILES)] +
                [f"b{i}" for i in range(storeclient.FILES)] +
                [f"c{i}" for i in range(storeclient.MADE)] +
                [f"d{i}" for i in range(storeclient.DIRECTORIES)] +
                [f"g{i}" for i in range(storeclient.GUESTS)])

    def last_reads(self):
        """What all nodes show at the end, as reads after a barrier."""
        count = 0
        for node in self.lab.nodes:
            called = time.monotonic()
            store.wait_barrier(node)
            top = store.root(node)
            for register in self.registers():
                for kind, argument, path in self._looks(top, register):
                    count += 1
                    yield history.Event(
                        f"{node.name}.last.0.{count}", kind, register, argument, "last", called,
                        result=_see(path), returned=time.monotonic(), outcome="ok")

    def _looks(self, top, register):
        if not register.startswith("g"):
            yield "sync-read", "-", top / self.directory / register
            return
        name = f"{storeclient.FIRST_GUEST + int(register[1:])}.conf"
        for node in self.lab.nodes:
            yield "guest-look", node.name, top / "nodes" / node.name / "lxc" / name

    def history(self):
        return history.History(history.read_logs(self.logs) + list(self.last_reads()), self.initial)

    def remove(self):
        """Leaves nothing in the store, of other runs neither."""
        top = store.root(self.lab.nodes[0])
        store.barrier(self.lab.nodes[0])
        for path in top.glob("load-*"):
            shutil.rmtree(path)
        for path in top.glob(f"nodes/*/lxc/{storeclient.FIRST_GUEST // 10}?.conf"):
            path.unlink()
        for path in top.glob("probe-*"):
            path.unlink()

    def complaints(self):
        """What clients said although they had nothing to say.  One whose power was cut before it
        began has not begun."""
        said = {path.name: path.read_text() for path in sorted(self.logs.glob("*.err"))}
        return [f"{name}: {text}" for name, text in said.items()
                if text and not text.startswith("nsenter:")]


def _see(path):
    if path.is_dir():
        return "directory"
    try:
        return storeclient.value_of(path.read_bytes()) if path.stat().st_size else "empty"
    except FileNotFoundError:
        return "absent"
