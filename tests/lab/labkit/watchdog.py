# SPDX-License-Identifier: Apache-2.0
"""The watchdogs of a lab's nodes: a program outside the nodes that cuts the power of one that
does not feed its watchdog in time.

A node finds its watchdog as a stream socket, /.lab/watchdog.sock, with the verbs of a watchdog
device, one a line, each answered by a line:

    (connect)       opens the device: the watchdog runs, with a timeout of 60 s
    timeout N       sets the timeout to N seconds, and feeds          -> timeout N
    keepalive       feeds                                             -> ok
    magic           the close that follows is meant: it stops it      -> ok
    (close)         without magic, the watchdog runs on

As with the device, one at a time may hold it open (the second is refused: `busy`), and opening it
again after a close without magic takes over the running watchdog.
"""

import json
import selectors
import socket
import sys
import time
from pathlib import Path

TIMEOUT = 60
TIMEOUT_MAX = 3600
LINE_MAX = 64
IN_NODE = ".lab/watchdog.sock"


class Watchdog:
    """The watchdog of one node."""

    def __init__(self, node):
        self.node = node
        self.timeout = TIMEOUT
        self.deadline = None   # Monotonic seconds; None: not running.
        self.boot = None       # PID 1 of the node that opened it: another one is another boot.
        self.client = None
        self.buffer = b""
        self.magic = False

    def open(self, client):
        self.client, self.buffer, self.magic = client, b"", False
        self.boot = self.node.pid()
        self.feed()

    def feed(self):
        self.deadline = time.monotonic() + self.timeout

    def close(self):
        self.client.close()
        self.client = None
        if self.magic:
            self.deadline, self.timeout = None, TIMEOUT

    def command(self, line):
        """Carries out one verb: what it is answered with."""
        words = line.split()
        self.magic = words == ["magic"]
        if words == ["keepalive"]:
            self.feed()
            return "ok"
        if self.magic:
            return "ok"
        if len(words) == 2 and words[0] == "timeout" and words[1].isdecimal() \
                and 1 <= int(words[1]) <= TIMEOUT_MAX:
            self.timeout = int(words[1])
            self.feed()
            return f"timeout {self.timeout}"
        return "error"

    def receive(self):
        """Reads what the client sent; False when it closed."""
        try:
            data = self.client.recv(4096)
        except OSError:
            data = b""
        if not data or len(self.buffer) > LINE_MAX:
            return False
        self.buffer += data
        *lines, self.buffer = self.buffer.split(b"\n")
        try:
            for line in lines:
                self.client.sendall(self.command(line.decode("ascii", "replace")).encode() + b"\n")
        except OSError:
            return False
        return True

    def fires(self):
        """Whether time is up for a node that did not lose its power meanwhile; asked once."""
        if self.deadline is None or time.monotonic() < self.deadline:
            return False
        self.deadline = None
        return self.boot is not None and self.node.pid() == self.boot


class Keeper:
    """All watchdogs of a lab."""

    def __init__(self, lab):
        self.events = lab.place.top / "watchdog.log"
        self.selector = selectors.DefaultSelector()
        self.watchdogs = [Watchdog(node) for node in lab.nodes]
        for watchdog in self.watchdogs:
            path = watchdog.node.disk / IN_NODE
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
            server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            server.bind(str(path))
            server.listen(4)
            self.selector.register(server, selectors.EVENT_READ, (self.accept, watchdog))

    def accept(self, server, watchdog):
        client, _ = server.accept()
        client.settimeout(1)
        if watchdog.client:
            client.sendall(b"busy\n")
            client.close()
            return
        watchdog.open(client)
        self.selector.register(client, selectors.EVENT_READ, (self.serve, watchdog))

    def serve(self, client, watchdog):
        if not watchdog.receive():
            self.selector.unregister(client)
            watchdog.close()

    def wait(self):
        """Seconds until the next watchdog is due; None: none runs."""
        deadlines = [w.deadline for w in self.watchdogs if w.deadline is not None]
        return max(0, min(deadlines) - time.monotonic()) if deadlines else None

    def run(self):
        while True:
            for key, _ in self.selector.select(self.wait()):
                function, watchdog = key.data
                function(key.fileobj, watchdog)
            for watchdog in self.watchdogs:
                if watchdog.fires():
                    self.log(watchdog)
                    watchdog.node.power_off()

    def log(self, watchdog):
        event = {"node": watchdog.node.name, "time": time.time(), "timeout": watchdog.timeout}
        with open(self.events, "a", encoding="utf-8") as log:
            log.write(json.dumps(event) + "\n")


def events(lab):
    """The times at which watchdogs fired: [{"node", "time", "timeout"}], oldest first."""
    try:
        lines = (lab.place.top / "watchdog.log").read_text().splitlines()
    except FileNotFoundError:
        return []
    return [json.loads(line) for line in lines]


def main():
    # Imported late: as a program this file knows its package only from here on.
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from labkit.cluster import Lab
    keeper = Keeper(Lab(sys.argv[1]))
    print("ready", flush=True)
    keeper.run()


if __name__ == "__main__":
    main()
