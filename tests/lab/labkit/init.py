# SPDX-License-Identifier: Apache-2.0
"""PID 1 of a node: mounts its file system, starts its daemons, reaps, and answers the lab on a
socket.  To kill it is a power cut.

It is started in the node's fresh namespaces with one argument, a JSON file.  On its standard output
it says `pid N`, its pid as the machine sees it, and then waits for a line on its standard input:
the lab plugs in the network meanwhile.
"""

import json
import os
import selectors
import signal
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

# Everything is imported before the root changes: this tree is not visible from inside.
from labkit import rootfs  # noqa: E402
from labkit.services import Supervisor  # noqa: E402

CONTROL = "/.lab/init.sock"
TICK = 0.05
REQUEST_MAX = 65536


def wait_for_network():
    """Tells the lab our pid (that of the machine's /proc, still mounted) and waits for its go."""
    print("pid", os.readlink("/proc/self"), flush=True)
    if sys.stdin.readline() != "go\n":
        sys.exit("init: the lab went away during boot")


def detach(log):
    """Lets go of the lab's pipes; log is open already, its path is not visible any more."""
    with open(os.devnull, "rb") as null:
        os.dup2(null.fileno(), 0)
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)


def listen():
    Path(CONTROL).parent.mkdir(mode=0o700, exist_ok=True)
    Path(CONTROL).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    server.bind(CONTROL)
    server.listen(16)
    return server


def answer(server, supervisor):
    """Takes one request, a line of JSON, and answers it with another."""
    connection, _ = server.accept()
    with connection:
        connection.settimeout(2)
        try:
            data = connection.makefile("rb").readline(REQUEST_MAX)
            reply = supervisor.handle(json.loads(data))
            connection.sendall(json.dumps(reply).encode() + b"\n")
        except (OSError, ValueError, KeyError) as error:
            print("init: a request failed:", error, file=sys.stderr, flush=True)


def reap(supervisor):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        supervisor.died(pid, status)


def main():
    config = json.loads(Path(sys.argv[1]).read_text())
    socket.sethostname(config["name"])
    log = open(config["directory"] + "/init.log", "ab")
    wait_for_network()
    rootfs.build(config)

    wake_read, wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)

    supervisor = Supervisor(config["services"])
    server = listen()
    print("booted", flush=True)
    detach(log)

    events = selectors.DefaultSelector()
    events.register(server, selectors.EVENT_READ)
    events.register(wake_read, selectors.EVENT_READ)
    while True:
        supervisor.tick()
        # Nothing is polled once all services run: an idle node costs nothing.
        for key, _ in events.select(None if supervisor.is_settled() else TICK):
            if key.fileobj is server:
                answer(server, supervisor)
            else:
                os.read(wake_read, 4096)
        reap(supervisor)


if __name__ == "__main__":
    main()
