# SPDX-License-Identifier: Apache-2.0
"""The daemons of a node, kept running by its PID 1 as systemd would: one after the other at boot,
again when one dies by itself, not again when it was stopped."""

import os
import signal
import socket
import subprocess
import time
from pathlib import Path

RESTART_DELAY = 0.5    # Seconds between a death and the next start.
STARTS_MAX = 20        # So many starts …
STARTS_WINDOW = 10.0   # … within so many seconds, then a service is left dead.
READY_TIMEOUT = 30.0
STOP_TIMEOUT = 10.0

LOGS = Path("/var/log/lab")


def _socket_answers(path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(path)
        except OSError:
            return False
    return True


def _abstract_socket_listens(name):
    with open("/proc/net/unix", encoding="utf-8", errors="replace") as sockets:
        return any(f" @{name}" in line for line in sockets)


# How a service is known to serve, by the kind that its description names.
PROBES = {
    "mount": os.path.ismount,
    "socket": _socket_answers,
    "abstract": _abstract_socket_listens,
}


class Service:
    """One daemon.  States: missing, waiting, starting, ready, stopped, dead (gave up)."""

    def __init__(self, description):
        self.name = description["name"]
        self.argv = description["argv"]
        self.probe = PROBES[description["probe"][0]]
        self.probe_argument = description["probe"][1]
        self.environment = description.get("environment", {})
        self.process = None
        self.starts = []
        self.at = 0.0  # When the present state began, or, waiting to start again, ends.
        self.why = ""
        self.state = "waiting" if Path(self.argv[0]).exists() else "missing"

    def _log(self, text):
        """The service's log, with a line of ours."""
        LOGS.mkdir(parents=True, exist_ok=True)
        log = open(LOGS / f"{self.name}.log", "ab")
        log.write(f"--- {time.strftime('%H:%M:%S')} {text} of {self.name}\n".encode())
        log.flush()
        return log

    def start(self):
        with self._log("start") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/",
                start_new_session=True, env={
                    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin",
                    "LANG": "C.UTF-8", **self.environment})
        self.starts.append(time.monotonic())
        self._enter("starting")

    def _enter(self, state, why=""):
        self.state, self.why, self.at = state, why, time.monotonic()

    def died(self, status):
        """The process ended; called by who reaps."""
        code = os.waitstatus_to_exitcode(status)
        why = f"killed by signal {-code}" if code < 0 else f"exit status {code}"
        self._log(f"end ({why})").close()
        self.process.returncode = code  # It is reaped: Popen must not wait for this pid again.
        self.process = None
        if self.state == "stopping":
            self._enter("stopped")
            return
        recent = [at for at in self.starts if at > time.monotonic() - STARTS_WINDOW]
        self.starts = recent
        if len(recent) >= STARTS_MAX:
            self._enter("dead", why)
        else:
            self._enter("waiting", why)
            self.at += RESTART_DELAY

    def tick(self, may_start):
        """Moves on what is due.  may_start: the services before this one are through."""
        now = time.monotonic()
        if self.state == "waiting" and may_start and now >= self.at:
            self.start()
        elif self.state == "starting" and self.probe(self.probe_argument):
            self._enter("ready")
        elif self.state == "stopping" and now > self.at + STOP_TIMEOUT:
            os.kill(self.process.pid, signal.SIGKILL)

    def stop(self):
        if self.process:
            self._enter("stopping")
            os.kill(self.process.pid, signal.SIGTERM)
        elif self.state != "missing":
            self._enter("stopped")

    def is_through(self):
        """Whether a service after this one may start."""
        late = self.state == "starting" and time.monotonic() > self.at + READY_TIMEOUT
        return late or self.state not in ("waiting", "starting")

    def is_settled(self):
        return self.state not in ("waiting", "starting", "stopping")

    def report(self):
        return {"name": self.name, "state": self.state, "why": self.why,
                "pid": self.process.pid if self.process else None,
                "starts": len(self.starts)}


class Supervisor:
    """All services of a node, in the order of their start."""

    def __init__(self, descriptions):
        self.services = [Service(description) for description in descriptions]

    def find(self, name):
        return next((service for service in self.services if service.name == name), None)

    def died(self, pid, status):
        for service in self.services:
            if service.process and service.process.pid == pid:
                service.died(status)

    def tick(self):
        may_start = True
        for service in self.services:
            service.tick(may_start)
            may_start = may_start and service.is_through()

    def is_settled(self):
        return all(service.is_settled() for service in self.services)

    def handle(self, request):
        """A request of the lab: {"do": "status"} or {"do": VERB, "service": NAME}."""
        if request["do"] == "status":
            return {"settled": self.is_settled(),
                    "services": [service.report() for service in self.services]}
        service = self.find(request["service"])
        if not service or service.state == "missing":
            return {"error": f"no service '{request['service']}' on this node"}
        if request["do"] == "start":
            if not service.process:
                service.starts.clear()
                service.start()
        elif request["do"] == "stop":
            service.stop()
        else:
            return {"error": f"unknown verb '{request['do']}'"}
        return service.report()
